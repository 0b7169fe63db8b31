// One sample under two checkpoints: a diff of words, candidates, think tokens, and a slider over one picture.

function loadImage(source) {
  return new Promise((resolve, reject) => {
    const picture = new Image();
    picture.onload = () => resolve(picture);
    picture.onerror = () => reject(new Error("the image of the sample cannot be shown"));
    picture.src = source;
  });
}

function thoughtsPart(view, names) {
  if (view.thoughts.every((text) => text === null)) return null;
  const column = (side) => {
    const text = view.thoughts[side];
    let body = ["Writes no text."];
    if (text !== null && view.diff.length) {
      const [left, tag] = side === 0 ? ["new", "del"] : ["gone", "ins"];
      body = view.diff.filter(([kind]) => kind !== left).flatMap(([kind, words]) => [kind === "same" ? words : make(tag, {}, words), " "]);
    } else if (text !== null) body = [text || "(no words)"];
    const what = text === null ? null : make("small", {}, ` writes ${view.writes[side]}`);
    return make("div", {}, make("p", { class: "cp-side" }, names[side], what), make("p", { class: "cp-text", "data-testid": `thought-${side}` }, body));
  };
  return make("div", {}, make("h4", {}, "What they wrote"), make("div", { class: "cp-two" }, column(0), column(1)));
}

function standingsPart(view, names) {
  if (!view.standings.length) return null;
  const rows = view.standings.map((one) =>
    make(
      "tr",
      {},
      make("td", { class: "cp-question" }, one.text, one.right ? [" ", make("span", { class: "cp-right" }, "the right one")] : null),
      [0, 1].map((side) => make("td", { class: "cp-number" }, `${one.ranks[side]} `, make("small", {}, `cosine ${one.scores[side].toFixed(3)}`))),
      make("td", {}, arrow(one.ranks)),
    ),
  );
  const head = make("tr", {}, ["candidate", `rank, ${names[0]}`, names[1], ""].map((name) => make("th", { scope: "col" }, name)));
  return make("div", {}, make("h4", {}, "Candidates"), make("div", { class: "cp-wide" }, make("table", { "data-testid": "standings" }, make("thead", {}, head), make("tbody", {}, rows))));
}

/** Attention as something to lay over the pictures; `Attributed` of the server is another. */
function attentionLayer(view) {
  const percent = (value) => `${(100 * value).toFixed(value < 0.1 ? 1 : 0)}%`;
  const scale = { low: "0%", top: percent(view.highs[0]), says: "of a token's attention on one patch; one scale for both" };
  return { name: "attention", maps: view.maps, highs: view.highs, signed: false, gaps: [[], []], notes: [], scale };
}

/** What the patches add, as one method says it. */
function attributedLayer(found) {
  const top = `${(100 * found.highs[0]).toFixed(1)}%`;
  const says = `of a whole map on one patch${found.signed ? "; where it is blue the patch lowers the number" : ""}; one scale for both`;
  return { ...found, name: "attribution", scale: { low: found.signed ? `-${top}` : "0%", top, says } };
}

/** The pictures alone, as long as what is asked for is not there. */
const NOTHING = { name: "nothing", maps: [[], []], highs: [0, 0], signed: false, gaps: [[], []], notes: [], scale: null };

/** Paint a picture and a map over its part from `begin` to `end` (shares of the width). */
function paintHalf(pen, picture, map, high, signed, begin, end) {
  const { width, height } = pen.canvas;
  pen.save();
  pen.beginPath();
  pen.rect(begin * width, 0, (end - begin) * width, height);
  pen.clip();
  pen.imageSmoothingEnabled = picture.naturalWidth > width / 2;
  pen.drawImage(picture, 0, 0, width, height);
  if (map) {
    const small = make("canvas", { width: map.cols, height: map.rows });
    const cells = small.getContext("2d").createImageData(map.cols, map.rows);
    map.cells.forEach((value, place) => {
      const t = high > 0 ? Math.max(-1, Math.min(value / high, 1)) : 0;
      // What is near 0 is nearly clear, so that the picture stays to be seen; as in Explore and in the report.
      cells.data.set([...(signed ? diverging(t) : viridis(t)), 204 * (0.05 + 0.95 * Math.abs(t) ** 0.7)], place * 4);
    });
    small.getContext("2d").putImageData(cells, 0, 0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, 0, 0, width, height);
  }
  pen.restore();
}

function barCanvas(signed) {
  const bar = make("canvas", { class: "cp-bar", width: 180, height: 10 });
  const pen = bar.getContext("2d");
  for (let x = 0; x < 180; x += 1) {
    pen.fillStyle = `rgb(${(signed ? diverging((2 * x) / 179 - 1) : viridis(x / 179)).map(Math.round).join(",")})`;
    pen.fillRect(x, 0, 1, 10);
  }
  return bar;
}

/**
 * The pictures with a slider, and the cards that choose whose map is shown. `at` is where the slider stands, 0 to 100;
 * `chosen(k)` is called when another card is chosen, `slid(at)` when the slider is let go.
 */
class Stage {
  constructor(view, names, at, { chosen, slid }) {
    Object.assign(this, { view, names, chosen, slid, k: 0, layer: attentionLayer(view) });
    // Where the two cut an image into other patches, each has a picture of its own and nothing slides.
    const sides = view.apart ? [0, 1] : [null];
    this.pictured = view.images.flatMap((image) => sides.map((side) => ({ image, side, canvas: this.canvas(image, side) })));
    this.slider = make("input", { type: "range", min: 0, max: 100, value: at, "data-testid": "slide", "aria-label": `Slide from ${names[0]} (left) to ${names[1]} (right)`, oninput: () => this.draw(), onchange: () => this.settle() });
    this.gaps = view.cards.map(() => [make("small", {}), make("small", {})]);
    this.cards = view.cards.map((card, k) => this.card(card, k));
    this.node = make("div", { class: view.images.length ? "cp-stage" : "" }, view.images.length ? this.pictures() : null, make("div", { class: "cp-pick" }, this.cards));
  }

  canvas(image, side) {
    const scale = 840 / Math.max(image.width, image.height);
    const label = `${image.name}, with a map${side === null ? "" : ` of ${this.names[side]}`}`;
    const canvas = make("canvas", { class: `cp-canvas${side === null ? " cp-slides" : ""}`, width: Math.max(2, Math.round(image.width * scale)), height: Math.max(2, Math.round(image.height * scale)), role: "img", "aria-label": label });
    if (side === null) this.slideOn(canvas);
    return canvas;
  }

  /** A drag on the picture moves the slider, also when it leaves the picture before it ends. */
  slideOn(canvas) {
    const slide = (event) => {
      if (!event.buttons) return;
      if (event.type === "pointerdown") canvas.setPointerCapture(event.pointerId);
      const box = canvas.getBoundingClientRect();
      this.slider.value = String(Math.round((100 * (event.clientX - box.left)) / box.width));
      this.draw();
    };
    for (const name of ["pointerdown", "pointermove"]) canvas.addEventListener(name, slide);
    canvas.addEventListener("lostpointercapture", () => this.settle());
  }

  settle() {
    this.slid(Number(this.slider.value));
  }

  pictures() {
    this.scale = make("div", {});
    const ends = make("div", { class: "cp-ends" }, make("span", {}, `← ${this.names[0]}`), make("span", {}, `${this.names[1]} →`));
    const titled = this.pictured.map(({ canvas, side }) => [side === null ? null : make("p", { class: "cp-side" }, this.names[side]), canvas]);
    return make("div", {}, titled, this.view.apart ? null : [ends, this.slider], this.scale);
  }

  /** Show another layer on the same pictures: the cards stay, and say how much of each number its map leaves unexplained. */
  show(layer) {
    this.layer = layer;
    this.gaps.forEach((row, k) =>
      row.forEach((node, side) => {
        const place = this.view.cards[k].rows[side];
        const gap = place === null ? null : (layer.gaps[side][place] ?? null);
        node.textContent = gap === null ? "" : `${(100 * gap).toFixed(1)}% unexplained`;
      }),
    );
    this.draw();
  }

  tellScale() {
    const { scale, signed, notes } = this.layer;
    if (!scale) return this.scale.replaceChildren();
    const told = this.view.apart
      ? make("p", { class: "tv-error", "data-testid": "apart" }, `${this.view.apart} Each has a colour scale of its own.`)
      : make("div", { class: "cp-scale", "data-testid": "map-scale" }, scale.low, barCanvas(signed), scale.top, make("span", {}, scale.says));
    const list = notes.length ? make("ul", { class: "cp-notes cp-quiet", "data-testid": "map-notes" }, notes.map((note) => make("li", {}, note))) : null;
    this.scale.replaceChildren(...[told, list].filter(Boolean));
  }

  card(card, k) {
    const side = (number) => {
      const known = card.rows[number] !== null;
      if (!known && this.view.lone) return null;
      const reads = card.reads[number].map(([word, likely]) => make("div", { class: "cp-read" }, make("span", {}, word), make("span", {}, share(likely))));
      return make("div", {}, make("p", { class: "cp-name" }, this.names[number]), known ? reads : make("small", {}, "no counterpart"), this.gaps[k][number]);
    };
    return make("button", { type: "button", class: "cp-choice", "aria-pressed": "false", "data-testid": `choice-${k}`, onclick: () => this.choose(k, true) }, make("b", {}, card.label), make("div", { class: "cp-halves" }, side(0), side(1)));
  }

  /** Show a card by its number; null shows the first that both have a map for. */
  choose(k, byHand = false) {
    const shared = this.view.cards.findIndex((card) => card.rows.every((row) => row !== null));
    this.k = Math.min(Math.max(k ?? shared, 0), this.cards.length - 1);
    this.cards.forEach((card, place) => card.setAttribute("aria-pressed", String(place === this.k)));
    this.draw();
    if (byHand) this.chosen(this.k);
  }

  /** The left half shows the one checkpoint, the right half the other. */
  draw() {
    const { layer } = this;
    if (this.scale && this.told !== layer) this.tellScale();
    this.told = layer;
    const rows = this.view.cards[this.k].rows;
    const at = Number(this.slider.value) / 100;
    for (const { image, side, canvas } of this.pictured) {
      const pen = canvas.getContext("2d");
      const number = this.view.images.indexOf(image);
      const map = (of) => (rows[of] === null ? null : layer.maps[of][rows[of]]?.[number]);
      const split = side === null ? at : 1 - side;
      pen.clearRect(0, 0, canvas.width, canvas.height);
      paintHalf(pen, image.element, map(0), layer.highs[0], layer.signed, 0, split);
      paintHalf(pen, image.element, map(1), layer.highs[1], layer.signed, split, 1);
      if (side !== null) continue;
      pen.fillStyle = "#fff";
      pen.fillRect(split * canvas.width - 2, 0, 4, canvas.height);
    }
    this.node.dataset.drawn = `${layer.name} ${this.k} ${this.slider.value}`;
  }
}
