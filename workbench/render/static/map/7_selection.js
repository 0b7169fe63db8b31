// The selection: a list of samples with their thoughts, the screen reader's twin of the map, and what is saved of it.

class Selection {
  /** `view`: the map's view, for its data, words and moves. */
  constructor(view) {
    this.view = view;
    this.points = [];
    this.says = make("span", { class: "mp-says", "data-testid": "selection-says" });
    this.status = make("p", { class: "mp-faint", role: "status" });
    this.rows = make("tbody");
    this.more = make("button", { type: "button", class: "mp-button", "data-testid": "selection-more", hidden: true, onclick: () => this.show(this.shown + PAGE) });
    const thoughts = view.data.head.checkpoints.map((one) => (view.data.head.checkpoints.length > 1 ? `thought of ${one.name}` : "decoded thought"));
    const head = make("tr", {}, ["", "sample", "query", ...thoughts, "right answer", ""].map((name) => make("th", { scope: "col" }, name)));
    const button = (title, name, act) => make("button", { type: "button", class: "mp-button", "data-testid": name, onclick: act }, title);
    this.tools = make("div", { class: "mp-buttons", hidden: true }, button("Save as JSON", "save-json", () => this.save("json")), button("Save as CSV", "save-csv", () => this.save("csv")), button("Show on the map", "selection-zoom", () => view.zoomTo(this.points)), button("Clear", "selection-clear", () => view.select([], "")));
    this.table = make("div", { class: "mp-scroll", hidden: true }, make("table", { class: "mp-table mp-samples", "data-testid": "selection" }, make("caption", {}, "Samples of the selection"), make("thead", {}, head), this.rows));
    this.node = block("Selection", make("p", { role: "status", "aria-live": "polite" }, this.says), this.tools, this.table, this.more, this.status);
    this.tell("");
  }

  tell(how) {
    const { points, samples } = this;
    this.says.classList.toggle("mp-none", !points.length);
    this.says.textContent = points.length
      ? `${counted(points.length, "point")} of ${counted(samples.length, "sample")}${how ? ` ${how}` : ""}.`
      : how || "Nothing is selected. Draw a lasso or a box, search, or click a point; Shift adds to the selection, Alt takes away.";
  }

  async set(points, how) {
    this.points = points;
    this.samples = this.view.data.samplesOf(points);
    this.tell(how);
    this.tools.hidden = this.table.hidden = !points.length;
    this.status.textContent = "";
    await this.show(PAGE);
  }

  async show(limit) {
    const turn = (this.turn = (this.turn || 0) + 1);
    this.shown = Math.min(limit, this.samples.length);
    const chosen = this.samples.slice(0, this.shown);
    const known = await this.view.words(chosen);
    if (turn !== this.turn) return;
    const steps = this.stepsOf();
    this.rows.replaceChildren(...chosen.map((sample, place) => this.row(sample, known[place], steps.get(sample))));
    this.more.hidden = this.shown >= this.samples.length;
    this.more.textContent = `Show ${Math.min(PAGE, this.samples.length - this.shown)} more of ${this.samples.length.toLocaleString("en-GB")}`;
    this.table.dataset.ready = String(turn);
  }

  /** First selected point of each sample. */
  stepsOf() {
    const first = new Map();
    for (const point of this.points) if (!first.has(this.view.data.sample[point])) first.set(this.view.data.sample[point], point);
    return first;
  }

  row(sample, one, point) {
    const { view } = this;
    const go = make("button", { type: "button", class: "mp-link", "data-testid": "selection-go", onclick: () => view.focus(point, true) }, one.id);
    const open = view.source.open ? make("button", { type: "button", class: "mp-link", "data-testid": "selection-open", onclick: () => view.source.open(sample, view.data.checkpoint[point]) }, "Open in Explore") : null;
    const cells = [one.thumbnail ? make("img", { class: "mp-tiny", src: one.thumbnail, alt: "" }) : null, go, one.text, ...view.data.head.checkpoints.map((_, number) => one.thoughts[number] || ""), one.answer, open];
    return make("tr", {}, cells.map((cell) => make("td", {}, cell)));
  }

  async save(kind) {
    this.status.textContent = "Preparing the file …";
    try {
      const known = [];
      for (let at = 0; at < this.samples.length; at += 500) known.push(...(await this.view.words(this.samples.slice(at, at + 500))));
      const content = kind === "json" ? selectionJson(this.view, this.samples, known, this.points) : selectionCsv(this.view, this.samples, known, this.points);
      offerFile(content, { name: `thinkscope-selection.${kind}`, type: kind === "json" ? "application/json" : "text/csv" });
      this.status.textContent = "";
    } catch (error) {
      this.status.textContent = error.message;
    }
  }
}

function bySample(data, points) {
  const found = new Map();
  for (const point of points) {
    if (!found.has(data.sample[point])) found.set(data.sample[point], []);
    found.get(data.sample[point]).push(point);
  }
  return found;
}

function selectionJson(view, samples, known, points) {
  const { data } = view;
  const groups = bySample(data, points);
  const rows = samples.map((sample, place) => {
    const one = known[place];
    return {
      id: one.id,
      row: one.row || null,
      text: one.text,
      answer: one.answer,
      image: one.image,
      thoughts: Object.fromEntries(data.head.checkpoints.map((checkpoint, number) => [checkpoint.name, one.thoughts[number] || ""])),
      points: groups.get(sample).map((point) => ({
        think_token: data.k[point] >= 0 ? data.k[point] + 1 : null,
        checkpoint: data.head.checkpoints[data.checkpoint[point]].name,
        x: data.arrays[view.projection][2 * point],
        y: data.arrays[view.projection][2 * point + 1],
        values: Object.fromEntries(data.columns.map((column) => [column.name, data.value(column, point)])),
      })),
    };
  });
  const { title, of, layer, source, checkpoints } = data.head;
  return JSON.stringify({ schema: "thinkscope.selection", version: 2, title, of, layer, projection: view.projection, source, checkpoints, samples: rows }, null, 1);
}

function selectionCsv(view, samples, known, points) {
  const { data } = view;
  const groups = bySample(data, points);
  const names = data.head.checkpoints.map((checkpoint) => (data.head.checkpoints.length > 1 ? `thought of ${checkpoint.name}` : "thought"));
  const lines = [["id", "row", "query", "answer", ...names, "points", "think tokens"]];
  samples.forEach((sample, place) => {
    const [one, mine] = [known[place], groups.get(sample)];
    const steps = [...new Set(mine.map((point) => data.k[point] + 1).filter((step) => step > 0))];
    lines.push([one.id, one.row || "", one.text, one.answer, ...names.map((_, number) => one.thoughts[number] || ""), mine.length, steps.join(" ")]);
  });
  return lines.map((line) => line.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

/** A cell that begins like a formula gets an apostrophe, because spreadsheets would run what a model wrote. */
function csvCell(value) {
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
