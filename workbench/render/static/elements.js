// What every component's script may use: builders of page elements, files to save, and colours. Text enters as text, never as markup.

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Let the browser save some content under the name and type of `file`. */
function offerFile(content, file) {
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type: file.type })), download: file.name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Viridis, nine stops: dark means little, bright means much, and it survives colour blindness and grey printing.
const VIRIDIS = [
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50],
  [253, 231, 37],
];

function viridis(t) {
  const at = Math.min(Math.max(t, 0), 1) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return VIRIDIS[low].map((value, channel) => value + (VIRIDIS[low + 1][channel] - value) * (at - low));
}

// ColorBrewer's RdBu turned round, as in workbench/render/heat.py: blue is below 0, red above.
const DIVERGING = [
  [5, 48, 97], [33, 102, 172], [67, 147, 195], [146, 197, 222], [209, 229, 240], [247, 247, 247], [253, 219, 199],
  [244, 165, 130], [214, 96, 77], [178, 24, 43], [103, 0, 31],
];

function diverging(t) {
  const at = ((Math.min(Math.max(t, -1), 1) + 1) / 2) * (DIVERGING.length - 1);
  const low = Math.min(Math.floor(at), DIVERGING.length - 2);
  return DIVERGING[low].map((value, channel) => value + (DIVERGING[low + 1][channel] - value) * (at - low));
}
