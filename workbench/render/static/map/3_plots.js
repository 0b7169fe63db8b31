// Where the points are painted: by a graphics card through WebGL and regl-scatterplot, else by the processor. Both do the same.

/** Names under which WebGL runs on the processor: 200,000 points take it a quarter of a second. */
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;
/** Milliseconds of a frame beyond which a movement is no longer fluid. */
const SLUGGISH = 45;
/** Milliseconds after the last turn of the wheel at which the map rests. */
const REST_AFTER = 160;

/** "card", "software", or "" where there is no WebGL that can be used. */
function webglKind() {
  try {
    const pen = document.createElement("canvas").getContext("webgl");
    if (!pen || !pen.getExtension("OES_texture_float")) return "";
    const told = pen.getExtension("WEBGL_debug_renderer_info");
    const name = String(pen.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : pen.RENDERER));
    pen.getExtension("WEBGL_lose_context")?.loseContext();
    return SOFTWARE.test(name) ? "software" : "card";
  } catch {
    return "";
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
    this.fit();
    this.watcher = new ResizeObserver(() => this.fit());
    this.watcher.observe(canvas);
    this.stop = new AbortController();
    window.addEventListener("resize", () => this.fit(), { signal: this.stop.signal });
    this.plot.subscribe("pointOver", (point) => events.hover(point));
    this.plot.subscribe("pointOut", () => events.hover(-1));
    this.plot.subscribe("select", ({ points }) => events.pick(points[points.length - 1]));
    this.plot.subscribe("draw", () => events.moved());
  }

  /** As many pixels as are seen: on its own it paints as many as the window has, at every frame. */
  fit() {
    const renderer = this.plot.get("renderer");
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (width && height) renderer.resize(width, height);
    this.plot.redraw();
  }

  /** Whether even the quickest of a few frames is too slow; each is waited for until the card has finished it. */
  async isSluggish() {
    const pen = this.plot.get("renderer").canvas.getContext("webgl");
    const times = [];
    await new Promise((resolve) => {
      const frame = () => {
        pen.readPixels(0, 0, 1, 1, pen.RGBA, pen.UNSIGNED_BYTE, new Uint8Array(4));
        times.push(performance.now());
        if (times.length === 4) resolve();
        else this.plot.redraw();
      };
      this.plot.subscribe("drawing", frame, 4);
      this.plot.redraw();
    });
    return Math.min(...times.slice(1).map((time, i) => time - times[i])) > SLUGGISH;
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

  /** Show only the points that a mask marks; null shows all. */
  async filter(visible) {
    if (visible) await this.plot.filter(indicesOf(visible), { preventEvent: true });
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
    this.stop.abort();
    this.watcher.disconnect();
    this.plot.destroy();
  }
}

/** The same without a graphics card: the camera is here, the painting is `PixelPainter`'s. */
class PixelPlot {
  constructor(canvas, events, background, edge) {
    Object.assign(this, { canvas, events, background, edge, visible: null, chosen: null, moving: false, pending: false });
    this.painter = new PixelPainter(canvas);
    this.view = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
    this.stop = new AbortController();
    this.watcher = new ResizeObserver(() => this.ask());
    this.watcher.observe(canvas);
    this.listen();
  }

  listen() {
    const on = (target, name, handler) => target.addEventListener(name, handler, { signal: this.stop.signal, passive: false });
    let held = null;
    on(this.canvas, "pointerdown", (event) => {
      if (event.button !== 0) return;
      held = { x: event.clientX, y: event.clientY, moved: false };
      this.tween = null;
      this.canvas.setPointerCapture(event.pointerId);
    });
    on(this.canvas, "pointermove", (event) => {
      if (!held) return this.events.hover(this.nearest(event));
      const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
      if (!held.moved && Math.hypot(dx, dy) < 4) return undefined;
      Object.assign(held, { x: event.clientX, y: event.clientY, moved: true });
      this.view[12] += (2 * dx) / this.canvas.clientHeight;
      this.view[13] -= (2 * dy) / this.canvas.clientHeight;
      return this.move();
    });
    const release = () => {
      if (held?.moved) this.rest();
      held = null;
    };
    on(this.canvas, "pointerup", (event) => {
      const point = held && !held.moved ? this.nearest(event) : -1;
      release();
      if (point >= 0) this.events.pick(point);
    });
    on(this.canvas, "pointercancel", release);
    on(this.canvas, "pointerleave", () => this.events.hover(-1));
    on(this.canvas, "wheel", (event) => {
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1);
      this.tween = null;
      this.zoomAround(Math.exp(-Math.max(-240, Math.min(240, pixels)) / 300), event);
    });
  }

  async draw(xs, ys, codes, colours, animated = false) {
    const before = animated && this.xs?.length === xs.length ? [this.xs, this.ys] : null;
    Object.assign(this, { xs, ys, codes });
    this.painter.dip(colours, opacityOf(xs.length), this.background, this.edge);
    this.painter.take(xs, ys, codes);
    this.painter.mark(this.visible, this.chosen);
    if (before) {
      await this.during(700, (t) => this.painter.between(before, [xs, ys], t));
      // However it ended.
      this.painter.between([xs, ys], [xs, ys], 1);
    }
    this.paint();
  }

  /** Do something at every frame of some milliseconds with the share that is over, from slow to quick to slow; resolves when done, or given up. */
  during(milliseconds, act) {
    const [begun, mine] = [performance.now(), {}];
    this.tween = mine;
    return new Promise((resolve) => {
      const go = () => {
        const t = Math.min(1, (performance.now() - begun) / milliseconds);
        if (this.tween !== mine || this.stop.signal.aborted) return resolve();
        act(t * t * (3 - 2 * t));
        this.paint(t < 1);
        return t < 1 ? requestAnimationFrame(go) : resolve();
      };
      go();
    });
  }

  get diameter() {
    const [size, scale] = [sizeOf(this.xs.length), this.view[0]];
    // As regl-scatterplot has it.
    return scale > 1 ? (size * Math.asinh(scale)) / Math.asinh(1) : Math.max(1, size * scale);
  }

  nearest(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = toPlace(this.view, this.canvas, event.clientX - box.left, event.clientY - box.top);
    const { xs, ys, visible } = this;
    const reach = ((this.diameter / 2 + 5) * 2) / (this.canvas.clientHeight * this.view[0]);
    let [best, least] = [-1, reach * reach];
    for (let i = 0; i < xs.length; i += 1) {
      const far = (xs[i] - x) * (xs[i] - x) + (ys[i] - y) * (ys[i] - y);
      if (far < least && (!visible || visible[i])) [best, least] = [i, far];
    }
    return best;
  }

  /** Paint at the next frame, however often it is asked for until then. */
  ask() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      if (!this.stop.signal.aborted) this.paint(this.moving);
    });
  }

  /** The camera moves. */
  move() {
    this.moving = true;
    clearTimeout(this.still);
    this.ask();
  }

  /** It has come to rest. */
  rest() {
    this.moving = false;
    this.ask();
  }

  /** Show the points again that were painted last, with what lies over them as it is now. */
  again() {
    if (!this.painter.image) return;
    this.painter.put();
    this.events.moved();
  }

  paint(moving = false) {
    if (!this.xs) return;
    this.plain = this.painter.paint(this.view, this.diameter, moving);
    this.events.moved();
  }

  select(points) {
    this.chosen = points.length ? new Uint8Array(this.xs.length) : null;
    for (const point of points) this.chosen[point] = 1;
    this.mark();
  }

  async filter(visible) {
    this.visible = visible;
    this.mark();
  }

  mark() {
    this.painter.mark(this.visible, this.chosen);
    this.ask();
  }

  async zoomTo(points, animated) {
    const [x0, x1] = ends(points, this.xs);
    const [y0, y1] = ends(points, this.ys);
    await this.look(1.3 / Math.max(x1 - x0, y1 - y0, 0.06), (x0 + x1) / 2, (y0 + y1) / 2, animated ? 500 : 0);
  }

  /** Put a place into the middle, at a scale, within some milliseconds. */
  async look(scale, x, y, milliseconds = 0) {
    const from = [this.view[0], -this.view[12] / this.view[0], -this.view[13] / this.view[0]];
    const show = (t) => {
      const at = from[0] * (scale / from[0]) ** t;
      // The middle goes along with the scale, so that the way looks straight.
      const share = scale === from[0] ? t : (1 / from[0] - 1 / at) / (1 / from[0] - 1 / scale);
      Object.assign(this.view, { 0: at, 5: at, 12: -(from[1] + share * (x - from[1])) * at, 13: -(from[2] + share * (y - from[2])) * at });
    };
    if (milliseconds) await this.during(milliseconds, show);
    else {
      show(1);
      this.ask();
    }
  }

  home() {
    return this.look(1, 0, 0);
  }

  zoomBy(factor) {
    const scale = this.view[0];
    return this.look(Math.min(500, Math.max(0.2, scale * factor)), -this.view[12] / scale, -this.view[13] / scale);
  }

  /** Nearer or farther, and what is under the pointer stays there. */
  zoomAround(factor, event) {
    const box = this.canvas.getBoundingClientRect();
    const [cx, cy] = [((event.clientX - box.left - box.width / 2) * 2) / box.height, ((box.top + box.height / 2 - event.clientY) * 2) / box.height];
    const scale = Math.min(500, Math.max(0.2, this.view[0] * factor));
    const grown = scale / this.view[0];
    Object.assign(this.view, { 0: scale, 5: scale, 12: cx + (this.view[12] - cx) * grown, 13: cy + (this.view[13] - cy) * grown });
    this.move();
    this.still = setTimeout(() => this.rest(), REST_AFTER);
  }

  async repaint(background, edge) {
    Object.assign(this, { background, edge });
  }

  destroy() {
    this.stop.abort();
    clearTimeout(this.still);
    this.watcher.disconnect();
  }
}

/** Least and greatest of some points' values. */
function ends(points, values) {
  let [low, high] = [Infinity, -Infinity];
  for (const point of points) {
    if (values[point] < low) low = values[point];
    if (values[point] > high) high = values[point];
  }
  return [low, high];
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
