// The parts of a comparison that are words and tables. Texts enter as text; only figures drawn by the server enter as markup.

const LISTED = 100;

function figure(title, html, name) {
  return html ? section(title, null, drawn(html, name)) : null;
}

function share(value) {
  return value === null ? "" : `${Math.round(value * 100)}%`;
}

function arrow(ranks) {
  const [before, after] = ranks;
  if (before === null || after === null) return null;
  if (before === after) return make("small", {}, "=");
  return after < before ? make("span", { class: "cp-up" }, `▲ ${before - after}`) : make("span", { class: "cp-down" }, `▼ ${after - before}`);
}

const COLUMNS = [
  ["id", "sample", (one) => one.id, 1],
  ["text", "question", (one) => one.text, 1],
  ["gained", "rank of the right document", (one) => one.gained, 1],
  ["words", "words changed", (one) => one.words, -1],
  ["neighbours", "neighbours changed", (one) => one.neighbours, -1],
];

/** What sorts first: numbers by size, texts by letters; what is not known comes last, whichever way. */
function compareBy(value, way) {
  return (one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    return way * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  };
}

/**
 * The list of samples. `order` ({by, way}, a column and 1 or -1) is how it is sorted at first, null for what changed most;
 * `open(id)` is called on a click on a sample, `sorted(order)` on a click on a column's name.
 */
class ChangeList {
  constructor(changes, order, { open, sorted }) {
    Object.assign(this, { changes, open, sorted, current: null, more: LISTED });
    // A column that nobody has a figure for is left out, and nothing is sorted by it.
    this.columns = COLUMNS.filter(([, , value]) => !changes.length || changes.some((one) => value(one) !== null));
    const most = [{ by: "gained", way: 1 }, { by: "words", way: -1 }, { by: "id", way: 1 }];
    this.order = [order, ...most].find((one) => one && this.columns.some(([name]) => name === one.by));
    this.head = make("tr", {});
    this.body = make("tbody", { "data-testid": "changes" });
    this.rest = make("button", { type: "button", class: "tv-button tv-small", onclick: () => this.show(this.more + LISTED) }, "Show more");
    this.node = make("div", {}, make("div", { class: "cp-wide cp-list" }, make("table", {}, make("thead", {}, this.head), this.body)), this.rest);
    this.show(LISTED);
  }

  sort(name, first) {
    const { by, way } = this.order;
    this.order = { by: name, way: by === name ? -way : first };
    this.show(LISTED);
    this.sorted(this.order);
  }

  show(more) {
    this.more = more;
    const { by, way } = this.order;
    const [, , value] = COLUMNS.find(([name]) => name === by);
    const sorted = [...this.changes].sort(compareBy(value, way));
    this.head.replaceChildren(
      ...this.columns.map(([name, title, , first]) => {
        const on = by === name;
        const button = make("button", { type: "button", class: "cp-sort", "data-testid": `sort-${name}`, onclick: () => this.sort(name, first) }, `${title}${on ? (way > 0 ? " ↑" : " ↓") : ""}`);
        return make("th", { scope: "col", "aria-sort": on ? (way > 0 ? "ascending" : "descending") : "none" }, button);
      }),
    );
    this.body.replaceChildren(...sorted.slice(0, more).map((one) => this.row(one)));
    this.rest.hidden = sorted.length <= more;
    this.rest.textContent = `Show more (${sorted.length - more} left)`;
  }

  row(one) {
    const ranks = one.gained === null ? [] : [`${one.ranks[0]} → ${one.ranks[1]} `, arrow(one.ranks)];
    const cells = {
      id: () => make("td", {}, make("button", { type: "button", class: "cp-go", onclick: () => this.open(one.id) }, one.id)),
      text: () => make("td", { class: "cp-question" }, one.text),
      gained: () => make("td", { class: "cp-number" }, ranks),
      words: () => make("td", { class: "cp-number" }, share(one.words)),
      neighbours: () => make("td", { class: "cp-number" }, share(one.neighbours)),
    };
    return make("tr", { "data-id": one.id, "aria-current": String(one.id === this.current) }, this.columns.map(([name]) => cells[name]()));
  }

  mark(id) {
    this.current = id;
    for (const row of this.body.children) row.setAttribute("aria-current", String(row.dataset.id === id));
  }
}
