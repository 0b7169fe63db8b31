// What a person does with the map: pointing, clicking, drawing a lasso, searching, and the same with the keyboard.

Object.assign(MapView.prototype, {
  listen() {
    this.stop = new AbortController();
    const on = (target, name, handler) => target.addEventListener(name, handler, { signal: this.stop.signal });
    on(this.stage, "keydown", (event) => this.key(event));
    on(this.stage, "pointerdown", (event) => {
      this.pressed = { adds: event.shiftKey, takes: event.altKey };
      this.stage.focus({ preventScroll: true });
    });
    on(this.stage, "pointermove", (event) => this.moveTip(event));
    on(this.stage, "pointerleave", () => this.hover(-1));
    on(this.stage, "dblclick", ({ target }) => target === this.canvas && this.current.focus >= 0 && this.source.open?.(this.data.sample[this.current.focus], this.data.checkpoint[this.current.focus]));
    // While a shape can be drawn, the canvas for it lies over the points.
    on(this.over, "wheel", (event) => {
      event.preventDefault();
      this.canvas.dispatchEvent(new WheelEvent("wheel", event));
    });
    on(window, "resize", () => this.overlay.ask());
  },

  async hover(point) {
    if (this.current.hover === point) return;
    this.current.hover = point;
    this.overlay.set({ hover: point });
    this.stage.style.cursor = point >= 0 ? "pointer" : "";
    if (point < 0) {
      this.tip.hidden = true;
      return;
    }
    const [one] = await this.words([this.data.sample[point]]);
    if (this.current.hover !== point) return;
    const value = this.column ? this.data.valueText(this.column, point) : "";
    this.tip.replaceChildren(make("p", { class: "mp-faint" }, this.data.nameOf(point, one)), samplePart(this.data.head, { ...one, thoughts: this.thoughtsOf(one, point) }), value ? make("p", { class: "mp-faint" }, `${this.column.name}: ${value}`) : "");
    this.tip.dataset.point = point;
    this.tip.hidden = false;
    this.placeTip();
  },

  /** Of two checkpoints, only the thought under the one that the point belongs to. */
  thoughtsOf(one, point) {
    return one.thoughts.map((thought, number) => (number === this.data.checkpoint[point] ? thought : ""));
  },

  moveTip(event) {
    const box = this.stage.getBoundingClientRect();
    this.pointer = [event.clientX - box.left, event.clientY - box.top];
    if (!this.tip.hidden) this.placeTip();
  },

  placeTip() {
    const [x, y] = this.pointer || [0, 0];
    const [width, height] = [this.tip.offsetWidth, this.tip.offsetHeight];
    const left = x + 18 + width > this.stage.clientWidth ? x - width - 14 : x + 18;
    this.tip.style.left = `${Math.max(4, left)}px`;
    this.tip.style.top = `${Math.max(4, Math.min(y + 14, this.stage.clientHeight - height - 4))}px`;
  },

  async pick(point) {
    if (point === undefined || point < 0) return;
    const { adds, takes } = this.pressed || {};
    this.plot?.select(this.current.selected);
    if (adds || takes) await this.merge([point], { adds, takes }, "");
    else {
      await this.focus(point);
      await this.select([point], "clicked");
    }
  },

  /** Keep a point in the side panel, with its neighbours. */
  async focus(point, moves = false) {
    this.current.focus = point;
    this.overlay.set({ focus: point });
    if (moves) await this.plot?.zoomTo([point], !calm());
    const [one] = await this.words([this.data.sample[point]]);
    const near = (await this.guarded(() => this.source.near(point))) || { points: [], distances: [] };
    near.words = await this.words(near.points.map((other) => this.data.sample[other]));
    if (this.current.focus !== point) return;
    const open = this.source.open ? () => this.source.open(this.data.sample[point], this.data.checkpoint[point]) : null;
    this.point.replaceChildren(pointPart(this, point, one, near, { open, go: (other) => this.focus(other) }));
    this.say(`${this.data.nameOf(point, one)}. ${one.text} ${this.thoughtsOf(one, point).join("")}`);
  },

  /** Make points the selection; `how` ends the sentence about it. */
  async select(points, how) {
    this.current.selected = points;
    this.plot?.select(points);
    this.overlay.set({ selected: points });
    this.warn("");
    await this.selection.set(points, how);
  },

  async merge(points, { adds, takes }, how) {
    const mine = new Set(this.current.selected);
    if (!adds && !takes) mine.clear();
    for (const point of points) {
      if (takes) mine.delete(point);
      else mine.add(point);
    }
    await this.select([...mine].sort((one, other) => one - other), mine.size ? how : "");
  },

  /** Select what lies in a drawn shape; the source says what that is. */
  async inside(path, event) {
    const places = this.data.places(this.projection);
    const polygon = path.map(([px, py]) => {
      const [x, y] = toPlace(this.plot.view, this.over, px, py);
      return [x * places.half + places.centre[0], y * places.half + places.centre[1]];
    });
    const keys = { adds: event.shiftKey, takes: event.altKey };
    const found = await this.guarded(() => this.source.inside(this.projection, polygon));
    if (found) await this.merge(found.filter((point) => this.isVisible(point)), keys, "inside the shape");
  },

  async search(text) {
    const wanted = text.trim();
    if (!wanted) {
      await this.select([], "");
      return;
    }
    const found = await this.guarded(() => this.source.search(wanted));
    if (!found) return;
    const shown = found.filter((point) => this.isVisible(point));
    const short = wanted.length > 60 ? `${wanted.slice(0, 60)}…` : wanted;
    await this.select(shown, shown.length ? `found for “${short}”` : `Nothing is found for “${short}”.`);
  },

  selectCluster(code) {
    const values = this.data.values(this.data.columns.find((column) => column.name === "cluster"));
    const points = [];
    for (let i = 0; i < this.data.n; i += 1) if (values[i] === code && this.isVisible(i)) points.push(i);
    return this.select(points, "in the cluster");
  },

  async choosePair(points) {
    await this.select(points, "moved");
    await this.zoomTo(points);
    await this.focus(points[0]);
    this.stage.scrollIntoView({ block: "nearest" });
  },

  async zoomTo(points) {
    if (points.length) await this.plot?.zoomTo(points, !calm());
    this.stage.scrollIntoView({ block: "nearest" });
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const turn = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    const acts = {
      Enter: () => this.current.focus >= 0 && this.select([this.current.focus], "chosen"),
      Escape: () => this.select([], ""),
      n: () => this.goNear(),
      "+": () => this.plot?.zoomBy(1.5),
      "=": () => this.plot?.zoomBy(1.5),
      "-": () => this.plot?.zoomBy(1 / 1.5),
      0: () => this.plot?.home(),
    };
    const act = turn ? () => this.go(turn) : acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  },

  /** To the nearest point on the map within 45 degrees of a direction; without a point yet, to the most central one. */
  go([dx, dy]) {
    const { xs, ys } = this.data.places(this.projection);
    const from = this.current.focus;
    let [best, least] = [-1, Infinity];
    for (let i = 0; i < this.data.n; i += 1) {
      if (i === from || !this.isVisible(i)) continue;
      const [x, y] = from < 0 ? [xs[i], ys[i]] : [xs[i] - xs[from], ys[i] - ys[from]];
      const along = x * dx + y * dy;
      const aside = Math.abs(x * dy - y * dx);
      if (from >= 0 && (along <= 0 || aside > along)) continue;
      const far = x * x + y * y;
      if (far < least) [best, least] = [i, far];
    }
    if (best >= 0) this.focus(best);
  },

  /** To the nearest neighbour in the original space that was not visited on this walk. */
  async goNear() {
    const from = this.current.focus;
    if (from < 0) {
      this.go([1, 0]);
      return;
    }
    this.visited = this.visited?.at(-1) === from ? this.visited : [from];
    const near = await this.guarded(() => this.source.near(from));
    const next = near?.points.find((point) => !this.visited.includes(point) && this.isVisible(point));
    if (next === undefined) return;
    this.visited.push(next);
    await this.focus(next);
  },
});
