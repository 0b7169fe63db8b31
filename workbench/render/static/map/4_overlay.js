// What lies over the points: lines of thoughts and between checkpoints, labels of clusters, rings, and the lasso being drawn.

/** Lines drawn at most; more of them would hide the points and slow the page. */
const MAX_RUNS = 1_500;
/** Up to so many thoughts, or pairs, all lines are drawn without being asked for. */
const FEW_RUNS = 24;

class Overlay {
  constructor(canvas, data) {
    Object.assign(this, { canvas, data, pen: canvas.getContext("2d"), pending: false });
    this.state = { hover: -1, focus: -1, selected: [], lines: "chosen", labels: true, path: null, visible: null };
    this.labels = [];
  }

  /** Take the plot's view, places and colours; labels are put where their clusters' middles are. */
  place(plot, places, ink) {
    const moved = this.places !== places;
    Object.assign(this, { plot, places, ink });
    if (moved) this.labels = this.middles();
    this.ask();
  }

  set(changes) {
    Object.assign(this.state, changes);
    this.ask();
  }

  ask() {
    if (this.pending || !this.plot) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.draw();
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
    const { canvas, pen } = this;
    const sharp = window.devicePixelRatio || 1;
    const [width, height] = [Math.max(2, Math.round(canvas.clientWidth * sharp)), Math.max(2, Math.round(canvas.clientHeight * sharp))];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    this.view = this.plot.view;
    if (!this.view) return;
    this.drawPairs();
    this.drawRuns();
    if (this.state.labels) this.drawLabels();
    this.drawRings();
    if (this.state.path) this.drawPath(this.state.path);
  }

  at(point) {
    return toScreen(this.view, this.canvas, this.places.xs[point], this.places.ys[point]);
  }

  shows(point) {
    return !this.state.visible || this.state.visible[point] === 1;
  }

  chosenRuns() {
    const points = [this.state.hover, this.state.focus, ...this.state.selected.slice(0, 4_000)].filter((point) => point >= 0);
    const seen = new Map();
    for (const point of points) {
      const [first, last] = this.data.run(point);
      if (last - first > 1) seen.set(first, last);
      if (seen.size >= MAX_RUNS) break;
    }
    return [...seen];
  }

  drawRuns() {
    const { pen, state } = this;
    if (state.lines === "none" || this.data.head.of !== "thoughts") return;
    this.everyRun ??= this.data.runs();
    const all = state.lines === "all";
    const runs = all ? this.everyRun.slice(0, MAX_RUNS) : this.chosenRuns();
    const strong = new Set([state.hover, state.focus].filter((point) => point >= 0).map((point) => this.data.run(point)[0]));
    for (const [first, last] of runs) {
      const loud = strong.has(first);
      pen.globalAlpha = loud ? 1 : all ? 0.35 : 0.6;
      pen.lineWidth = loud ? 2 : 1;
      for (let i = first; i + 1 < last; i += 1) {
        if (!this.shows(i) || !this.shows(i + 1)) continue;
        pen.strokeStyle = shade((this.data.k[i] + 0.5) / Math.max(1, this.data.k[last - 1]), this.ink.dark);
        this.line(this.at(i), this.at(i + 1));
      }
      if (loud) this.numberSteps(first, last);
    }
    pen.globalAlpha = 1;
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
    const { pen, state } = this;
    const pairs = this.data.arrays.pairs;
    if (!pairs || state.lines === "none") return;
    const chosen = new Set([state.hover, state.focus, ...state.selected.slice(0, 4_000)]);
    pen.strokeStyle = this.ink.text;
    pen.lineWidth = 1.2;
    let drawn = 0;
    for (let row = 0; row < pairs.length && drawn < MAX_RUNS; row += 2) {
      const [one, other] = [pairs[row], pairs[row + 1]];
      const wanted = chosen.has(one) || chosen.has(other);
      if (!(wanted || state.lines === "all") || !this.shows(one) || !this.shows(other)) continue;
      pen.globalAlpha = wanted ? 0.85 : 0.25;
      const [from, to] = [this.at(one), this.at(other)];
      this.line(from, to);
      this.head(from, to);
      drawn += 1;
    }
    pen.globalAlpha = 1;
  }

  line([x0, y0], [x1, y1]) {
    this.pen.beginPath();
    this.pen.moveTo(x0, y0);
    this.pen.lineTo(x1, y1);
    this.pen.stroke();
  }

  /** An arrow's head, from the first checkpoint to the second. */
  head([x0, y0], [x1, y1]) {
    const far = Math.hypot(x1 - x0, y1 - y0);
    if (far < 14) return;
    const turn = Math.atan2(y1 - y0, x1 - x0);
    for (const side of [-0.45, 0.45]) this.line([x1, y1], [x1 - 7 * Math.cos(turn + side), y1 - 7 * Math.sin(turn + side)]);
  }

  drawLabels() {
    const { pen, canvas } = this;
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
    if (wide > 3 && high > 3) this.done(thin(path), event);
  }

  drop() {
    this.path = null;
    this.changed(null);
  }
}

/** At most 400 corners, evenly left out. */
function thin(path) {
  const step = Math.ceil(path.length / 400);
  return path.filter((_, i) => i % step === 0);
}
