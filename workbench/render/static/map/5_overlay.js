// What lies over the points: lines of thoughts and between checkpoints, labels of clusters, rings, and the lasso being drawn.

/** Lines drawn at most, and at most while the map moves without a graphics card; more would hide the points and slow the page. */
const MAX_LINES = 1_500;
const MOVING_LINES = 250;
/** Corners of a lasso that are asked about. */
const MAX_CORNERS = 400;
/** Up to so many thoughts, or pairs, all lines are drawn without being asked for. */
const FEW_RUNS = 24;

class Overlay {
  constructor(canvas, data) {
    Object.assign(this, { own: canvas, canvas, data, pending: false });
    this.state = { hover: -1, focus: -1, selected: [], lines: "chosen", labels: true, path: null, visible: null };
    this.labels = [];
  }

  /** Take the plot's view, places and colours; labels are put where their clusters' middles are. */
  place(plot, places, ink) {
    const moved = this.places !== places;
    // Two canvases that change at every frame take twice as long to be put together, so where points are pixels, all is in one.
    this.shared = plot instanceof PixelPlot;
    this.canvas = this.shared ? plot.canvas : this.own;
    Object.assign(this, { plot, places, ink, pen: this.canvas.getContext("2d") });
    if (moved) this.labels = this.middles();
    this.ask();
  }

  set(changes) {
    Object.assign(this.state, changes);
    if (!("path" in changes)) this.lines = null;
    this.ask();
  }

  ask() {
    if (this.pending || !this.plot) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      if (this.shared) this.plot.again();
      else this.draw();
    });
  }

  middles() {
    const column = this.data.columns.find((one) => one.name === "cluster");
    if (!column) return [];
    const codes = this.data.values(column);
    const members = this.data.head.clusters.map(() => []);
    for (let i = 0; i < this.data.n; i += 1) members[codes[i]]?.push(i);
    return this.data.head.clusters
      .map((cluster, code) => ({ text: cluster.label, size: cluster.size, x: median(members[code], this.places.xs), y: median(members[code], this.places.ys) }))
      .filter((label) => label.text && label.size > 0)
      .sort((one, other) => other.size - one.size);
  }

  draw() {
    if (!this.plot) return;
    const { canvas, pen } = this;
    const sharp = window.devicePixelRatio || 1;
    if (!this.shared) {
      const [width, height] = [Math.max(2, Math.round(canvas.clientWidth * sharp)), Math.max(2, Math.round(canvas.clientHeight * sharp))];
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      pen.clearRect(0, 0, width, height);
    }
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    this.view = this.plot.view;
    // Asked once: the browser may have to lay out the page for each answer.
    this.box = { clientWidth: canvas.clientWidth, clientHeight: canvas.clientHeight };
    if (!this.view) return;
    if (!this.lines) this.findLines();
    this.drawPairs();
    this.drawRuns();
    if (this.state.labels) this.drawLabels();
    this.drawRings();
    if (this.state.path) this.drawPath(this.state.path);
  }

  at(point) {
    return toScreen(this.view, this.box, this.places.xs[point], this.places.ys[point]);
  }

  shows(point) {
    return !this.state.visible || this.state.visible[point] === 1;
  }

  /** The thoughts of what is pointed at, kept and selected, as [first, behind last]. */
  chosenRuns() {
    const seen = new Map();
    for (const point of [this.state.hover, this.state.focus, ...this.state.selected]) {
      const [first, last] = point < 0 ? [0, 0] : this.data.run(point);
      if (last - first > 1) seen.set(first, last);
    }
    return [...seen];
  }

  /** Pairs to be joined, as [one, other]: those of what is chosen, or all. */
  joined(chosenAlone) {
    const { pairs } = this.data.arrays;
    const chosen = chosenAlone ? new Set([this.state.hover, this.state.focus, ...this.state.selected]) : null;
    const found = [];
    for (let row = 0; row < pairs.length; row += 2) {
      const [one, other] = [pairs[row], pairs[row + 1]];
      if ((!chosen || chosen.has(one) || chosen.has(other)) && this.shows(one) && this.shows(other)) found.push([one, other]);
    }
    return found;
  }

  /** Which lines there are to draw; found anew when what is chosen changes, not at every frame. */
  findLines() {
    const { state, data } = this;
    const all = state.lines === "all";
    const none = state.lines === "none";
    this.everyRun ??= data.runs();
    const runs = none || data.head.of !== "thoughts" ? [] : all ? this.everyRun : this.chosenRuns();
    const chosenPairs = none || !data.arrays.pairs ? [] : this.joined(true);
    const pairs = all && data.arrays.pairs ? this.joined(false) : [];
    this.lines = { runs: some(runs, MAX_LINES), chosenPairs: some(chosenPairs, MAX_LINES), pairs: some(pairs, MAX_LINES) };
    const most = Math.max(runs.length, chosenPairs.length, pairs.length);
    this.told?.(most > MAX_LINES ? `Lines of ${MAX_LINES.toLocaleString("en-GB")} of ${counted(most, runs.length === most ? "thought" : "pair")} are drawn.` : "");
  }

  /** While the map moves without a graphics card, few lines do. */
  few(lines) {
    return this.shared && this.plot.moving ? some(lines, MOVING_LINES) : lines;
  }

  drawRuns() {
    const { pen, state } = this;
    const strong = new Map(this.lines.runs.length ? [state.hover, state.focus].filter((point) => point >= 0).map((point) => this.data.run(point)) : []);
    Object.assign(pen, { globalAlpha: state.lines === "all" ? 0.35 : 0.6, lineWidth: 1 });
    this.strokeRuns(this.few(this.lines.runs).filter(([first]) => !strong.has(first)));
    Object.assign(pen, { globalAlpha: 1, lineWidth: 2 });
    this.strokeRuns([...strong]);
    for (const [first, last] of strong) if (last - first > 1) this.numberSteps(first, last);
  }

  /** Join the steps of thoughts. All lines of one colour are one path: a path for each line takes ten times as long. */
  strokeRuns(runs) {
    const paths = new Map();
    for (const [first, last] of runs) {
      for (let i = first; i + 1 < last; i += 1) {
        if (!this.shows(i) || !this.shows(i + 1)) continue;
        const share = (this.data.k[i] + 0.5) / Math.max(1, this.data.k[last - 1]);
        if (!paths.has(share)) paths.set(share, []);
        paths.get(share).push(i);
      }
    }
    for (const [share, starts] of paths) {
      this.pen.strokeStyle = shade(share, this.ink.dark);
      this.pen.beginPath();
      for (const i of starts) this.join(this.at(i), this.at(i + 1));
      this.pen.stroke();
    }
  }

  numberSteps(first, last) {
    const { pen } = this;
    pen.font = "600 11px system-ui, sans-serif";
    pen.textAlign = "center";
    for (let i = first; i < last; i += 1) {
      if (!this.shows(i)) continue;
      const [x, y] = this.at(i);
      this.write(String(this.data.k[i] + 1), x, y - 9);
    }
  }

  drawPairs() {
    const { pen } = this;
    Object.assign(pen, { strokeStyle: this.ink.text, lineWidth: 1.2 });
    for (const [pairs, opacity] of [[this.lines.pairs, 0.25], [this.lines.chosenPairs, 0.85]]) {
      pen.globalAlpha = opacity;
      pen.beginPath();
      for (const [one, other] of this.few(pairs)) this.arrow(this.at(one), this.at(other));
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  join([x0, y0], [x1, y1]) {
    this.pen.moveTo(x0, y0);
    this.pen.lineTo(x1, y1);
  }

  /** From the first checkpoint to the second; a short one has no head. */
  arrow([x0, y0], [x1, y1]) {
    this.join([x0, y0], [x1, y1]);
    if (Math.hypot(x1 - x0, y1 - y0) < 14) return;
    const turn = Math.atan2(y1 - y0, x1 - x0);
    for (const side of [-0.45, 0.45]) this.join([x1, y1], [x1 - 7 * Math.cos(turn + side), y1 - 7 * Math.sin(turn + side)]);
  }

  drawLabels() {
    const { pen, box: canvas } = this;
    const taken = [];
    pen.font = "600 12.5px system-ui, sans-serif";
    pen.textAlign = "center";
    for (const label of this.labels) {
      const text = label.text.length > 34 ? `${label.text.slice(0, 33)}…` : label.text;
      const half = pen.measureText(text).width / 2 + 4;
      let [x, y] = toScreen(this.view, canvas, label.x, label.y);
      if (x < 0 || y < 0 || x > canvas.clientWidth || y > canvas.clientHeight) continue;
      x = Math.min(Math.max(x, half), canvas.clientWidth - half);
      y = Math.min(Math.max(y, 12), canvas.clientHeight - 12);
      const box = [x - half, y - 10, x + half, y + 8];
      if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      taken.push(box);
      this.write(text, x, y + 4);
    }
  }

  write(text, x, y) {
    const { pen } = this;
    pen.lineJoin = "round";
    pen.lineWidth = 4;
    pen.strokeStyle = this.ink.ground;
    pen.strokeText(text, x, y);
    pen.fillStyle = this.ink.text;
    pen.fillText(text, x, y);
  }

  drawRings() {
    const { pen, state } = this;
    for (const [point, colour, radius] of [[state.focus, this.ink.accent, 9], [state.hover, this.ink.text, 7]]) {
      if (point < 0 || !this.shows(point)) continue;
      const [x, y] = this.at(point);
      pen.lineWidth = 2.5;
      pen.strokeStyle = colour;
      pen.beginPath();
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  drawPath(path) {
    const { pen } = this;
    pen.beginPath();
    path.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.closePath();
    pen.globalAlpha = 0.12;
    pen.fillStyle = this.ink.accent;
    pen.fill();
    pen.globalAlpha = 1;
    pen.lineWidth = 1.5;
    pen.strokeStyle = this.ink.accent;
    pen.stroke();
  }
}

/** At most so many of a list, evenly left out. */
function some(list, limit) {
  return list.length <= limit ? list : Array.from({ length: limit }, (_, i) => list[Math.floor((i * list.length) / limit)]);
}

function median(points, values) {
  if (!points.length) return 0;
  const sorted = points.map((point) => values[point]).sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Draw a lasso or a box on `canvas` with the pointer; `done(path)` gets its corners in pixels, or is not called for a mere click. */
class Drawing {
  constructor(canvas, { changed, done }) {
    Object.assign(this, { canvas, changed, done, shape: "lasso", path: null });
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.go(event));
    canvas.addEventListener("pointerup", (event) => this.end(event));
    canvas.addEventListener("pointercancel", () => this.drop());
  }

  spot(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  begin(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.start = this.spot(event);
    this.path = [this.start];
  }

  go(event) {
    if (!this.path) return;
    const [x, y] = this.spot(event);
    if (this.shape === "box") {
      const [x0, y0] = this.start;
      this.path = [[x0, y0], [x, y0], [x, y], [x0, y]];
    } else {
      const [lastX, lastY] = this.path[this.path.length - 1];
      if (Math.hypot(x - lastX, y - lastY) > 3) this.path.push([x, y]);
    }
    this.changed(this.path);
  }

  end(event) {
    const path = this.path;
    this.drop();
    if (!path || path.length < 3) return;
    const wide = Math.max(...path.map(([x]) => x)) - Math.min(...path.map(([x]) => x));
    const high = Math.max(...path.map(([, y]) => y)) - Math.min(...path.map(([, y]) => y));
    if (wide > 3 && high > 3) this.done(some(path, MAX_CORNERS), event);
  }

  drop() {
    this.path = null;
    this.changed(null);
  }
}

