// The numbers of a map: unpacked once from one binary block, never sent as text. Nothing here touches the page.

const KINDS = { u1: Uint8Array, u2: Uint16Array, i2: Int16Array, i4: Int32Array, f4: Float32Array };

/** Decimal digits that a 32-bit float holds. */
const DIGITS = 7;

/** Base64 of little-endian values, each array at a multiple of four bytes -> typed arrays by name. */
function unpack(packed) {
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return Object.fromEntries(Object.entries(packed.arrays).map(([name, [kind, offset, length]]) => [name, new KINDS[kind](bytes.buffer, offset, length)]));
}

/** Array of 32-bit integers or floats in base64, little-endian. */
function unpackOne(text, Kind = Int32Array) {
  return new Kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

class MapData {
  /** `head`: words about the map; `packed`: its arrays. */
  constructor(head, packed) {
    this.head = head;
    this.arrays = unpack(packed);
    this.sample = this.arrays.sample;
    this.k = this.arrays.k;
    this.checkpoint = this.arrays.checkpoint;
    this.n = this.sample.length;
    this.columns = head.columns.filter((column) => column.kind !== "text");
    this.fitted = {};
  }

  values(column) {
    return this.arrays[`column ${column.name}`];
  }

  /** Places of all points within -1 ... 1 with equal scales, and how to get back: place * half + centre. */
  places(projection) {
    if (!this.fitted[projection]) this.fitted[projection] = fitPlaces(this.arrays[projection], this.n);
    return this.fitted[projection];
  }

  /** [first, behind last] of the points of the same sample and checkpoint as `point`: its thought's steps in order. */
  run(point) {
    let [first, last] = [point, point + 1];
    const same = (other) => this.sample[other] === this.sample[point] && this.checkpoint[other] === this.checkpoint[point];
    while (first > 0 && same(first - 1)) first -= 1;
    while (last < this.n && same(last)) last += 1;
    return [first, last];
  }

  /** Every run of more than one point. */
  runs() {
    const found = [];
    for (let first = 0; first < this.n; ) {
      const [, last] = this.run(first);
      if (last - first > 1) found.push([first, last]);
      first = last;
    }
    return found;
  }

  /** The other checkpoint's point of the same sample and step, or -1. */
  partner(point) {
    if (!this.partners) {
      this.partners = new Int32Array(this.n).fill(-1);
      const pairs = this.arrays.pairs || [];
      for (let row = 0; row < pairs.length; row += 2) {
        this.partners[pairs[row]] = pairs[row + 1];
        this.partners[pairs[row + 1]] = pairs[row];
      }
    }
    return this.partners[point];
  }

  samplesOf(points) {
    const seen = new Set();
    for (const point of points) seen.add(this.sample[point]);
    return [...seen];
  }

  pointsOf(samples) {
    const wanted = samples instanceof Set ? samples : new Set(samples);
    const found = [];
    for (let i = 0; i < this.n; i += 1) if (wanted.has(this.sample[i])) found.push(i);
    return found;
  }

  /** Name of a point for people: its sample, and the step where there is one. */
  nameOf(point, details) {
    const parts = [details ? details.id : `sample ${this.sample[point] + 1}`];
    if (this.k[point] >= 0) parts.push(`think token ${this.k[point] + 1}`);
    if (this.head.checkpoints.length > 1) parts.push(this.head.checkpoints[this.checkpoint[point]].name);
    return parts.join(", ");
  }

  /** Value of a column at a point as it is saved: a number, a text, or null where unknown. */
  value(column, point) {
    const value = this.values(column)[point];
    if (column.kind === "number") return Number.isNaN(value) ? null : Number(value.toPrecision(DIGITS));
    return value === column.none ? null : column.categories[value];
  }

  /** Value of a column at a point as text; empty where unknown. */
  valueText(column, point) {
    const value = this.values(column)[point];
    if (column.kind === "number") return Number.isNaN(value) ? "" : fullNumber(value);
    return value === column.none ? "" : column.categories[value];
  }
}

function fitPlaces(flat, n) {
  let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < n; i += 1) {
    const [x, y] = [flat[2 * i], flat[2 * i + 1]];
    if (x < x0) x0 = x;
    if (x > x1) x1 = x;
    if (y < y0) y0 = y;
    if (y > y1) y1 = y;
  }
  const half = Math.max(x1 - x0, y1 - y0) / 2 / 0.92 || 1;
  const centre = [(x0 + x1) / 2, (y0 + y1) / 2];
  const [xs, ys] = [new Float32Array(n), new Float32Array(n)];
  for (let i = 0; i < n; i += 1) {
    xs[i] = (flat[2 * i] - centre[0]) / half;
    ys[i] = (flat[2 * i + 1] - centre[1]) / half;
  }
  return { xs, ys, half, centre, span: [(x1 - x0) / 2 / half, (y1 - y0) / 2 / half] };
}

/** Points whose place lies in a polygon of [x, y] corners (even-odd rule), in order. */
function pointsInside(polygon, xs, ys) {
  const [left, right] = [Math.min(...polygon.map(([x]) => x)), Math.max(...polygon.map(([x]) => x))];
  const [low, high] = [Math.min(...polygon.map(([, y]) => y)), Math.max(...polygon.map(([, y]) => y))];
  const found = [];
  for (let i = 0; i < xs.length; i += 1) {
    const [x, y] = [xs[i], ys[i]];
    if (x < left || x > right || y < low || y > high) continue;
    let inside = false;
    for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a, a += 1) {
      const [[ax, ay], [bx, by]] = [polygon[a], polygon[b]];
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
    }
    if (inside) found.push(i);
  }
  return found;
}

function plainNumber(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2);
  return Number(value.toPrecision(3)).toLocaleString("en-GB", { maximumFractionDigits: 4 });
}

/** A value of one point. What `plainNumber` leaves out may be all that tells large numbers apart, such as years. */
function fullNumber(value) {
  const size = Math.abs(value);
  return size >= 1e3 && size < 1e7 ? String(Number(value.toPrecision(DIGITS))) : plainNumber(value);
}

function counted(n, one, many = `${one}s`) {
  return `${n.toLocaleString("en-GB")} ${n === 1 ? one : many}`;
}
