// Points painted by the processor: round, blended, straight into a picture's memory. Without a graphics card this is some
// twenty times as fast as WebGL done by software, and it needs none.

/** Steps from "not covered" to "covered" at a disc's edge, and places within a pixel that a disc is drawn for. */
const LEVELS = 15;
const PHASES = 4;
/** Pixels around the picture where discs may reach over its edge. */
const MARGIN = 48;
/** Pixels that are blended in a frame of a movement: so many in discs, and beyond that so many in squares, which are quicker. */
const MOVING_DISCS = 250_000;
const MOVING_SQUARES = 2_500_000;
const DIMMED = 0.3;
/** Chosen points that get an edge; more edges would hide the points. */
const EDGED = 3_000;
/** Cells along each side by which points are put in order, so that what is painted together lies together in memory. */
const CELLS = 128;

/** A disc's pixels as they cover a grid, for every place within a pixel: where they lie in memory, and how far they are covered. */
class Stamp {
  constructor(diameter, stride) {
    Object.assign(this, { diameter, stride, starts: new Int32Array(PHASES * PHASES + 1) });
    const [places, levels, radius] = [[], [], diameter / 2];
    const reach = Math.ceil(radius + 0.5);
    for (let phase = 0; phase < PHASES * PHASES; phase += 1) {
      const [cx, cy] = [((phase % PHASES) + 0.5) / PHASES, (Math.floor(phase / PHASES) + 0.5) / PHASES];
      for (let dy = -reach; dy <= reach; dy += 1) {
        for (let dx = -reach; dx <= reach; dx += 1) {
          const level = Math.round(LEVELS * Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(dx + 0.5 - cx, dy + 0.5 - cy))));
          if (level > 0) {
            places.push(dy * stride + dx);
            levels.push(level);
          }
        }
      }
      this.starts[phase + 1] = places.length;
    }
    Object.assign(this, { places: Int32Array.from(places), levels: Uint8Array.from(levels) });
  }

  /** Pixels of one disc, on average. */
  get size() {
    return this.places.length / (PHASES * PHASES);
  }
}

/** What is blended for a row of a colour and its opacity: for discs at each level, and for squares by shifting alone. */
class Inks {
  /** `rows`: pairs of a colour as "#rrggbb" and its opacity. */
  constructor(rows) {
    const wide = LEVELS + 1;
    const make = (n) => new Int32Array(n);
    Object.assign(this, { wide, redBlue: make(rows.length * wide), green: make(rows.length * wide), rest: make(rows.length * wide), shift: make(rows.length), mask: make(rows.length), square: make(rows.length) });
    rows.forEach(([colour, opacity], row) => {
      const [red, green, blue] = channels(colour);
      for (let level = 0; level <= LEVELS; level += 1) {
        const share = Math.round((128 * opacity * level) / LEVELS);
        const at = row * wide + level;
        // Half of the last place rounds; a canvas keeps a pixel's bytes as red, green, blue, opacity.
        this.redBlue[at] = ((blue << 16) | red) * share + 0x400040;
        this.green[at] = green * share + 0x40;
        this.rest[at] = 128 - share;
      }
      // A square is blended with a whole, a half, a quarter or an eighth of its colour, whichever is nearest.
      const shift = Math.min(3, Math.max(0, Math.round(-Math.log2(opacity))));
      this.shift[row] = shift;
      this.mask[row] = (0xff >> shift) * 0x01010101;
      this.square[row] = (packed([red, green, blue]) >>> shift) & this.mask[row];
    });
  }
}

class PixelPainter {
  constructor(canvas) {
    Object.assign(this, { canvas, pen: canvas.getContext("2d", { alpha: false }), stamps: new Map(), visible: null, chosen: null });
  }

  /** Points to be painted from now on. */
  take(xs, ys, codes) {
    const n = xs.length;
    if (this.taken !== xs) {
      Object.assign(this, { taken: xs, n, order: inCells(xs, ys), where: new Int32Array(n), what: new Int32Array(n), xs: new Float32Array(n), ys: new Float32Array(n) });
      this.between([xs, ys], [xs, ys], 1);
    }
    this.codes = this.ordered(codes);
  }

  /** Put the points somewhere on the way from some places to others. */
  between([xs0, ys0], [xs1, ys1], t) {
    const { order, xs, ys } = this;
    for (let j = 0; j < this.n; j += 1) {
      const i = order[j];
      xs[j] = xs0[i] + t * (xs1[i] - xs0[i]);
      ys[j] = ys0[i] + t * (ys1[i] - ys0[i]);
    }
  }

  /** Which points are shown and which are chosen: masks, or null for all and for none. */
  mark(visible, chosen) {
    Object.assign(this, { visible: visible && this.ordered(visible), chosen: chosen && this.ordered(chosen), nChosen: chosen ? chosen.reduce((sum, one) => sum + one, 0) : 0 });
  }

  ordered(values) {
    const found = new values.constructor(this.n);
    for (let j = 0; j < this.n; j += 1) found[j] = values[this.order[j]];
    return found;
  }

  /** Colours of the codes, how opaque they are, and what the picture's ground and the edge of chosen points look like. */
  dip(colours, opacity, ground, edge) {
    const rows = [opacity, opacity * DIMMED, 1].flatMap((share) => colours.map((colour) => [colour, share]));
    Object.assign(this, { inks: new Inks([...rows, [edge, 1]]), dimmed: colours.length, full: 2 * colours.length, edge: rows.length, ground: packed(channels(ground)) });
  }

  fit() {
    const sharp = window.devicePixelRatio || 1;
    const { canvas } = this;
    const [width, height] = [Math.max(2, Math.round(canvas.clientWidth * sharp)), Math.max(2, Math.round(canvas.clientHeight * sharp))];
    if (this.image && canvas.width === width && canvas.height === height) return;
    Object.assign(canvas, { width, height });
    this.stride = width + 2 * MARGIN;
    this.image = new ImageData(this.stride, height + 2 * MARGIN);
    this.pixels = new Int32Array(this.image.data.buffer);
    this.stamps.clear();
  }

  stamp(diameter) {
    const size = Math.min(2 * MARGIN - 4, Math.max(1, Math.round(diameter * 4) / 4));
    if (!this.stamps.has(size)) this.stamps.set(size, new Stamp(size, this.stride));
    return this.stamps.get(size);
  }

  /**
   * Paint all points under a view, `diameter` in pixels of the page. While `moving`, many points are plain squares, smaller
   * where there are very many. Returns whether they were.
   */
  paint(view, diameter, moving) {
    this.fit();
    const sharp = window.devicePixelRatio || 1;
    const wanted = Math.min(2 * MARGIN - 4, diameter * sharp);
    const n = this.find(view);
    const plain = moving && n * this.stamp(wanted).size > MOVING_DISCS;
    this.pixels.fill(this.ground);
    if (plain) this.pressSquares(Math.min(0.886 * wanted, Math.sqrt(MOVING_SQUARES / n)), n);
    else this.press(this.stamp(wanted), n);
    if (this.chosen && !(plain && this.nChosen > EDGED)) this.pressChosen(wanted, view, sharp);
    this.put();
    return plain;
  }

  /** Show what was painted last. */
  put() {
    this.pen.putImageData(this.image, -MARGIN, -MARGIN, MARGIN, MARGIN, this.canvas.width, this.canvas.height);
  }

  /** Where in memory the points inside the picture lie, and in which ink and place of a pixel; returns how many there are. */
  find(view, chosenAlone = false) {
    const { xs, ys, codes, visible, chosen, where, what, stride, canvas, dimmed, full } = this;
    const [width, height] = [canvas.width, canvas.height];
    const [sx, sy] = [(view[0] * height) / 2, (-view[5] * height) / 2];
    const [ox, oy] = [width / 2 + (view[12] * height) / 2 + MARGIN, height / 2 - (view[13] * height) / 2 + MARGIN];
    const [right, bottom] = [width + 1.5 * MARGIN, height + 1.5 * MARGIN];
    let found = 0;
    for (let i = 0; i < this.n; i += 1) {
      const x = xs[i] * sx + ox;
      const y = ys[i] * sy + oy;
      // Half the margin is room for a disc around a point that lies outside.
      if (!(x > MARGIN / 2 && y > MARGIN / 2 && x < right && y < bottom)) continue;
      if ((visible && visible[i] === 0) || (chosenAlone && chosen[i] === 0)) continue;
      const [px, py] = [x | 0, y | 0];
      const ink = chosen ? (chosen[i] ? full : dimmed) + codes[i] : codes[i];
      where[found] = py * stride + px;
      what[found] = (ink << 4) | ((((y - py) * PHASES) | 0) * PHASES + (((x - px) * PHASES) | 0));
      found += 1;
    }
    return found;
  }

  /** Blend a stamp for each of the first `n` points that were found; `row` gives all of them one ink. */
  press(stamp, n, row = -1) {
    const { pixels, where, what, inks } = this;
    const { starts, places, levels } = stamp;
    const { redBlue, green, rest, wide } = inks;
    for (let i = 0; i < n; i += 1) {
      const phase = what[i] & 15;
      const ink = (row < 0 ? what[i] >> 4 : row) * wide;
      for (let j = starts[phase]; j < starts[phase + 1]; j += 1) {
        const at = where[i] + places[j];
        const t = ink + levels[j];
        const under = pixels[at];
        pixels[at] = 0xff000000 | (((redBlue[t] + (under & 0xff00ff) * rest[t]) >>> 7) & 0xff00ff) | (((green[t] + ((under >>> 8) & 0xff) * rest[t]) << 1) & 0xff00);
      }
    }
  }

  pressSquares(side, n) {
    const { pixels, where, what, stride } = this;
    const { shift, mask, square } = this.inks;
    const wide = Math.max(1, Math.round(side));
    const back = (wide >> 1) * (stride + 1);
    for (let i = 0; i < n; i += 1) {
      const row = what[i] >> 4;
      const [by, only, colour] = [shift[row], mask[row], square[row]];
      const begin = where[i] - back;
      for (let line = begin; line < begin + wide * stride; line += stride) {
        for (let at = line; at < line + wide; at += 1) pixels[at] = pixels[at] - ((pixels[at] >>> by) & only) + colour;
      }
    }
  }

  /** Chosen points once more over all others: opaque, and with an edge as long as there are few. */
  pressChosen(wanted, view, sharp) {
    const n = this.find(view, true);
    const few = this.nChosen <= EDGED;
    if (few) this.press(this.stamp(wanted + 4 * sharp), n, this.edge);
    this.press(this.stamp(wanted + (few ? 1.5 * sharp : 0)), n);
  }
}

/** Numbers of points, cell by cell, there and back. */
function inCells(xs, ys) {
  const n = xs.length;
  const cells = new Int32Array(n);
  const ends = new Int32Array(CELLS * CELLS + 1);
  for (let i = 0; i < n; i += 1) {
    const [column, row] = [cellOf(xs[i]), cellOf(ys[i])];
    cells[i] = row * CELLS + (row % 2 ? CELLS - 1 - column : column);
    ends[cells[i] + 1] += 1;
  }
  for (let cell = 0; cell < CELLS * CELLS; cell += 1) ends[cell + 1] += ends[cell];
  const order = new Int32Array(n);
  for (let i = 0; i < n; i += 1) order[ends[cells[i]]++] = i;
  return order;
}

function cellOf(place) {
  return Math.min(CELLS - 1, Math.max(0, ((place + 1) * CELLS) >> 1));
}

function channels(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

/** As a canvas keeps a pixel on the machines there are. */
function packed([red, green, blue]) {
  return (0xff << 24) | (blue << 16) | (green << 8) | red;
}
