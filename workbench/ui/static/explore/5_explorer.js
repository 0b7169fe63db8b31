// The interactive part: which thought looks where. Choosing a token, layer, head or patch never asks the server,
// unless the model is so large that single heads were not sent along.

const CARD_WIDTH = 132;

class Explorer {
  constructor(view, ask) {
    this.view = view;
    this.ask = ask;
    this.planes = view.images.map((image) => Object.fromEntries(Object.entries(image.planes).map(([name, text]) => [name, unpackHalf(text)])));
    this.state = { row: 0, layer: -1, plane: "mean", image: 0, opacity: 0.75, style: "colour", smooth: false, outline: false, own: false };
    this.hover = null;
    this.pinned = null;
    this.build();
  }

  get image() {
    return this.view.images[this.state.image];
  }

  build() {
    const { strip, cards } = cardsPart(this.view, (row) => this.set({ row }));
    this.cards = cards;
    this.canvas = make("canvas", { class: "tv-canvas", id: "tv-big", tabindex: "0", role: "img", "data-testid": "heatmap" });
    this.caption = make("p", { class: "tv-caption", "aria-live": "polite", "data-testid": "caption" });
    this.scale = make("canvas", { class: "tv-scale", width: 240, height: 10, "aria-hidden": "true" });
    this.scaleTop = make("span", { "data-testid": "scale-top" });
    this.reverse = make("div", { class: "tv-reverse", "data-testid": "reverse" });
    this.wait = make("p", { class: "tv-faint", role: "status" });
    this.lens = lensPart(this.view, (row, layer) => this.set({ row, layer }));
    const bar = make("div", { class: "tv-scale-row" }, make("span", {}, "0"), this.scale, this.scaleTop);
    const stage = make("div", { class: "tv-stage" }, this.picker(), this.canvas, bar, this.caption);
    const side = make("div", { class: "tv-side" }, this.reverse, this.controls(), this.wait);
    this.node = make("div", { class: "tv-explorer" });
    const parts = [
      thinks(this.view)
        ? section(
            `The ${this.view.tokens.length - 1} think tokens`,
            "The model thinks in these hidden states instead of in words. Each card shows the words its state is nearest to, and where on the image it looks. Choose one with a click or the arrow keys.",
            strip,
          )
        : section("The embedding", "This model has no think tokens; its embedding is read from one token.", strip),
      this.view.images.length
        ? section(thinks(this.view) ? "Where the chosen thought looks" : "Where the embedding looks", "Attention shows where information was read from. It does not prove that it was used.", make("div", { class: "tv-columns" }, stage, side))
        : null,
      this.lens,
    ];
    this.node.append(...parts.filter(Boolean));
    this.listen();
  }

  picker() {
    if (this.view.images.length < 2) return null;
    const pick = (event) => this.set({ image: Number(event.target.value) });
    const options = this.view.images.map((image, i) => make("option", { value: i }, `Image ${i + 1}: ${image.name}`));
    return make("select", { class: "tv-select", "aria-label": "Which image", "data-testid": "image-select", onchange: pick }, options);
  }

  controls() {
    const { layers, heads } = this.view;
    const layer = make("input", { type: "range", min: 0, max: layers, step: 1, value: 0, "data-testid": "layer" });
    const layerSays = make("output", {}, "all");
    layer.addEventListener("input", () => this.set({ layer: Number(layer.value) - 1 }));
    this.showLayer = () => {
      layer.value = this.state.layer + 1;
      layerSays.textContent = this.state.layer < 0 ? "all" : `${this.state.layer + 1} of ${layers}`;
    };
    const planes = [["mean", "mean of all heads"], ["max", "strongest head"], ["top", "heads that look at the image most"]];
    for (let head = 0; head < heads; head += 1) planes.push([String(head), `head ${head + 1}`]);
    const select = (this.select = make("select", { class: "tv-select", "data-testid": "head" }, planes.map(([value, name]) => make("option", { value }, name))));
    select.addEventListener("change", () => this.choosePlane(select.value));
    const opacity = make("input", { type: "range", min: 0, max: 100, value: 75, "data-testid": "opacity" });
    opacity.addEventListener("input", () => this.set({ opacity: opacity.value / 100 }));
    const style = make("select", { class: "tv-select" }, make("option", { value: "colour" }, "colours"), make("option", { value: "spotlight" }, "spotlight"));
    style.addEventListener("change", () => this.set({ style: style.value }));
    return make(
      "div",
      { class: "tv-controls" },
      field("Layer", layerSays, layer, "How deep in the model; all takes the layers together."),
      field("Head", null, select, `Each layer looks with several heads at once; show them together or one alone.${"0" in (this.planes[0] || {}) ? "" : " This model is large: a single head is fetched when you choose it."}`),
      field("Overlay", null, style, "Colours lie over the image; a spotlight darkens what is not looked at."),
      field("Strength", null, opacity, "How strongly the heatmap covers the image."),
      this.check("smooth", "Smooth", "Blend neighbouring patches; off shows the patches the model really sees."),
      this.check("outline", "Patch borders", "Draw the grid of patches that the image is cut into."),
      this.check("own", "Own scale for each thought", "Brightest patch of each thought is full colour; off compares thoughts fairly."),
    );
  }

  check(name, title, about) {
    const box = make("input", { type: "checkbox", "data-testid": name });
    box.addEventListener("change", () => this.set({ [name]: box.checked }));
    return make("label", { class: "tv-check" }, box, make("span", {}, title, make("small", {}, about)));
  }

  async choosePlane(plane) {
    if (!(plane in this.planes[0])) {
      this.wait.textContent = "Fetching this head …";
      const answer = await this.ask("head_maps", { id: this.view.id, head: Number(plane) });
      this.wait.textContent = answer.error || "";
      if (answer.error) {
        if (this.select.value === plane) this.select.value = this.state.plane;
        return;
      }
      answer.planes.forEach((text, i) => (this.planes[i][plane] = unpackHalf(text)));
      if (this.select.value !== plane) return; // Another one was chosen meanwhile.
    }
    this.set({ plane });
  }

  listen() {
    const move = (event) => this.point(this.patchAt(event), false);
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerleave", () => this.point(null, false));
    this.canvas.addEventListener("click", (event) => this.point(this.patchAt(event), true));
    this.canvas.addEventListener("keydown", (event) => {
      const { rows, cols } = this.image;
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: cols, ArrowUp: -cols }[event.key];
      if (event.key === "Escape") this.pinned = null;
      else if (step) this.pinned = Math.min(Math.max((this.pinned ?? 0) + step, 0), rows * cols - 1);
      else return;
      event.preventDefault();
      this.draw();
    });
    this.resizer = new ResizeObserver(() => this.node.clientWidth !== this.drawnWidth && this.draw());
    this.resizer.observe(this.node);
  }

  patchAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const { rows, cols } = this.image;
    const col = Math.min(Math.floor(((event.clientX - box.left) / box.width) * cols), cols - 1);
    const row = Math.min(Math.floor(((event.clientY - box.top) / box.height) * rows), rows - 1);
    return row * cols + col;
  }

  point(patch, pin) {
    if (pin) this.pinned = this.pinned === patch ? null : patch;
    else if (patch === this.hover) return;
    this.hover = patch;
    this.draw();
  }

  set(change) {
    if ("image" in change) this.pinned = null;
    Object.assign(this.state, change);
    this.draw();
  }

  maps(image) {
    const { rows, cols } = this.view.images[image];
    return mapsOf(this.planes[image][this.state.plane], this.state.layer + 1, this.view.tokens.length, rows * cols);
  }

  draw() {
    const { state, view } = this;
    this.drawnWidth = this.node.clientWidth;
    markCard(this.cards, state.row);
    if (this.lens) markLens(this.lens, state.row, state.layer);
    this.showLayer();
    if (!view.images.length) return;
    const maps = this.maps(state.image);
    const shared = Math.max(...view.images.map((_, i) => largest(i === state.image ? maps : this.maps(i))));
    const topOf = (row) => (state.own ? largest([maps[row]]) : shared);
    const patch = this.hover ?? this.pinned;
    fit(this.canvas, this.image.width, this.image.height, this.canvas.parentElement.clientWidth || 480, 460);
    drawOverlay(this.canvas, this.image.element, maps[state.row], this.image, topOf(state.row), { ...state, cursor: patch });
    drawScale(this.scale, state.style);
    this.scaleTop.textContent = `${percent(topOf(state.row))} of its attention`;
    this.cards.forEach((card, row) => {
      const canvas = card.querySelector("canvas");
      fit(canvas, this.image.width, this.image.height, CARD_WIDTH, 96);
      drawOverlay(canvas, this.image.element, maps[row], this.image, topOf(row), { style: state.style, opacity: 0.75, smooth: state.smooth });
    });
    this.describe(maps, patch);
    this.canvas.dataset.digest = `${state.row}/${state.layer}/${state.plane}:${largest([maps[state.row]]).toExponential(6)}`;
  }

  describe(maps, patch) {
    const { state, view } = this;
    const map = maps[state.row];
    const total = map.reduce((sum, value) => sum + value, 0);
    const peak = map.indexOf(largest([map]));
    const place = (at) => `row ${Math.floor(at / this.image.cols) + 1}, column ${(at % this.image.cols) + 1}`;
    const where = state.layer < 0 ? "over all layers" : `in layer ${state.layer + 1}`;
    const who = { mean: "", top: ", the heads that look at the image most", max: ", the strongest head at each patch" }[state.plane] ?? `, head ${Number(state.plane) + 1}`;
    // Each patch has another strongest head, so such shares do not sum to anything.
    const share = state.plane === "max" ? "" : `${percent(total)} of its attention is on this image (${this.image.rows} × ${this.image.cols} patches); `;
    this.caption.textContent = `${view.tokens[state.row].label} ${where}${who}: ${share}the most watched patch is ${place(peak)} (${percent(map[peak])}).`;
    this.canvas.setAttribute("aria-label", `Heatmap. ${this.caption.textContent}`);
    const shown = patch ?? peak;
    const ranked = maps.map((values, row) => [values[shown], row]).sort((a, b) => b[0] - a[0]).slice(0, 5);
    const top = ranked[0][0] || 1;
    const bars = ranked.map(([value, row]) =>
      make("tr", { class: row === state.row ? "tv-chosen" : null }, make("td", {}, view.tokens[row].label), make("td", { class: "tv-bar-cell" }, make("span", { class: "tv-bar", style: `width:${(value / top) * 100}%` })), make("td", { class: "tv-number" }, percent(value))),
    );
    const title = `Who looks at ${place(shown)}${patch === null ? " (most watched)" : ""}`;
    const hint = "Point at any other patch of the image, or move over it with the arrow keys; a click keeps it.";
    this.reverse.replaceChildren(make("h4", {}, title), make("table", { class: "tv-table" }, make("tbody", {}, bars)), make("p", { class: "tv-faint" }, hint));
  }

  close() {
    this.resizer.disconnect();
  }
}

function field(title, says, control, about) {
  return make("label", { class: "tv-field" }, make("span", { class: "tv-field-title" }, title, says), control, make("small", {}, about));
}
