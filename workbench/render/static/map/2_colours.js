// Colours of points: eight for kinds that the colour-blind can tell apart, viridis for numbers and for what has an order.

// Okabe and Ito's set, its yellow darkened so that it shows on white; the second list is for dark pages.
const KIND_COLOURS = {
  light: ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7800", "#6a3d9a"],
  dark: ["#4da6e0", "#e69f00", "#2fbf93", "#e39ac2", "#9ad4f5", "#f0732a", "#d9cc45", "#b196e0"],
};
const REST = { light: "#a3abb6", dark: "#5c6673" };
/** Behind the colours of kinds and of numbers: "unknown" and "all others". */
const SHADES = 64;

function hex(rgb) {
  return `#${rgb.map((value) => Math.round(value).toString(16).padStart(2, "0")).join("")}`;
}

/** On a dark page viridis' darkest, on a light one its brightest tenth would vanish. */
function shade(t, dark) {
  return hex(viridis(dark ? 0.12 + 0.88 * t : 0.94 * t));
}

function isOrdered(categories) {
  return categories.length > 2 && categories.every((name) => name.trim() !== "" && Number.isFinite(Number(name)));
}

/**
 * How a column is coloured: `codes` of points into `colours`, and what the legend says of it.
 * A number's legend has `low` and `high`; any other has `entries` of {name, colour, code, count}.
 */
function colouring(data, column, dark) {
  const theme = dark ? "dark" : "light";
  if (!column) return { codes: new Uint8Array(data.n), colours: [KIND_COLOURS[theme][0]], entries: [] };
  return column.kind === "number" ? colourNumbers(data, column, theme) : colourKinds(data, column, theme);
}

function colourNumbers(data, column, theme) {
  const values = data.values(column);
  let [low, high, unknown] = [Infinity, -Infinity, 0];
  for (const value of values) {
    if (Number.isNaN(value)) unknown += 1;
    else {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  const span = high - low || 1;
  const codes = new Uint8Array(data.n);
  for (let i = 0; i < data.n; i += 1) codes[i] = Number.isNaN(values[i]) ? SHADES : Math.min(SHADES - 1, Math.floor(((values[i] - low) / span) * SHADES));
  const colours = Array.from({ length: SHADES }, (_, i) => shade(i / (SHADES - 1), theme === "dark"));
  return { codes, colours: [...colours, REST[theme]], low, high, unknown, entries: [] };
}

function colourKinds(data, column, theme) {
  const values = data.values(column);
  const counts = new Uint32Array(column.categories.length + 1);
  for (const value of values) counts[value === column.none ? column.categories.length : value] += 1;
  const ordered = isOrdered(column.categories);
  const present = column.categories.map((name, code) => ({ name, code, count: counts[code] })).filter((entry) => entry.count > 0);
  const shown = ordered ? present : [...present].sort((one, other) => other.count - one.count);
  const room = ordered && shown.length <= SHADES ? shown.length : KIND_COLOURS[theme].length;
  const entries = shown.slice(0, room).map((entry, place) => ({
    ...entry,
    codes: [entry.code],
    colour: ordered ? shade(shown.length > 1 ? place / (shown.length - 1) : 0, theme === "dark") : KIND_COLOURS[theme][place],
  }));
  const rest = shown.slice(room);
  if (rest.length) entries.push({ name: counted(rest.length, "other"), codes: rest.map((entry) => entry.code), count: rest.reduce((sum, entry) => sum + entry.count, 0), colour: REST[theme] });
  if (counts[column.categories.length]) entries.push({ name: "unknown", codes: [column.none], count: counts[column.categories.length], colour: REST[theme] });
  const slots = new Map(entries.flatMap((entry, slot) => entry.codes.map((code) => [code, slot])));
  const codes = new Uint8Array(data.n);
  for (let i = 0; i < data.n; i += 1) codes[i] = slots.get(values[i]);
  return { codes, colours: entries.length ? entries.map((entry) => entry.colour) : [REST[theme]], entries };
}
