// The parts around the map: legend, quality, clusters, movers, what is known of one point, and the selection's list.

/** Rows of the selection shown at once; more come when asked for. */
const PAGE = 50;

function legendPart(column, colours, hidden, toggle) {
  if (!column) return null;
  if (column.kind === "number") {
    if (!Number.isFinite(colours.low)) return make("p", { class: "mp-faint" }, "No point has a value here.");
    const stops = colours.colours.slice(0, SHADES).filter((_, i) => i % 4 === 0 || i === SHADES - 1);
    const middle = (colours.low + colours.high) / 2;
    return make(
      "div",
      { "data-testid": "map-legend" },
      make("div", { class: "mp-scale", style: `background:linear-gradient(90deg,${stops.join(",")})` }),
      make("div", { class: "mp-scale-ends" }, [colours.low, middle, colours.high].map((value) => make("span", {}, plainNumber(value)))),
      colours.unknown ? make("p", { class: "mp-faint" }, `${counted(colours.unknown, "point")} without a value, in grey.`) : null,
    );
  }
  const entries = colours.entries.map((entry) =>
    make(
      "button",
      { type: "button", class: "mp-entry", "aria-pressed": String(!hidden.has(entry)), title: "Hide or show", "data-testid": `legend-${entry.name}`, onclick: () => toggle(entry) },
      make("span", { class: "mp-dot", style: `background:${entry.colour}` }),
      make("span", { class: "mp-entry-name" }, entry.name),
      make("span", { class: "mp-count" }, entry.count.toLocaleString("en-GB")),
    ),
  );
  return make("div", { class: "mp-legend", role: "group", "aria-label": `Colours of ${column.name}`, "data-testid": "map-legend" }, entries);
}

function qualityPart(head, projection) {
  const rows = head.figures
    .filter((figure) => figure.projection === projection)
    .map((figure) =>
      make(
        "tr",
        {},
        make("td", {}, head.checkpoints.length > 1 ? `${figure.name}, ${head.checkpoints[figure.checkpoint].name}` : figure.name),
        make("td", { class: "mp-number" }, figure.value.toFixed(2)),
        make("td", { class: "mp-number mp-faint" }, figure.chance === null ? "" : `chance ${figure.chance.toFixed(2)}`),
        make("td", { class: "mp-faint" }, `${figure.about} Measured on ${counted(figure.n, "point")}${figure.k ? `, ${figure.k} neighbours` : ""}.`),
      ),
    );
  return block(
    "What this map can and cannot say",
    head.reading ? make("p", { "data-testid": "map-reading" }, head.reading) : null,
    rows.length ? make("table", { class: "mp-table", "data-testid": "map-quality" }, make("tbody", {}, rows)) : make("p", { class: "mp-faint" }, "This projection was not measured."),
    madePart(head),
  );
}

function madePart(head) {
  const facts = [
    ["data", Object.entries(head.source).map(([name, value]) => `${name} ${value}`).join(", ")],
    ["checkpoint", head.checkpoints.map((one) => `${one.name} (${one.family}, ${one.sha256.slice(0, 12)})`).join("; ")],
    ["identical points", `${head.duplicates.toLocaleString("en-GB")} lie exactly on another one`],
    ["settings", Object.entries(head.parameters).map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(", ")],
    ["seed", String(head.seed)],
    ["versions", Object.entries(head.versions).map(([name, value]) => `${name} ${value}`).join(", ")],
    ["seconds", Object.entries(head.seconds).map(([name, value]) => `${name} ${value.toFixed(1)}`).join(", ")],
  ].filter(([, value]) => value);
  return make("details", { class: "mp-made" }, make("summary", {}, "How it was made"), make("dl", { class: "mp-facts" }, facts.map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
}

function notesPart(notes) {
  if (!notes.length) return null;
  return make("div", { class: "mp-notes", role: "status", "data-testid": "map-notes" }, notes.map((note) => make("p", {}, note)));
}

function clustersPart(head, choose) {
  if (!head.clusters.length) return null;
  const chips = head.clusters.map((cluster, code) => make("button", { type: "button", class: "mp-chip", "data-testid": `cluster-${code}`, onclick: () => choose(code) }, `${cluster.label || "no shared words"} · ${cluster.size.toLocaleString("en-GB")}`));
  return block("Clusters", make("p", { class: "mp-faint" }, "Points that lie together, named by the words that their thoughts share more than others do. A click selects one."), make("div", { class: "mp-chips" }, chips));
}

/** The pairs whose neighbours changed most. `words(point)` resolves to what is known of its sample. */
function moversPart(view, words, choose) {
  const pairing = view.data.head.pairing;
  if (!pairing) return null;
  const list = make("ol", { class: "mp-movers", "data-testid": "map-movers" });
  const rows = pairing.movers.map((mover) => [mover, [view.data.arrays.pairs[2 * mover.pair], view.data.arrays.pairs[2 * mover.pair + 1]]]);
  words(rows.map(([, points]) => points[0])).then((known) => {
    list.replaceChildren(
      ...rows.map(([mover, points], place) => {
        const one = known[place];
        const step = view.data.k[points[0]] >= 0 ? `, think token ${view.data.k[points[0]] + 1}` : "";
        return make("li", {}, make("button", { type: "button", class: "mp-mover", onclick: () => choose(points) }, make("span", { class: "mp-number" }, `${Math.round(100 * mover.change)}%`), make("span", {}, `${one ? one.text || one.id : "?"}${step}`)));
      }),
    );
  });
  const alignment = Object.entries(pairing.alignment).map(([name, how]) => `${name.toUpperCase()}: ${how}`).join("; ");
  return block(
    "Largest movers",
    make("p", { class: "mp-faint" }, `${pairing.about} Aligned: ${alignment}. The share says how many of a point's ${pairing.k} nearest neighbours, in the original space, are others under the second checkpoint.`),
    list,
  );
}

/** What is known of a sample, beside its picture. */
function samplePart(head, one) {
  const thoughts = one.thoughts.map((thought, number) => (thought ? make("p", { class: "mp-thought" }, head.checkpoints.length > 1 ? make("strong", {}, `${head.checkpoints[number].name}: `) : null, thought) : null));
  return make(
    "div",
    { class: "mp-sample" },
    one.thumbnail ? make("img", { class: "mp-thumb", src: one.thumbnail, alt: "" }) : null,
    make("div", { class: "mp-words" }, one.text ? make("p", { class: "mp-query" }, one.text) : null, thoughts, one.answer ? make("p", { class: "mp-faint" }, `right answer: ${one.answer}`) : null),
  );
}

function pointPart(view, point, one, near, actions) {
  const facts = view.data.columns.map((column) => [column.name, view.data.valueText(column, point)]).filter(([, value]) => value !== "");
  const rows = near.points.map((other, place) =>
    make(
      "li",
      {},
      make(
        "button",
        { type: "button", class: "mp-near", onclick: () => actions.go(other) },
        make("span", { class: "mp-number mp-faint" }, near.distances[place].toFixed(3)),
        make("span", {}, near.words[place] ? near.words[place].text || near.words[place].id : "", view.data.k[other] >= 0 ? ` · think token ${view.data.k[other] + 1}` : ""),
      ),
    ),
  );
  return make(
    "div",
    { "data-testid": "map-point", "data-point": point },
    make("p", { class: "mp-faint" }, view.data.nameOf(point, one)),
    samplePart(view.data.head, one),
    actions.open ? make("button", { type: "button", class: "mp-button mp-main", "data-testid": "map-open", onclick: actions.open }, "Open in Explore") : null,
    make("dl", { class: "mp-facts" }, facts.map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    rows.length ? [make("h4", {}, "Nearest in the original space"), make("ol", { class: "mp-nears", "data-testid": "map-near" }, rows)] : null,
  );
}

function block(title, ...children) {
  return make("section", { class: "mp-section" }, make("h3", {}, title), ...children);
}

function choice(label, name, options, value, chosen) {
  return make(
    "div",
    { class: "mp-choice", role: "radiogroup", "aria-label": label },
    options.map(([key, text]) =>
      make("button", { type: "button", role: "radio", "aria-checked": String(key === value), tabindex: key === value ? "0" : "-1", "data-testid": `${name}-${key}`, onclick: () => chosen(key), onkeydown: (event) => turnChoice(event) }, text),
    ),
  );
}

function turnChoice(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  event.stopPropagation();
  const buttons = [...event.currentTarget.parentElement.children];
  const next = buttons[(buttons.indexOf(event.currentTarget) + step + buttons.length) % buttons.length];
  next.click();
  next.focus();
}

function markChoice(group, key) {
  for (const button of group.children) {
    const on = button.dataset.testid.endsWith(`-${key}`);
    button.setAttribute("aria-checked", String(on));
    button.setAttribute("tabindex", on ? "0" : "-1");
  }
}

function tick(label, checked, changed, name) {
  return make("label", { class: "mp-tick" }, make("input", { type: "checkbox", checked, "data-testid": name, onchange: (event) => changed(event.target.checked) }), label);
}
