// Where the points are painted: with WebGL through regl-scatterplot, or without it on a plain canvas. Both do the same things.

/** Points that a plain canvas still draws at a bearable pace. */
const PLAIN_LIMIT = 20_000;

function hasWebGL() {
  try {
    const pen = document.createElement("canvas").getContext("webgl");
    const usable = Boolean(pen && pen.getExtension("OES_texture_float"));
    pen?.getExtension("WEBGL_lose_context")?.loseContext();
    return usable;
  } catch {
    return false;
  }
}

function sizeOf(n) {
  return n < 400 ? 10 : n < 3_000 ? 7 : n < 20_000 ? 5 : n < 100_000 ? 3.5 : 2.5;
}

function opacityOf(n) {
  return n < 3_000 ? 0.9 : n < 20_000 ? 0.75 : n < 100_000 ? 0.6 : 0.45;
}

/** `events`: hover(point or -1), pick(point), moved(). Places are -1 ... 1; `view` is a column-major 4 x 4 matrix. */
class GlPlot {
  constructor(canvas, engine, events, background) {
    this.canvas = canvas;
    this.plot = engine.createScatterplot({
      canvas,
      width: "auto",
      height: "auto",
      backgroundColor: background,
      actionKeyMap: {},
      lassoInitiator: false,
      deselectOnDblClick: false,
      deselectOnEscape: false,
      colorBy: "valueA",
      pointOutlineWidth: 1.5,
      pointSizeSelected: 3,
      opacityInactiveScale: 0.3,
      pointColorHover: "#ffffff",
      showReticle: false,
    });
    this.plot.subscribe("pointOver", (point) => events.hover(point));
    this.plot.subscribe("pointOut", () => events.hover(-1));
    this.plot.subscribe("select", ({ points }) => events.pick(points[points.length - 1]));
    this.plot.subscribe("draw", () => events.moved());
  }

  async draw(xs, ys, codes, colours, animated = false) {
    const sameColours = this.colours === colours;
    this.colours = colours;
    const samePlaces = this.xs === xs && this.plot.get("spatialIndex");
    const again = this.xs && this.xs.length === xs.length;
    Object.assign(this, { xs, ys, codes });
    if (!sameColours) await this.plot.set({ pointColor: colours, pointSize: sizeOf(xs.length), opacity: opacityOf(xs.length) });
    // With one colour alone regl-scatterplot falls back to one state for all; a second that is not used keeps it a list.
    if (colours.length === 1) await this.plot.set({ pointColor: [colours[0], colours[0]] });
    const options = { zDataType: "categorical", preventFilterReset: Boolean(again) };
    if (samePlaces) options.spatialIndex = this.plot.get("spatialIndex");
    else if (again && animated) Object.assign(options, { transition: true, transitionDuration: 700 });
    await this.plot.draw({ x: xs, y: ys, valueA: codes }, options);
  }

  select(points) {
    if (points.length) this.plot.select([...points], { preventEvent: true });
    else this.plot.deselect({ preventEvent: true });
  }

  /** Show only these points; null shows all. */
  async filter(points) {
    if (points) await this.plot.filter(points, { preventEvent: true });
    else await this.plot.unfilter({ preventEvent: true });
  }

  get view() {
    return this.plot.get("cameraView");
  }

  zoomTo(points, animated) {
    return this.plot.zoomToPoints(points, { padding: points.length > 1 ? 0.4 : 30, transition: animated, transitionDuration: 500 });
  }

  home() {
    return this.plot.zoomToLocation([0, 0], 1);
  }

  zoomBy(factor) {
    const view = this.view;
    const scale = Math.hypot(view[0], view[1]);
    return this.plot.zoomToLocation([-view[12] / scale, -view[13] / scale], 1 / (scale * factor));
  }

  async repaint(background) {
    await this.plot.set({ backgroundColor: background });
  }

  destroy() {
    this.plot.destroy();
  }
}

/** The same on a plain canvas, for browsers without WebGL. */
class PlainPlot {
  constructor(canvas, events, background) {
    Object.assign(this, { canvas, events, background, chosen: new Set(), shown: null });
    this.pen = canvas.getContext("2d");
    this.view = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
    this.stop = new AbortController();
    this.watcher = new ResizeObserver(() => this.redraw());
    this.watcher.observe(canvas);
    this.listen();
  }

  listen() {
    const on = (target, name, handler) => target.addEventListener(name, handler, { signal: this.stop.signal, passive: false });
    let held = null;
    on(this.canvas, "pointerdown", (event) => {
      held = { x: event.clientX, y: event.clientY, moved: false };
      this.canvas.setPointerCapture(event.pointerId);
    });
    on(this.canvas, "pointermove", (event) => {
      if (!held) return this.events.hover(this.nearest(event));
      const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
      if (!held.moved && Math.hypot(dx, dy) < 4) return undefined;
      Object.assign(held, { x: event.clientX, y: event.clientY, moved: true });
      this.view[12] += (2 * dx) / this.canvas.clientHeight;
      this.view[13] -= (2 * dy) / this.canvas.clientHeight;
      return this.redraw();
    });
    on(this.canvas, "pointerup", (event) => {
      const point = held && !held.moved ? this.nearest(event) : -1;
      held = null;
      if (point >= 0) this.events.pick(point);
    });
    on(this.canvas, "pointerleave", () => this.events.hover(-1));
    on(this.canvas, "wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400));
    });
  }

  async draw(xs, ys, codes, colours) {
    Object.assign(this, { xs, ys, codes, colours });
    this.redraw();
  }

  nearest(event) {
    const box = this.canvas.getBoundingClientRect();
    let [best, distance] = [-1, 12];
    for (let i = 0; i < this.xs.length; i += 1) {
      if (this.shown && !this.shown.has(i)) continue;
      const [x, y] = toScreen(this.view, this.canvas, this.xs[i], this.ys[i]);
      const far = Math.hypot(x - event.clientX + box.left, y - event.clientY + box.top);
      if (far < distance) [best, distance] = [i, far];
    }
    return best;
  }

  redraw() {
    if (!this.xs) return;
    const sharp = window.devicePixelRatio || 1;
    const { canvas, pen } = this;
    canvas.width = Math.max(2, canvas.clientWidth * sharp);
    canvas.height = Math.max(2, canvas.clientHeight * sharp);
    pen.scale(sharp, sharp);
    pen.fillStyle = this.background;
    pen.fillRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    const radius = sizeOf(this.xs.length) / 2;
    for (let i = 0; i < this.xs.length; i += 1) {
      if (this.shown && !this.shown.has(i)) continue;
      const [x, y] = toScreen(this.view, canvas, this.xs[i], this.ys[i]);
      pen.globalAlpha = this.chosen.size && !this.chosen.has(i) ? 0.25 : 0.9;
      pen.fillStyle = this.colours[this.codes[i]];
      pen.beginPath();
      pen.arc(x, y, this.chosen.has(i) ? radius + 1.5 : radius, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
    this.events.moved();
  }

  select(points) {
    this.chosen = new Set(points);
    this.redraw();
  }

  async filter(points) {
    this.shown = points ? new Set(points) : null;
    this.redraw();
  }

  zoomTo(points) {
    const ends = [points.map((i) => this.xs[i]), points.map((i) => this.ys[i])].map((values) => [Math.min(...values), Math.max(...values)]);
    const wide = Math.max(...ends.map(([low, high]) => high - low), 0.06);
    this.look(1.3 / wide, ...ends.map(([low, high]) => (low + high) / 2));
  }

  look(scale, x, y) {
    Object.assign(this.view, { 0: scale, 5: scale, 12: -x * scale, 13: -y * scale });
    this.redraw();
  }

  home() {
    this.look(1, 0, 0);
  }

  zoomBy(factor) {
    const scale = this.view[0];
    this.look(Math.min(500, Math.max(0.2, scale * factor)), -this.view[12] / scale, -this.view[13] / scale);
  }

  async repaint(background) {
    this.background = background;
    this.redraw();
  }

  destroy() {
    this.stop.abort();
    this.watcher.disconnect();
  }
}

/** Pixels of the canvas' box for a place; one unit of a place is half the box's height. */
function toScreen(view, canvas, x, y) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [cx, cy] = [view[0] * x + view[4] * y + view[12], view[1] * x + view[5] * y + view[13]];
  return [width / 2 + (cx * height) / 2, height / 2 - (cy * height) / 2];
}

function toPlace(view, canvas, px, py) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [cx, cy] = [((px - width / 2) * 2) / height - view[12], ((height / 2 - py) * 2) / height - view[13]];
  const area = view[0] * view[5] - view[1] * view[4];
  return [(view[5] * cx - view[4] * cy) / area, (view[0] * cy - view[1] * cx) / area];
}
