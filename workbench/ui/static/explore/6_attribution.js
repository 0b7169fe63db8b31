// Which patches made a word, a think token or the embedding. Maps come from the server once for all words (or all think
// tokens) together; choosing another of them, or a patch, is then a matter of this page alone.

/** The pixels behind a number: asks for maps, keeps them, and shows one beside the attention. */
class Attribution {
  constructor(view, planes, ask, markWord) {
    this.view = view;
    this.planes = planes;
    this.markWord = markWord;
    this.offer = view.attribution;
    this.state = { base: "words", index: 0, image: 0, patch: null, contrast: "" };
    this.settings = {};
    this.method = this.offer.default;
    this.build(ask);
  }

  get usable() {
    return this.offer.reason === null;
  }

  build(ask) {
    const how = this.view.thought ? "Click a word of the thought above, and the patches of the image that made it light up here." : "Choose below what is to be explained, and the patches of the image that made it light up here.";
    const hint = this.usable ? how : this.offer.reason;
    this.hint = make("p", { class: "tv-about", "data-testid": "attribution-hint" }, hint);
    this.node = section("Which pixels made it", null, this.hint);
    this.node.dataset.testid = "attribution";
    if (!this.usable) return;
    this.asking = new Asking(ask, this.node, (answer) => this.unpack(answer));
    this.chips = make("div", { class: "tv-chips", role: "group", "aria-label": "What is explained" });
    this.body = make("div", { hidden: true });
    this.node.append(this.asking.wait, this.asking.error, this.chips, this.body, this.chooser());
    this.buildMaps();
    this.resizer = new ResizeObserver(() => this.node.clientWidth !== this.drawnWidth && this.draw());
    this.resizer.observe(this.node);
  }

  buildMaps() {
    const stage = (name, testid) => {
      const canvas = make("canvas", { class: "tv-canvas", tabindex: "0", role: "img", "data-testid": testid });
      const title = make("figcaption", { class: "tv-map-title" });
      this.listen(canvas);
      return { canvas, title, node: make("figure", { class: "tv-figure" }, make("h4", {}, name), canvas, title) };
    };
    this.map = stage("Attribution: what made it", "attribution-map");
    this.looks = stage("Attention: where it looked", "attribution-attention");
    this.scale = make("canvas", { class: "tv-scale", width: 240, height: 10, "aria-hidden": "true" });
    this.low = make("span");
    this.high = make("span");
    this.caption = make("p", { class: "tv-caption", "aria-live": "polite", "data-testid": "attribution-caption" });
    this.dependents = make("div", { class: "tv-dependents", "data-testid": "dependents" });
    this.trust = make("div", { class: "tv-trust", "data-testid": "trust" });
    this.curves = make("div", { class: "tv-tests" });
    const picker = this.view.images.length > 1 ? make("select", { class: "tv-select tv-narrow", "aria-label": "Which image", onchange: (event) => this.set({ image: Number(event.target.value), patch: null }) }, this.view.images.map((image, i) => make("option", { value: i }, `Image ${i + 1}: ${image.name}`))) : null;
    this.body.append(
      ...[picker, make("div", { class: "tv-two" }, this.map.node, this.looks.node)].filter(Boolean),
      make("div", { class: "tv-scale-row" }, this.low, this.scale, this.high),
      this.caption,
      make("div", { class: "tv-two" }, this.dependents, this.trust),
      this.curves,
    );
  }

  /** Everything beyond the click on a word: other targets, other methods, their parameters. */
  chooser() {
    const candidates = this.view.ranking ? this.view.ranking.rows.map((row) => row.text) : [];
    const targets = this.view.thought ? [["words", "the words of the thought"]] : [["", "choose one"]];
    if (thinks(this.view)) targets.push(["think", "the think tokens: the word that each reads as"]);
    if (candidates.length) {
      if (thinks(this.view)) targets.push(["think:effect", "the think tokens: what each adds to the best candidate's score"]);
      targets.push(["embedding:contrast", "the embedding: one candidate against the mean of the others"]);
      targets.push(["embedding:margin", "the embedding: one candidate against the best of the others"]);
      targets.push(["embedding:cosine", "the embedding: its cosine to one candidate"]);
    }
    const option = ([value, name]) => make("option", { value }, name);
    this.target = make("select", { class: "tv-select", "data-testid": "attribution-target", onchange: () => this.chooseTarget() }, targets.map(option));
    this.candidate = make("select", { class: "tv-select", onchange: () => this.chooseTarget() }, candidates.map((text) => make("option", { value: text }, text)));
    this.candidateField = field("Candidate", null, this.candidate, "Which of the nearest candidates the embedding is held against.");
    this.contrast = make("input", { class: "tv-select", type: "text", maxlength: 100, placeholder: "blue", "data-testid": "attribution-contrast", onchange: () => this.chooseContrast() });
    this.contrastField = field("Against another word", null, this.contrast, "Explains why the chosen word stands there and not this one; empty explains the word itself.");
    this.methods = make("select", { class: "tv-select", "data-testid": "attribution-method", onchange: () => this.chooseMethod(this.methods.value) }, this.offer.methods.map((method) => make("option", { value: method.name, disabled: method.reason !== null, selected: method.name === this.method }, method.reason === null ? method.title : `${method.title} (cannot run here)`)));
    this.methodAbout = make("small");
    this.fields = make("div", { class: "tv-controls" });
    const refused = this.offer.methods.filter((method) => method.reason !== null);
    const reasons = refused.length ? make("ul", { class: "tv-faint" }, refused.map((method) => make("li", {}, `${method.title}: ${method.reason}`))) : null;
    const parts = [
      make("div", { class: "tv-controls" }, field("Explain", null, this.target, "Which of the model's numbers the map is about."), this.contrastField, this.candidateField, make("label", { class: "tv-field" }, make("span", { class: "tv-field-title" }, "Method"), this.methods, this.methodAbout)),
      this.fields,
      reasons,
    ];
    this.showMethod();
    this.candidateField.hidden = true;
    this.contrastField.hidden = !this.view.thought;
    return make("details", { class: "tv-more tv-chooser", "data-testid": "attribution-chooser", open: !this.view.thought }, make("summary", {}, this.view.thought ? "Other targets and methods" : "What to explain, and how"), ...parts.filter(Boolean));
  }

  showMethod() {
    const method = this.offer.methods.find((one) => one.name === this.method);
    this.methodAbout.textContent = method.about;
    this.settings = {};
    this.fields.replaceChildren(...method.fields.map((one) => methodField(one, (value) => this.chooseSetting(one, value))));
  }

  chooseMethod(name) {
    this.method = name;
    this.showMethod();
    this.again();
  }

  chooseSetting(one, value) {
    if (value === one.default) delete this.settings[one.name];
    else this.settings[one.name] = value;
    this.again();
  }

  chooseTarget() {
    const base = this.target.value;
    this.candidateField.hidden = !base.startsWith("embedding");
    this.contrastField.hidden = base !== "words";
    if (base) this.open({ base: base.startsWith("embedding") ? `${base}:${this.candidate.value}` : base, index: 0, contrast: "" });
  }

  chooseContrast() {
    this.open({ base: "words", contrast: this.contrast.value.trim() });
  }

  again() {
    if (!this.body.hidden || !this.asking.error.hidden || this.asking.waitingFor) this.open({});
  }

  /** A word of the thought was chosen, by its number counted from 1. */
  word(number) {
    this.target.value = "words";
    this.contrast.value = "";
    this.candidateField.hidden = true;
    this.contrastField.hidden = false;
    this.open({ base: "words", index: number - 1, contrast: "" });
  }

  /** What is asked of the server for the chosen target: all words or think tokens at once, one word for a contrast. */
  asked(base = this.state.base, contrast = this.state.contrast) {
    const target = base === "words" && contrast ? `word:${this.state.index + 1}/${contrast}` : base;
    return { id: this.view.id, target, method: this.method, settings: this.settings };
  }

  async open(change) {
    Object.assign(this.state, change);
    this.markWord(this.state.base === "words" ? this.state.index + 1 : null);
    const answer = await this.fetch(this.asked());
    if (answer) this.draw();
  }

  fetch(asked) {
    this.hint.hidden = true;
    return this.asking.fetch(asked);
  }

  unpack(answer) {
    const maps = answer.planes.map((text, i) => {
      const { rows, cols } = this.view.images[i];
      return mapsOf(unpackHalf(text), 0, answer.labels.length, rows * cols);
    });
    return { ...answer, maps };
  }

  /** The answer that is on show; null while there is none for what is chosen. */
  get shown() {
    return this.usable ? this.asking.known(this.asked()) : null;
  }

  /** Which of the shown answer's targets is chosen. */
  get index() {
    return Math.min(this.state.contrast ? 0 : this.state.index, this.shown.labels.length - 1);
  }

  set(change) {
    Object.assign(this.state, change);
    this.draw();
  }

  listen(canvas) {
    const patchAt = (event) => {
      const box = canvas.getBoundingClientRect();
      const { rows, cols } = this.view.images[this.state.image];
      const place = (at, size, n) => Math.max(0, Math.min(Math.floor((at / size) * n), n - 1));
      return place(event.clientY - box.top, box.height, rows) * cols + place(event.clientX - box.left, box.width, cols);
    };
    canvas.addEventListener("click", (event) => this.choosePatch(patchAt(event)));
    canvas.addEventListener("keydown", (event) => {
      const { rows, cols } = this.view.images[this.state.image];
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: cols, ArrowUp: -cols }[event.key];
      if (!step) return;
      event.preventDefault();
      this.choosePatch(Math.min(Math.max((this.state.patch ?? 0) + step, 0), rows * cols - 1));
    });
  }

  /** What of this model may depend on a patch: its words, its think tokens, both or none. */
  get dependentKinds() {
    return [this.view.thought ? ["words", "Words"] : null, thinks(this.view) ? ["think", "Think tokens"] : null].filter(Boolean);
  }

  /** Show what depends on a patch. Words and think tokens are asked for once each, with the method on show. */
  async choosePatch(patch) {
    this.set({ patch });
    for (const [base] of this.dependentKinds) {
      const asked = this.asked(base, "");
      if (!this.asking.known(asked) && !(await this.fetch(asked))) return;
      this.draw();
    }
  }

  /** Attention of what belongs to the target, as shares of all images: the think tokens' mean for words. */
  attention() {
    const { base, index } = this.state;
    const n = this.view.tokens.length;
    const isEmbedding = base.startsWith("embedding") || !thinks(this.view);
    const rows = isEmbedding ? [n - 1] : base === "words" ? [...Array(n - 1).keys()] : [Math.min(index, n - 2)];
    const maps = this.view.images.map((image, i) => {
      const all = mapsOf(this.planes[i].mean, 0, n, image.rows * image.cols);
      return all[0].map((_, patch) => rows.reduce((sum, row) => sum + all[row][patch], 0));
    });
    const total = maps.reduce((sum, map) => sum + map.reduce((a, b) => a + b, 0), 0) || 1;
    const who = isEmbedding ? `the embedding${base === "words" ? " (that of written words is not kept)" : ""}` : base === "words" ? "all think tokens together, from which the words are written" : this.view.tokens[rows[0]].label;
    return { maps: maps.map((map) => map.map((value) => value / total)), who };
  }

  draw() {
    this.drawnWidth = this.node.clientWidth;
    const answer = this.shown;
    if (!answer) return;
    this.body.hidden = false;
    this.hint.hidden = true;
    this.drawChips(answer);
    const { image, patch } = this.state;
    const grid = this.view.images[image];
    const made = answer.maps.map((maps) => maps[this.index]);
    const looks = this.attention();
    const top = Math.max(largest(made.map((map) => map.map(Math.abs))), largest(looks.maps));
    const style = answer.signed ? "signed" : "colour";
    const look = { style, opacity: 0.8, smooth: false, cursor: patch };
    for (const [stage, map] of [[this.map, made[image]], [this.looks, looks.maps[image]]]) {
      fit(stage.canvas, grid.width, grid.height, stage.node.clientWidth || 300, 380);
      drawOverlay(stage.canvas, grid.element, map, grid, top, look);
    }
    drawScale(this.scale, style);
    this.low.textContent = answer.signed ? `−${percent(top)} (against)` : "0";
    this.high.textContent = `${percent(top)} of the whole map, both maps alike`;
    const label = answer.labels[this.index];
    this.map.title.textContent = `${answer.method}, ${answer.level === "pixels" ? "on pixels" : "on visual tokens"}: ${label}`;
    this.looks.title.textContent = `Mean over layers and heads, of ${looks.who}. Attention is not attribution.`;
    this.describe(answer, made[image], grid);
    this.showDependents(grid);
    this.showTrust(answer);
    this.map.canvas.dataset.digest = `${answer.target}/${label}/${answer.method}:${largest([made[image].map(Math.abs)]).toExponential(5)}`;
  }

  drawChips(answer) {
    const many = this.state.base !== "words" && answer.labels.length > 1;
    this.chips.replaceChildren(...(many ? answer.labels.map((label, i) => make("button", { type: "button", class: "tv-chip", "aria-pressed": String(i === this.index), onclick: () => this.set({ index: i }) }, label)) : []));
  }

  describe(answer, map, grid) {
    const size = map.map(Math.abs);
    const peak = size.indexOf(largest([size]));
    const value = answer.values[this.index];
    this.caption.textContent = `${answer.labels[this.index]} (${worth(answer, value, this.state.contrast)}). The patch that matters most is ${placeOf(peak, grid)} with ${percent(size[peak])} of the map.`;
    this.map.canvas.setAttribute("aria-label", `Attribution map. ${this.caption.textContent}`);
    this.looks.canvas.setAttribute("aria-label", `Attention map. ${this.looks.title.textContent}`);
  }

  /** A column of the relevance matrix: which words and think tokens depend on the chosen patch. */
  showDependents(grid) {
    const { patch, image } = this.state;
    if (!this.dependentKinds.length) return;
    const title = make("h4", {}, patch === null ? "What depends on a patch" : `What depends on ${placeOf(patch, grid)}`);
    if (patch === null) {
      this.dependents.replaceChildren(title, make("p", { class: "tv-faint" }, `Click a patch of either map to see which ${this.dependentKinds.map(([, name]) => name.toLowerCase()).join(" and ")} depend on it.`));
      return;
    }
    const lists = this.dependentKinds.map(([base, name]) => {
      const answer = this.asking.known(this.asked(base, ""));
      if (!answer) return make("p", { class: "tv-faint" }, `${name}: not known yet.`);
      const ranked = answer.maps[image].map((map, i) => [map[patch], answer.labels[i], i]).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, 5);
      const top = Math.abs(ranked[0][0]) || 1;
      const rows = ranked.map(([share, label]) => make("tr", {}, make("td", {}, label), make("td", { class: "tv-bar-cell" }, make("span", { class: `tv-bar${share < 0 ? " tv-bar-against" : ""}`, style: `width:${(Math.abs(share) / top) * 100}%` })), make("td", { class: "tv-number" }, `${share < 0 ? "−" : ""}${percent(Math.abs(share))}`)));
      return make("table", { class: "tv-table", "data-testid": `dependents-${base}` }, make("caption", { class: "tv-faint" }, `${name}, by the share of their own map that lies here`), make("tbody", {}, rows));
    });
    this.dependents.replaceChildren(title, ...lists);
  }

  showTrust(answer) {
    const gap = answer.gaps === null ? null : answer.gaps[this.index];
    const says = [];
    if (gap !== null) says.push([gap <= 0.05, `The map adds up to the number it explains, up to ${percent(gap)}${gap <= 0.05 ? "." : ": it has not converged, so read it with care."}`]);
    else says.push([null, "This method does not promise that its map adds up to the number that it explains."]);
    for (const sentence of [...answer.sentences, ...answer.notes]) says.push([null, sentence]);
    const tested = this.asking.known(this.testAsked());
    for (const check of tested ? tested.tests.flatMap((test) => test.checks) : []) says.push([check.passed, `${check.name}: ${check.about}.`]);
    for (const [name, reason] of tested ? Object.entries(tested.skipped) : []) says.push([null, `${name} was not tested: ${reason}`]);
    const lines = says.map(([passed, text]) => make("li", { class: passed === null ? "tv-neutral" : passed ? "tv-passed" : "tv-failed" }, text));
    const test = make("button", { type: "button", class: "tv-button tv-small", "data-testid": "attribution-test", onclick: () => this.test() }, "Test this map");
    const files = ["json", "html", "png"].map((kind) => make("button", { type: "button", class: "tv-button tv-small", "data-testid": `save-map-${kind}`, onclick: () => saveExplanation(kind, answer.key, this.asking.error) }, kind.toUpperCase()));
    // Drawn and escaped by the server's report renderer, as the further panels are.
    this.curves.innerHTML = tested ? tested.tests.map((one) => one.html).join("") : "";
    const about = tested ? null : make("p", { class: "tv-faint" }, "Hides the patches in the map's order and in random order, shakes the input and scrambles the weights: a map that says something must do better than chance. Takes a while.");
    this.trust.replaceChildren(...[make("h4", {}, "How far to trust this map"), make("ul", { class: "tv-says" }, lines), tested ? null : make("div", { class: "tv-buttons" }, test), about, make("div", { class: "tv-buttons" }, make("span", { class: "tv-faint" }, "Keep this map:"), files)].filter(Boolean));
  }

  /** The test of the chosen target alone: tests of all words together would take as many times longer. */
  testAsked() {
    const { base, index, contrast } = this.state;
    const target = base === "words" ? `word:${index + 1}${contrast ? `/${contrast}` : ""}` : base === "think" ? `think:${index + 1}` : base === "think:effect" ? `think:${index + 1}:effect` : base;
    return { id: this.view.id, target, method: this.method, settings: this.settings, test: true };
  }

  async test() {
    if (await this.fetch(this.testAsked())) this.draw();
  }

  close() {
    if (!this.usable) return;
    this.asking.stop("");
    this.resizer.disconnect();
  }
}

/** A target's value in words. A certain word is told by its probability: "-0.000 nats" says nothing. */
function worth(answer, value, contrast) {
  if (!answer.target.startsWith("word")) return `value ${value.toPrecision(3)}`;
  if (contrast) return `${Math.abs(value).toFixed(2)} nats ${value < 0 ? "less" : "more"} than "${contrast}"`;
  return `probability ${percent(Math.exp(value))}`;
}

function placeOf(patch, grid) {
  return `row ${Math.floor(patch / grid.cols) + 1}, column ${(patch % grid.cols) + 1}`;
}

/** A control for one parameter of a method; `choose(value)` when it changes to something usable. */
function methodField(one, choose) {
  const title = one.name.replaceAll("_", " ");
  if (one.type === "bool") {
    const box = make("input", { type: "checkbox", checked: one.default, onchange: () => choose(box.checked) });
    return make("label", { class: "tv-check" }, box, make("span", {}, title, make("small", {}, one.help)));
  }
  if (one.choices.length) {
    const select = make("select", { class: "tv-select", disabled: one.choices.length < 2, onchange: () => choose(select.value) }, one.choices.map((value) => make("option", { value, selected: value === one.default }, String(value))));
    return field(title, null, select, one.help);
  }
  const number = one.type === "int" || one.type === "float";
  const input = make("input", { class: "tv-select", type: number ? "number" : "text", value: one.default, min: one.low, max: one.high, step: one.type === "int" ? 1 : "any" });
  input.addEventListener("change", () => choose(number ? Number(input.value) : input.value));
  return field(title, null, input, one.help);
}

async function saveExplanation(kind, key, says) {
  const answer = await ask("export_explanation", { key, kind });
  says.hidden = !answer.error;
  says.textContent = answer.error || "";
  if (answer.error) return;
  const content = answer.base64 ? Uint8Array.from(atob(answer.base64), (letter) => letter.charCodeAt(0)) : answer.text;
  offerFile(content, answer);
}
