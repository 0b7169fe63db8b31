// A map in a file of its own: what the page asks the server for is read from the file instead.

/** Answers from the samples that the file holds. */
class FileSource {
  constructor(data, samples, texts) {
    Object.assign(this, { data, list: samples, texts });
    this.saves = [];
  }

  async samples(indices) {
    return indices.map((index) => this.list[index]);
  }

  async inside(projection, polygon) {
    const flat = this.data.arrays[projection];
    const [xs, ys] = [new Float32Array(this.data.n), new Float32Array(this.data.n)];
    for (let i = 0; i < this.data.n; i += 1) [xs[i], ys[i]] = [flat[2 * i], flat[2 * i + 1]];
    return pointsInside(polygon, xs, ys);
  }

  async search(text) {
    const wanted = text.toLowerCase();
    const samples = new Set();
    this.list.forEach((one, index) => {
      if ([one.id, one.text, one.answer, ...one.thoughts].some((part) => part.toLowerCase().includes(wanted))) samples.add(index);
    });
    const found = new Set(this.data.pointsOf(samples));
    for (const column of Object.values(this.texts)) column.forEach((value, point) => value.toLowerCase().includes(wanted) && found.add(point));
    return [...found].sort((one, other) => one - other);
  }

  async near(point) {
    const { neighbours, distances } = this.data.arrays;
    const wide = neighbours.length / this.data.n;
    const row = [...neighbours.subarray(point * wide, (point + 1) * wide)];
    const usable = row.filter((other) => other >= 0).length;
    return { points: row.slice(0, usable), distances: [...distances.subarray(point * wide, point * wide + usable)] };
  }
}

function readPart(name) {
  return JSON.parse(document.getElementById(name).textContent);
}

async function openFile() {
  const root = document.querySelector(".mp-root");
  const prefers = window.matchMedia("(prefers-color-scheme: dark)");
  const asked = new URLSearchParams(window.location.search).get("theme");
  const body = document.body.classList;
  const isDark = () => body.contains("dark");
  body.toggle("dark", asked ? asked === "dark" : prefers.matches);
  const data = new MapData(readPart("map-head"), readPart("map-arrays"));
  const { samples, texts } = readPart("map-samples");
  const view = new MapView(root, data, new FileSource(data, samples, texts), { dark: isDark, engine: typeof ReglScatterplot === "undefined" ? null : ReglScatterplot });
  await view.start();
  prefers.addEventListener("change", () => {
    body.toggle("dark", prefers.matches);
    view.retheme();
  });
}

openFile();
