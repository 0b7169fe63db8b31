// The strip of think-token cards and the table of layers x thoughts. Both only say what was chosen; they keep no state.

/** Cards, one for each think token and one for the embed token. `choose(row)` is called on click, Enter or an arrow key. */
function cardsPart(view, choose) {
  const cards = view.tokens.map((token, row) => {
    const words = token.words.map(([word, p]) =>
      make("span", { class: "tv-read" }, make("span", { class: "tv-read-bar", style: `width:${Math.round(p * 100)}%` }), make("span", { class: "tv-read-word" }, word), make("span", { class: "tv-read-p" }, percent(p))),
    );
    return make(
      "button",
      { class: "tv-card", type: "button", role: "tab", id: `tv-card-${row}`, "data-testid": `card-${row}`, "aria-controls": "tv-big", onclick: () => choose(row) },
      make("span", { class: "tv-card-title" }, token.label),
      view.images.length ? make("canvas", { class: "tv-card-map", width: 2, height: 2, "aria-hidden": "true" }) : null,
      words.length ? make("span", { class: "tv-reads" }, words) : make("span", { class: "tv-card-note" }, token.note),
      make("span", { class: "tv-card-note" }, [token.spread, token.share === null ? null : `${percent(token.share)} on the image`].filter(Boolean).join(" · ")),
    );
  });
  const strip = make("div", { class: "tv-cards", role: "tablist", "aria-label": "Think tokens", "data-testid": "cards" }, cards);
  strip.addEventListener("keydown", (event) => {
    const at = cards.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const next = event.key === "Home" ? 0 : event.key === "End" ? cards.length - 1 : step ? (at + step + cards.length) % cards.length : -1;
    if (at < 0 || next < 0) return;
    event.preventDefault();
    choose(next);
    cards[next].focus();
  });
  return { strip, cards };
}

function markCard(cards, chosen) {
  cards.forEach((card, row) => {
    card.setAttribute("aria-selected", String(row === chosen));
    card.tabIndex = row === chosen ? 0 : -1;
  });
}

/** The layers x thoughts table: what each thought reads as at each depth. `choose(row, layer)` on click. */
function lensPart(view, choose) {
  if (!view.lens) return null;
  const head = make("tr", {}, make("th", {}, "layer"), view.lens.columns.map((name) => make("th", { title: name }, name)));
  const rows = view.lens.cells.map((cells, depth) => {
    const layer = view.lens.layers[depth];
    const boxes = cells.map((words, row) => {
      const [word, p] = words[0];
      const tip = words.map(([other, q]) => `${other} ${percent(q)}`).join(" · ");
      return make(
        "td",
        {},
        make("button", { type: "button", class: "tv-cell", style: `--strength:${Math.round(p * 75)}%`, "data-tip": tip, "data-row": row, "data-layer": layer, "aria-label": `layer ${layer}, ${view.lens.columns[row]}: ${tip}`, onclick: () => choose(row, layer - 1) }, word),
      );
    });
    return make("tr", {}, make("th", { scope: "row" }, String(layer)), boxes);
  });
  rows.reverse();
  return section(
    "What each thought reads as, layer by layer",
    "Each think token's state after each layer, read as the nearest word (logit lens). Deepest layer on top; stronger colour means a surer word. Early layers are often unreadable. Click a cell to see where that layer looks.",
    make("div", { class: "tv-scroll" }, make("table", { class: "tv-lens", style: `--columns:${view.lens.columns.length}`, "data-testid": "lens" }, make("thead", {}, head), make("tbody", {}, rows))),
  );
}

function markLens(table, row, layer) {
  for (const cell of table.querySelectorAll(".tv-cell")) {
    const sameRow = Number(cell.dataset.row) === row;
    cell.classList.toggle("tv-cell-row", sameRow);
    cell.classList.toggle("tv-cell-chosen", sameRow && Number(cell.dataset.layer) === layer + 1);
  }
}
