// The map itself: what is shown, chosen, coloured and pointed at, and the parts around it kept in step with that.

/**
 * `source` tells what the map does not hold itself. All of it is asked by number:
 * `samples(indices)`, `inside(projection, polygon)`, `search(text)`, `near(point)`, and perhaps `open(sample)`;
 * `saves`: further files as [key, title], with `save(key)`.
 */
class MapView {
  constructor(root, data, source, { dark, engine = null, first = null }) {
    Object.assign(this, { root, data, source, engine, dark: dark(), isDark: dark });
    this.projection = data.head.projections.includes(first) ? first : data.head.shown;
    this.column = this.firstColumn();
    this.hidden = new Set();
    this.known = new Map();
    this.current = { hover: -1, focus: -1, selected: [] };
    this.coloured = colouring(data, this.column, this.dark);
    this.build();
    this.overlay = new Overlay(this.over, data);
    this.overlay.set({ lines: this.lines });
    this.overlay.told = (sentence) => Object.assign(this.linesNote, { textContent: sentence, hidden: !sentence });
    this.drawing = new Drawing(this.over, { changed: (path) => this.overlay.set({ path }), done: (path, event) => this.inside(path, event) });
    this.listen();
  }

  /** Two checkpoints are told apart first of all; else the first column says most. */
  firstColumn() {
    const { columns, checkpoints } = this.data.head;
    const usable = columns.filter((column) => column.kind !== "text");
    return (checkpoints.length > 1 && usable.find((column) => column.name === "checkpoint")) || usable[0] || null;
  }

  get lines() {
    const { head, arrays } = this.data;
    if (head.of !== "thoughts" && !arrays.pairs) return "none";
    const few = head.of === "thoughts" ? this.data.runs().length <= FEW_RUNS : arrays.pairs.length / 2 <= FEW_RUNS;
    return few ? "all" : "chosen";
  }

  build() {
    const { head } = this.data;
    this.canvas = make("canvas", { class: "mp-points", "aria-hidden": "true" });
    this.over = make("canvas", { class: "mp-over", "aria-hidden": "true" });
    this.tip = make("div", { class: "mp-tip", hidden: true, "aria-hidden": "true" });
    this.stage = make("div", { class: "mp-stage", tabindex: "0", role: "application", "aria-label": this.describe(), "aria-describedby": "mp-keys", "data-testid": "map-stage", "data-mode": "move" }, this.canvas, this.over, this.tip);
    this.stage.map = this; // for tests and for people at the browser's console
    this.linesNote = make("p", { class: "mp-faint", hidden: true, "data-testid": "map-lines-note" });
    this.painterNote = make("p", { class: "mp-faint", hidden: true, "data-testid": "map-painter" }, "Drawn without a graphics card: while the map moves, its points are coarser.");
    this.count = make("p", { class: "mp-count-line", "data-testid": "map-count" });
    this.spoken = make("p", { class: "mp-unseen", role: "status", "aria-live": "polite" });
    this.trouble = make("p", { class: "mp-notes", role: "alert", hidden: true, "data-testid": "map-trouble" });
    this.legend = make("div", { class: "mp-legend-box" });
    this.point = make("div", { class: "mp-point" }, make("p", { class: "mp-faint" }, "Point at the map to see a sample; click it to keep it here, with its nearest neighbours."));
    this.quality = make("div");
    this.selection = new Selection(this);
    this.root.replaceChildren(
      this.titlePart(),
      ...[notesPart(head.notes), this.trouble].filter(Boolean),
      this.toolsPart(),
      make("div", { class: "mp-columns" }, make("div", { class: "mp-left" }, this.stage, this.count, this.keysPart(), this.linesNote, this.painterNote, this.spoken), make("div", { class: "mp-side" }, this.colourPart(), this.point), this.selection.node),
      ...[clustersPart(head, (code) => this.selectCluster(code)), moversPart(this, (points) => this.words(points.map((point) => this.data.sample[point])), (points) => this.choosePair(points))].filter(Boolean),
      this.quality,
    );
    this.showCount();
    this.showQuality();
  }

  describe() {
    const { head } = this.data;
    return `Map of ${counted(this.data.n, "point")} of ${counted(head.n_samples, "sample")}. Arrow keys go to the next point in a direction, N to the nearest in the original space, Enter shows its sample. The list of the selection below says the same in words.`;
  }

  titlePart() {
    const { head } = this.data;
    const saves = (this.source.saves || []).map(([key, title]) => make("button", { type: "button", class: "mp-button", "data-testid": `map-save-${key}`, onclick: () => this.saveMap(key) }, title));
    return make("div", { class: "mp-head" }, make("h3", {}, head.title), make("div", { class: "mp-buttons" }, saves));
  }

  async saveMap(key) {
    this.say("Preparing the file …");
    await this.guarded(() => this.source.save(key));
    this.say("");
  }

  toolsPart() {
    const { head } = this.data;
    this.modes = choice("What dragging does", "mode", [["move", "Move"], ["lasso", "Lasso"], ["box", "Box"]], "move", (mode) => this.setMode(mode));
    this.kinds = choice("Projection", "projection", head.projections.map((name) => [name, name.toUpperCase()]), this.projection, (name) => {
      this.picked = true;
      this.setProjection(name);
    });
    const search = make("input", { type: "search", class: "mp-input", placeholder: "Search queries and thoughts", "aria-label": "Search ids, queries and thoughts", "data-testid": "map-search", onkeydown: (event) => event.key === "Enter" && this.search(event.target.value), onsearch: (event) => event.target.value === "" && this.select([], "") });
    const zoom = (name, text, act) => make("button", { type: "button", class: "mp-icon", "aria-label": text, title: text, "data-testid": `map-${name}`, onclick: act }, { in: "+", out: "−", home: "⤢" }[name]);
    const steps = head.of === "thoughts" || this.data.arrays.pairs;
    const lines = steps
      ? make("label", { class: "mp-tick" }, "Lines ", make("select", { class: "mp-input", "data-testid": "map-lines", "aria-label": "Lines", onchange: (event) => this.overlay.set({ lines: event.target.value }) }, [["chosen", "of the selection"], ["all", "all"], ["none", "none"]].map(([key, text]) => make("option", { value: key, selected: key === this.lines }, text))))
      : null;
    const labels = head.clusters.length ? tick("Cluster labels", true, (on) => this.overlay.set({ labels: on }), "map-labels") : null;
    return make("div", { class: "mp-tools" }, this.modes, head.projections.length > 1 ? this.kinds : null, search, make("div", { class: "mp-zooms" }, zoom("in", "Closer", () => this.plot?.zoomBy(1.5)), zoom("out", "Farther", () => this.plot?.zoomBy(1 / 1.5)), zoom("home", "The whole map", () => this.plot?.home())), lines, labels);
  }

  keysPart() {
    return make("p", { class: "mp-faint", id: "mp-keys" }, "Drag to move, scroll to zoom. With the keyboard: arrows, N for the nearest neighbour, Enter, + and −, 0, Escape.");
  }

  colourPart() {
    const names = this.data.columns.map((column) => make("option", { value: column.name, selected: column === this.column }, column.name));
    this.about = make("p", { class: "mp-faint", "data-testid": "map-about" });
    const picker = names.length ? make("select", { class: "mp-input", "data-testid": "map-colour", "aria-label": "Colour by", onchange: (event) => this.setColumn(event.target.value) }, names) : null;
    this.showLegend();
    return make("div", { class: "mp-section mp-colour" }, make("h4", {}, "Colour by"), picker, this.about, this.legend);
  }

  showLegend() {
    this.about.textContent = this.column ? this.column.about : "";
    this.legend.replaceChildren(legendPart(this.column, this.coloured, this.hidden, (entry) => this.toggle(entry)) || "");
  }

  showQuality() {
    this.quality.replaceChildren(qualityPart(this.data.head, this.projection));
  }

  /** Begin to paint; resolves when the first picture stands. */
  async start() {
    const asked = new URLSearchParams(window.location.search).get("painter");
    const byCard = this.engine && asked !== "pixels" && (asked === "webgl" || (!MapView.sluggish && webglKind() === "card"));
    if (byCard) {
      this.plot = new GlPlot(this.canvas, this.engine, this.events(), this.ground());
      await this.paint();
      // Found out once: a card that is too slow for one map will be so for the next.
      MapView.sluggish = asked !== "webgl" && (await this.plot.isSluggish());
    }
    if (!byCard || MapView.sluggish) await this.paintByPixels();
    this.stage.dataset.painter = this.plot instanceof PixelPlot ? "pixels" : "webgl";
    this.painterNote.hidden = !(this.plot instanceof PixelPlot);
    this.root.dataset.ready = this.projection;
  }

  async paintByPixels() {
    this.plot?.destroy();
    this.overlay.plot = null;
    // A canvas keeps what it was first used for.
    const canvas = make("canvas", { class: "mp-points", "aria-hidden": "true" });
    this.canvas.replaceWith(canvas);
    this.canvas = canvas;
    this.plot = new PixelPlot(canvas, this.events(), this.ground(), this.inks().text);
    await this.paint();
  }

  events() {
    return { hover: (point) => this.hover(point), pick: (point) => this.pick(point), moved: () => this.moved() };
  }

  /** The points were painted anew: what lies over them goes along in the same frame. */
  moved() {
    this.overlay.draw();
  }

  inks() {
    return { text: hex(readColour(this.stage, "color")), ground: this.ground(), accent: hex(readColour(this.stage, "outline-color")), dark: this.dark };
  }

  warn(sentence) {
    this.trouble.textContent = sentence;
    this.trouble.hidden = !sentence;
  }

  async guarded(act) {
    try {
      const found = await act();
      return found;
    } catch (error) {
      this.warn(error.message);
      return null;
    }
  }

  ground() {
    return hex(readColour(this.stage, "background-color"));
  }

  async paint(animated = false) {
    if (!this.plot) return;
    const places = this.data.places(this.projection);
    await this.plot.draw(places.xs, places.ys, this.coloured.codes, this.coloured.colours, animated);
    this.plot.select(this.current.selected);
    this.overlay.place(this.plot, places, this.inks());
    this.stage.dataset.drawn = `${this.projection} ${this.column ? this.column.name : ""}`;
  }

  async recolour() {
    this.coloured = colouring(this.data, this.column, this.dark);
    this.hidden.clear();
    this.showLegend();
    await this.filter();
    await this.paint();
  }

  async setColumn(name) {
    this.column = this.data.columns.find((column) => column.name === name) || null;
    await this.recolour();
  }

  async setProjection(name) {
    if (name === this.projection || !this.data.head.projections.includes(name)) return;
    this.projection = name;
    markChoice(this.kinds, name);
    this.showQuality();
    await this.paint(this.data.n <= 50_000 && !calm());
    this.root.dataset.ready = name;
  }

  setMode(mode) {
    markChoice(this.modes, mode);
    this.stage.dataset.mode = mode;
    this.drawing.shape = mode;
  }

  /** The page turned dark or light. */
  async retheme() {
    if (this.isDark() === this.dark) return;
    this.dark = this.isDark();
    if (this.plot) await this.plot.repaint(this.ground(), this.inks().text);
    await this.recolour();
  }

  async toggle(entry) {
    if (!this.hidden.delete(entry)) this.hidden.add(entry);
    this.showLegend();
    await this.filter();
  }

  async filter() {
    let visible = null;
    if (this.hidden.size) {
      const off = new Set(this.coloured.entries.flatMap((entry, slot) => (this.hidden.has(entry) ? [slot] : [])));
      visible = Uint8Array.from(this.coloured.codes, (code) => (off.has(code) ? 0 : 1));
    }
    this.visible = visible;
    this.overlay.set({ visible });
    this.showCount();
    if (this.plot) await this.plot.filter(visible);
  }

  isVisible(point) {
    return !this.visible || this.visible[point] === 1;
  }

  showCount() {
    const { head } = this.data;
    const shown = this.visible ? indicesOf(this.visible).length : this.data.n;
    const whole = Math.max(head.points_found || 0, this.data.n);
    this.count.textContent = `Showing ${shown.toLocaleString("en-GB")} of ${counted(whole, "point")}, of ${counted(head.n_samples, "sample")}.`;
  }

  /** What is known of samples, by number and in that order; asked for once. */
  async words(samples) {
    const missing = [...new Set(samples)].filter((sample) => !this.known.has(sample));
    for (let at = 0; at < missing.length; at += 500) {
      const part = missing.slice(at, at + 500);
      const found = await this.guarded(() => this.source.samples(part));
      if (!found) break;
      part.forEach((sample, place) => this.known.set(sample, found[place]));
    }
    return samples.map((sample) => this.known.get(sample) || UNKNOWN);
  }

  say(text) {
    this.spoken.textContent = text;
  }

  /** What was chosen here, for the view that comes after. */
  keep() {
    return { projection: this.projection, column: this.column?.name, current: this.current, known: this.known, picked: this.picked, mode: this.stage.dataset.mode, focused: document.activeElement === this.stage, n: this.data.n };
  }

  /** Take up what was chosen in an earlier version of the same map, and go to the projection to be shown. */
  async restore(before) {
    const same = before.n === this.data.n;
    this.setMode(before.mode);
    if (same) {
      this.known = before.known;
      this.source.view = this;
      if (before.column !== this.column?.name && this.data.columns.some((column) => column.name === before.column)) await this.setColumn(before.column);
    }
    if (!before.picked) await this.setProjection(this.data.head.shown);
    if (same && before.current.selected.length) await this.select(before.current.selected, "");
    if (same && before.current.focus >= 0) await this.focus(before.current.focus);
    if (before.focused) this.stage.focus({ preventScroll: true });
  }

  close() {
    this.stop.abort();
    this.plot?.destroy();
  }
}

const UNKNOWN = { id: "", row: 0, text: "", answer: "", image: "", thumbnail: "", thoughts: [] };

function indicesOf(mask) {
  const found = [];
  for (let i = 0; i < mask.length; i += 1) if (mask[i]) found.push(i);
  return found;
}

function calm() {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** A colour as the browser computes it, as red, green, blue. */
function readColour(node, property) {
  const pen = make("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  pen.fillStyle = getComputedStyle(node).getPropertyValue(property);
  pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}
