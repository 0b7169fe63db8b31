// The parts of a result that are words and tables.

const BANDS = [
  [0.95, "sure", "95% or more"],
  [0.8, "likely", "80–95%"],
  [0.5, "unsure", "50–80%"],
  [0, "guess", "below 50%"],
];

function bandOf(probability) {
  return BANDS.find(([low]) => probability >= low)[1];
}

/** Whether there are think tokens; the last token is the embed token. */
function thinks(view) {
  return view.tokens.length > 1;
}

function warningsPart(view) {
  if (!view.warnings.length) return null;
  return make("div", { class: "tv-warnings", role: "status", "data-testid": "warnings" }, view.warnings.map((text) => make("p", {}, text)));
}

/** The thought, coloured by confidence. `choose(number)` on a click on a word, where words can be explained; else null. */
function thoughtPart(view, choose) {
  const thought = view.thought;
  if (!thought) return section("The decoded thought", null, make("p", {}, view.unwritten));
  const words = thought.words.map((word, place) => {
    const can = choose !== null && word.number !== null;
    const node = make("span", { class: `tv-word tv-${bandOf(word.p)}${can ? " tv-can" : ""}`, tabindex: "0", "data-tip": wordTip(word, thinks(view)), "data-number": word.number, "data-testid": `word-${place}`, "aria-label": `${word.text}, ${percent(word.p)}` }, word.text);
    if (!can) return node;
    node.setAttribute("role", "button");
    node.setAttribute("aria-pressed", "false");
    node.addEventListener("click", () => choose(word.number));
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose(word.number);
    });
    return node;
  });
  const legend = make("p", { class: "tv-legend" }, "How sure the model is of each word: ", BANDS.map(([, name, range]) => make("span", { class: `tv-word tv-${name}` }, range)));
  const body = words.length ? words.flatMap((word) => [word, " "]) : ["The model ended its thought at once: there is no text."];
  return section(
    `The ${thought.name}`,
    thought.about,
    make("p", { class: "tv-thought", "data-testid": "thought" }, body),
    legend,
    thought.control ? make("p", { class: `tv-control tv-control-${thought.control.level}`, "data-testid": "control" }, thought.control.text) : null,
  );
}

/** Mark the word that is explained; null marks none. */
function markWord(thought, number) {
  for (const word of thought.querySelectorAll(".tv-can")) word.setAttribute("aria-pressed", String(Number(word.dataset.number) === number));
}

/** `latent`: whether the control swapped thoughts; what is written first is compared under other images and questions. */
function wordTip(word, latent) {
  const sure = `probability ${percent(word.p)}`;
  if (word.dependence === null) return sure;
  const times = Math.exp(word.dependence);
  const [mine, others, under] = latent ? ["with this image's thought", "with others", "with other images' thoughts"] : ["for this image and question", "for others", "for other images and questions"];
  if (times >= 1000) return `${sure} · over 1,000 times likelier ${mine} than ${others}`;
  if (times >= 1.5) return `${sure} · ${times < 10 ? times.toFixed(1) : Math.round(times)} times likelier ${mine} than ${others}`;
  if (times > 0.67) return `${sure} · as likely ${under}`;
  return `${sure} · likelier ${under}`;
}

function rankingPart(view) {
  if (!view.ranking) return null;
  const top = Math.max(...view.ranking.rows.map((row) => row.score), 1e-6);
  const rows = view.ranking.rows.map((row) =>
    make(
      "tr",
      {},
      make("td", { class: "tv-number" }, String(row.rank)),
      make("td", {}, row.text),
      make("td", { class: "tv-bar-cell" }, make("span", { class: "tv-bar", style: `width:${Math.max(0, (row.score / top) * 100)}%` })),
      make("td", { class: "tv-number" }, row.score.toFixed(3)),
    ),
  );
  const head = make("tr", {}, ["#", "text", "", "cosine"].map((name) => make("th", {}, name)));
  return section(
    "Nearest candidates",
    `What the final embedding is closest to, out of ${view.ranking.total} texts${view.ranking.source}. 1.000 is the same direction, 0 is unrelated.`,
    make("table", { class: "tv-table", "data-testid": "ranking" }, make("thead", {}, head), make("tbody", {}, rows)),
  );
}

/** What the ranking becomes when the embedding does not see a thought. */
function hiddenPart(view) {
  if (!view.ranking || !view.ranking.hidden.length) return null;
  const { hidden, rows: ranked } = view.ranking;
  const moved = hidden.filter((one) => !one.same && one.label !== "all thoughts").map((one) => one.label.toLowerCase());
  const all = hidden[hidden.length - 1];
  const says = moved.length ? `Without ${moved.join(", or without ")}, another candidate comes first.` : "Whichever single thought is hidden, the same candidate comes first.";
  const whole = all.same ? "Without any of them it still comes first: for this sample the embedding does not need its thoughts." : `Without any of them it falls to place ${all.rank}.`;
  const rows = hidden.map((one) =>
    make(
      "tr",
      {},
      make("td", {}, one.label),
      make("td", { class: "tv-number" }, String(one.rank)),
      make("td", {}, one.same ? "the same" : one.first),
      make("td", { class: "tv-number" }, one.margin.toFixed(3)),
      make("td", { class: "tv-number" }, (Math.round(one.change * 1e4) / 1e4 + 0).toFixed(4)),
    ),
  );
  const head = make("tr", {}, ["hidden", `place of "${ranked[0].text}"`, "first is now", "margin, cosine", "1 − cosine"].map((name) => make("th", {}, name)));
  return section(
    "Does this ranking need the thoughts?",
    "The ranking when the embedding does not see a thought. Later thoughts have still seen it, so this is its direct effect; the page Audit measures the rest, over many samples.",
    make("p", { "data-testid": "hidden-says" }, `${says} ${whole}`),
    make("table", { class: "tv-table", "data-testid": "hidden" }, make("thead", {}, head), make("tbody", {}, rows)),
  );
}

function cardPart(view) {
  const card = view.card;
  const rows = card.metrics.map((metric) =>
    make("tr", {}, make("td", {}, metric.name), make("td", { class: "tv-number" }, metric.value), make("td", { class: "tv-number tv-faint" }, metric.interval)),
  );
  const table = rows.length
    ? make("table", { class: "tv-table" }, make("thead", {}, make("tr", {}, ["measured on unseen samples", "result", "95% interval"].map((name) => make("th", {}, name)))), make("tbody", {}, rows))
    : make("p", { class: "tv-faint" }, "No measurement comes with this checkpoint.");
  const facts = card.facts.map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  return section(
    `Checkpoint: ${card.title}`,
    card.description,
    card.knows ? make("p", {}, `Trained on: ${card.knows}`) : null,
    table,
    make("dl", { class: "tv-facts" }, facts),
  );
}

function secondsPart(view) {
  const slowest = Math.max(...view.seconds.map(([, value]) => value), 1e-6);
  const rows = view.seconds.map(([name, value]) =>
    make("tr", {}, make("td", {}, name), make("td", { class: "tv-bar-cell" }, make("span", { class: "tv-bar", style: `width:${(value / slowest) * 100}%` })), make("td", { class: "tv-number" }, duration(value))),
  );
  return section("Time taken", "Of the run that made this result; asking the same again is answered from memory.", make("table", { class: "tv-table" }, make("tbody", {}, rows)));
}

/** What else the probes have to show; its markup is made and escaped by the server's report renderer. */
function morePart(view) {
  if (!view.more.length) return null;
  const parts = view.more.map((one) => {
    const body = make("div", { class: "tv-scroll" });
    body.innerHTML = one.html;
    return make("details", { class: "tv-more", open: one.open }, make("summary", {}, one.title), body);
  });
  return section("More of what was measured", null, parts);
}
