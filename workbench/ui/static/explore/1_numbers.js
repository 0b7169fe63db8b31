// Numbers: unpacking what the server sent, and turning it into colours. Nothing here touches the page.

const WORST = [0, 0, 0];

/** Base64 of little-endian float16 values -> Float32Array. */
function unpackHalf(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const halves = new Uint16Array(bytes.buffer);
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i += 1) {
    const exponent = (halves[i] >> 10) & 0x1f;
    const fraction = halves[i] & 0x3ff;
    const sign = halves[i] & 0x8000 ? -1 : 1;
    values[i] = sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
  }
  return values;
}

/** One map per row (think tokens, then the embed token) of a plane (depths rows patches); depth 0 is all layers together. */
function mapsOf(plane, depth, rows, patches) {
  return Array.from({ length: rows }, (_, row) => {
    const start = (depth * rows + row) * patches;
    return plane.subarray(start, start + patches);
  });
}

function largest(maps) {
  let top = 0;
  for (const map of maps) for (const value of map) if (value > top) top = value;
  return top;
}

/** RGBA of one patch. "colour" paints over the image, "signed" too with two colours; "spotlight" darkens what is not looked at. */
function paint(t, style, opacity) {
  if (style === "signed") return [...diverging(t), 255 * opacity * (0.05 + 0.95 * Math.min(Math.abs(t), 1) ** 0.5)];
  if (style === "spotlight") return [...WORST, 255 * opacity * (1 - Math.sqrt(Math.max(t, 0)))];
  return [...viridis(t), 255 * opacity * (0.05 + 0.95 * Math.max(t, 0) ** 0.7)];
}

function percent(share) {
  const value = share * 100;
  if (value > 0 && value < 0.1) return "<0.1%";
  if (value < 10) return `${value.toFixed(1)}%`;
  return value > 99 && value < 100 ? `${Math.min(value, 99.9).toFixed(1)}%` : `${Math.round(value)}%`;
}

function duration(seconds) {
  return seconds < 0.0995 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(seconds < 10 ? 2 : 0)} s`;
}
