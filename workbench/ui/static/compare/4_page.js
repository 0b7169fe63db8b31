// The page's life: follow an order, show what came out, keep it in the address. `element`, `props`, `trigger` and `watch`
// are Gradio's.

const root = element.querySelector(".tv-root");
const body = make("div", {});
const following = new Following(root, "compare", {
  cancelled: "Cancelled. What was read so far is kept, and the same comparison goes on from there.",
  finished: (answer, order) => load(order.asked, answer.comparison),
});
const MIDDLE = 50;
const now = { asked: null, key: null, view: null, pair: 0, sample: null, k: null, method: null, slide: MIDDLE, order: null, list: null, layers: null };
/** What the address asked to be shown, until a comparison is there; of another one than it asked for, nothing is. */
let wanted = null;

/** The address holds names and numbers alone, so that it opens the same comparison wherever the same names are offered. */
function writeAddress() {
  if (!now.asked) return;
  const address = new URLSearchParams();
  const theme = new URLSearchParams(location.search).get("__theme");
  if (theme) address.set("__theme", theme);
  for (const name of now.asked.compare) address.append("compare", name);
  for (const name of ["data", "split", "n"]) address.set(name, now.asked[name]);
  if (now.asked.compare.length > 2) address.set("pair", now.view.pairs[now.pair].offered);
  if (now.sample) address.set("sample", now.sample);
  if (now.sample && now.k !== null) address.set("k", String(now.k + 1));
  if (now.sample && now.method) address.set("maps", now.method);
  if (now.sample && now.slide !== MIDDLE) address.set("slide", String(now.slide));
  if (now.order) address.set("sort", `${now.order.way < 0 ? "-" : ""}${now.order.by}`);
  history.replaceState(null, "", `?${address}`);
}

function readAddress() {
  const address = new URLSearchParams(location.search);
  if (!address.has("compare")) return null;
  const number = (name) => Math.max(0, (Number.parseInt(address.get(name) ?? "1", 10) || 1) - 1);
  const asked = { compare: address.getAll("compare").slice(0, 16) };
  for (const name of ["data", "split", "n"]) asked[name] = address.get(name) ?? { data: "Shapes", split: "test", n: "100" }[name];
  return { asked, pair: address.get("pair"), sample: address.get("sample"), k: address.has("k") ? number("k") : null, method: address.get("maps"), slide: readSlide(address.get("slide")), order: readOrder(address.get("sort")) };
}

/** Where the slider stands, 0 to 100; the middle for anything else. */
function readSlide(text) {
  return /^\d{1,3}$/.test(text ?? "") && Number(text) <= 100 ? Number(text) : MIDDLE;
}

/** A column's name, with a minus where its largest come first; null for a column that there is not. */
function readOrder(text) {
  const [, minus, by] = /^(-?)(\w+)$/.exec(text ?? "") ?? [];
  return COLUMNS.some(([name]) => name === by) ? { by, way: minus ? -1 : 1 } : null;
}

/** The number of the pair that an address names by its second checkpoint, or, as older ones, by its place; -1 where it is not there. */
function findPair(view, { asked, pair }) {
  if (pair === null) return 0;
  const named = (name) => view.pairs.findIndex((one) => one.offered === name);
  return named(pair) < 0 && /^\d+$/.test(pair) ? named(asked.compare[Number(pair)]) : named(pair);
}

/** Why what an address names is not shown; empty where it is. The server knows why a sample is not in the list. */
async function tellMissing(key, view, { pair, sample }, number) {
  const why = [];
  if (number < 0) why.push(`The checkpoint '${pair.slice(0, 100)}' of this address is not among those that were compared.`);
  const at = Math.max(number, 0);
  if (sample && !view.pairs[at].changes.some((one) => one.id === sample)) why.push((await ask("fetch_sample", { comparison: key, pair: at, sample })).error);
  return why.filter(Boolean).join(" ");
}

/** Whether what was compared is what the address asked for: meanwhile somebody may have asked for something else. */
function isWanted(asked) {
  const told = (one) => JSON.stringify([one.compare, one.data, one.split, Number(one.n)]);
  return wanted !== null && told(wanted.asked) === told(asked);
}

async function load(asked, key) {
  const view = await ask("fetch_comparison", { comparison: key });
  if (view.error) return following.tell(view.error);
  const found = isWanted(asked) ? wanted : null;
  wanted = null;
  const number = found ? findPair(view, found) : 0;
  const method = view.methods.some(([name]) => name === found?.method) ? found.method : null;
  Object.assign(now, { asked, key, view, sample: found?.sample || null, k: found?.k ?? null, slide: found?.slide ?? MIDDLE, order: found?.order ?? null, method });
  await showPair(Math.max(number, 0), now.sample, now.k);
  const missing = found ? await tellMissing(key, view, found, number) : "";
  if (missing && now.key === key) following.tell(missing);
  root.dataset.ready = key;
}

async function showPair(number, sample = null, k = null) {
  const { view } = now;
  const pair = view.pairs[number];
  now.pair = number;
  const choose = make("select", { class: "tv-select tv-narrow", "data-testid": "pair", "aria-label": "Which checkpoint is compared", onchange: (event) => showPair(Number(event.target.value)) }, view.pairs.map((one, place) => make("option", { value: place, selected: place === number }, `${one.names[1]} against ${one.names[0]}`)));
  const place = make("div", { "data-testid": "sample" });
  const sorted = (order) => {
    now.order = order;
    writeAddress();
  };
  now.list = new ChangeList(pair.changes, now.order, { open: (id) => openSample(id, null, place, true), sorted });
  body.replaceChildren(
    ...[
      section(view.title, null, drawn(view.sides), drawn(view.notes), view.pairs.length > 1 ? choose : null, savesPart()),
      figure("Not compared", pair.refused, "refused"),
      figure("Quality", pair.quality, "quality"),
      figure(`Quality by ${view.grouped_by}`, pair.groups, "groups"),
      section("Samples that changed most", `Samples that both could read: ${pair.changes.length}. Ranks are of the right document: ▲ better with the second checkpoint, ▼ worse. Click a column's name to sort by it, a sample to open it below.`, now.list.node),
      place,
      figure("How alike they are", pair.likeness, "likeness"),
      figure("Do they rank alike?", pair.agreement, "agreement"),
      figure("Do they look at the same places?", pair.looks, "looks"),
      figure("Layers and think tokens", pair.grids, "grids"),
    ].filter(Boolean),
  );
  const first = now.list.body.firstElementChild?.dataset.id;
  const asked = sample && pair.changes.some((one) => one.id === sample) ? sample : null;
  await openSample(asked || first, asked ? k : null, place, false);
}

async function openSample(id, k, place, byHand) {
  if (!id) return;
  const { key, pair } = now;
  Object.assign(now, { sample: id, k });
  now.list.mark(id);
  now.layers?.leave();
  now.layers = null;
  const view = await ask("fetch_sample", { comparison: key, pair, sample: id });
  if (now.key !== key || now.pair !== pair || now.sample !== id) return;
  if (view.error) return place.replaceChildren(make("p", { class: "tv-error", role: "alert" }, view.error));
  for (const image of view.images) image.element = await loadImage(image.src);
  if (now.sample !== id || now.pair !== pair) return;
  const { names } = now.view.pairs[pair];
  const title = `Sample ${view.id}, side by side`;
  const answer = view.answer ? ` Right answer: ${view.answer}` : "";
  place.replaceChildren(section(title, `${view.text}${answer}`, thoughtsPart(view, names), standingsPart(view, names), view.cards.length ? cardsPart(view, names, k) : null));
  place.dataset.sample = id;
  writeAddress();
  if (now.method) now.layers?.showAttribution();
  if (byHand) place.scrollIntoView({ behavior: "smooth", block: "start" });
}

/** The cards, with the pictures that they have maps for; card `k` is chosen. */
function cardsPart(view, names, k) {
  const told = (what) => {
    Object.assign(now, what);
    writeAddress();
  };
  const stage = new Stage(view, names, now.slide, { chosen: (card) => told({ k: card }), slid: (at) => told({ slide: at }) });
  if (view.images.length) now.layers = chooseLayer(stage, { comparison: now.key, pair: now.pair, sample: view.id });
  stage.choose(k);
  now.k = stage.k;
  return [make("h4", {}, view.title), view.lone ? make("p", { class: "tv-about", "data-testid": "lone" }, view.lone) : null, now.layers?.node, stage.node];
}

/** Attribution stays chosen from sample to sample, and in the address. */
function chooseLayer(stage, asked) {
  return new LayerChoice(stage, now.view.methods, now.method || now.view.method, asked, (method) => {
    now.method = method;
    writeAddress();
  });
}

function savesPart() {
  const { says, buttons } = saveButtons("compare", "save_comparison", () => ({ comparison: now.key, sample: now.sample, method: now.method }));
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      says.textContent = "The address is copied; it opens this comparison wherever the same checkpoints and data are offered.";
    } catch {
      says.textContent = "This browser does not let the page copy; take the address from its own bar.";
    }
  };
  return make("div", {}, make("div", { class: "cp-tools" }, buttons, smallButton("compare-copy", "Copy the address", copy)), says);
}

function showEmpty() {
  body.replaceChildren(make("div", { class: "tv-empty" }, make("p", {}, "Choose two checkpoints and a data set, then press "), make("strong", {}, "Compare"), make("p", {}, "What one does better, which samples changed, and how alike their thoughts are will appear here.")));
}

async function arrive() {
  wanted = readAddress();
  if (!wanted) return;
  const checked = await ask("check_address", wanted.asked);
  if (checked.error) following.tell(`This address cannot be opened: ${checked.error}`);
  trigger("select", wanted.asked);
  if (checked.error) wanted = null;
}

showEmpty();
root.replaceChildren(following.waiting, following.failed, body);
watch("value", () => following.show());
if (props.value) following.show();
else arrive();
