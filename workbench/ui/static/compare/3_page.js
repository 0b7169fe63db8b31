// The page's life: follow an order, show what came out, keep it in the address. `element`, `props`, `server`, `trigger` and
// `watch` are Gradio's.

const LOOK_EVERY = 400;
const PATIENT = 1_000;
const root = element.querySelector(".tv-root");
const bar = make("progress", { max: 1, value: 0, class: "tv-progress", "aria-label": "share that is done" });
const doing = make("span", { role: "status", "data-testid": "compare-doing" });
const stopper = make("button", { type: "button", class: "tv-button tv-small", "data-testid": "compare-cancel", onclick: () => cancel() }, "Cancel");
const waiting = make("div", { class: "tv-wait", hidden: true, "data-testid": "compare-wait" }, bar, doing, stopper);
const failed = make("p", { class: "tv-error", role: "alert", hidden: true, "data-testid": "compare-error" });
const body = make("div", {});
const now = { order: null, asked: null, key: null, view: null, pair: 0, sample: null, k: 0, list: null };
/** What the address asked to be shown, once. */
let wanted = null;

/** Ask the server; a failure comes back as `{error}`, whatever its kind. */
async function ask(name, asked) {
  try {
    return await server[name](asked);
  } catch {
    return { error: "The server gave no answer; the terminal that runs Thinkscope shows why." };
  }
}

function tell(sentence) {
  failed.textContent = sentence || "";
  failed.hidden = !sentence;
}

/** The address holds names and numbers alone, so that it opens the same comparison wherever the same names are offered. */
function writeAddress() {
  if (!now.asked) return;
  const address = new URLSearchParams();
  const theme = new URLSearchParams(location.search).get("__theme");
  if (theme) address.set("__theme", theme);
  for (const name of now.asked.compare) address.append("compare", name);
  for (const name of ["data", "split", "n"]) address.set(name, now.asked[name]);
  if (now.pair) address.set("pair", String(now.pair + 1));
  if (now.sample) address.set("sample", now.sample);
  if (now.sample && now.k) address.set("k", String(now.k + 1));
  history.replaceState(null, "", `?${address}`);
}

function readAddress() {
  const address = new URLSearchParams(location.search);
  if (!address.has("compare")) return null;
  const number = (name) => Math.max(0, (Number.parseInt(address.get(name) ?? "1", 10) || 1) - 1);
  const asked = { compare: address.getAll("compare").slice(0, 16) };
  for (const name of ["data", "split", "n"]) asked[name] = address.get(name) ?? { data: "Shapes", split: "test", n: "100" }[name];
  return { asked, pair: number("pair"), sample: address.get("sample"), k: number("k") };
}

async function follow(order) {
  let found = order;
  while (now.order === order && !found.error && !found.answer) {
    waiting.hidden = false;
    bar.value = found.share || 0;
    doing.textContent = `${found.doing || "Waiting for its turn"} …`;
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? PATIENT : LOOK_EVERY));
    if (now.order === order) found = await ask("look_compare", { job: order.job });
  }
  if (now.order !== order) return;
  now.order = null;
  waiting.hidden = true;
  if (found.error) tell(found.error);
  else await load(order.asked, found.answer.comparison);
}

async function load(asked, key) {
  const view = await ask("fetch_comparison", { comparison: key });
  if (view.error) return tell(view.error);
  const pair = Math.min(wanted?.pair || 0, view.pairs.length - 1);
  Object.assign(now, { asked, key, view, sample: wanted?.sample || null, k: wanted?.k || 0 });
  wanted = null;
  await showPair(pair, now.sample, now.k);
  root.dataset.ready = key;
}

async function cancel() {
  const { order } = now;
  if (!order) return;
  now.order = null;
  doing.textContent = "Cancelling …";
  // Told when the server knows it: until then a click on 'Compare' would find the run that is being given up.
  await ask("cancel_compare", { job: order.job });
  if (now.order) return;
  waiting.hidden = true;
  tell("Cancelled. What was read so far is kept, and the same comparison goes on from there.");
}

async function showPair(number, sample = null, k = 0) {
  const { view } = now;
  const pair = view.pairs[number];
  now.pair = number;
  const choose = make("select", { class: "tv-select tv-narrow", "data-testid": "pair", "aria-label": "Which checkpoint is compared", onchange: (event) => showPair(Number(event.target.value)) }, view.pairs.map((one, place) => make("option", { value: place, selected: place === number }, `${one.names[1]} against ${one.names[0]}`)));
  const place = make("div", { "data-testid": "sample" });
  now.list = new ChangeList(pair.changes, (id) => openSample(id, 0, place, true));
  body.replaceChildren(
    ...[
      section(view.title, null, drawn(view.sides), drawn(view.notes), view.pairs.length > 1 ? choose : null, savesPart()),
      figure("Not compared", pair.refused, "refused"),
      figure("Quality", pair.quality, "quality"),
      section("Samples that changed most", "Ranks are of the right document: ▲ better with the second checkpoint, ▼ worse. Click a column's name to sort by it, a sample to open it below.", now.list.node),
      place,
      figure("How alike they are", pair.likeness, "likeness"),
      figure("Do they rank alike?", pair.agreement, "agreement"),
      figure("Layers and think tokens", pair.grids, "grids"),
    ].filter(Boolean),
  );
  const first = now.list.body.firstElementChild?.dataset.id;
  const asked = sample && pair.changes.some((one) => one.id === sample) ? sample : null;
  if (sample && !asked) tell(`There is no sample '${sample.slice(0, 100)}' among those that were compared.`);
  await openSample(asked || first, asked ? k : 0, place, false);
}

async function openSample(id, k, place, byHand) {
  if (!id) return;
  const { key, pair } = now;
  Object.assign(now, { sample: id, k });
  now.list.mark(id);
  const view = await ask("fetch_sample", { comparison: key, pair, sample: id });
  if (now.key !== key || now.pair !== pair || now.sample !== id) return;
  if (view.error) return place.replaceChildren(make("p", { class: "tv-error", role: "alert" }, view.error));
  for (const image of view.images) image.element = await loadImage(image.src);
  if (now.sample !== id || now.pair !== pair) return;
  const { names } = now.view.pairs[pair];
  const stage = new Stage(view, names, (chosen) => {
    now.k = chosen;
    writeAddress();
  });
  const title = `Sample ${view.id}, side by side`;
  const answer = view.answer ? ` Right answer: ${view.answer}` : "";
  place.replaceChildren(section(title, `${view.text}${answer}`, thoughtsPart(view, names), standingsPart(view, names), make("h4", {}, "Think tokens, and what they attend to"), stage.node));
  stage.choose(k);
  now.k = stage.k;
  place.dataset.sample = id;
  writeAddress();
  if (byHand) place.scrollIntoView({ behavior: "smooth", block: "start" });
}

function savesPart() {
  const says = make("p", { class: "tv-faint", role: "status" });
  const save = async (kind) => {
    says.textContent = "Preparing the file …";
    const answer = await ask("save_comparison", { comparison: now.key, kind, sample: now.sample });
    says.textContent = answer.error || "";
    if (!answer.error) offerFile(answer.text, answer);
  };
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      says.textContent = "The address is copied; it opens this comparison wherever the same checkpoints and data are offered.";
    } catch {
      says.textContent = "This browser does not let the page copy; take the address from its own bar.";
    }
  };
  const button = (name, title, act) => make("button", { type: "button", class: "tv-button tv-small", "data-testid": name, onclick: act }, title);
  return make("div", {}, make("div", { class: "cp-tools" }, button("compare-save-html", "Save as HTML", () => save("html")), button("compare-save-json", "Save as JSON", () => save("json")), button("compare-copy", "Copy the address", copy)), says);
}

function showEmpty() {
  body.replaceChildren(make("div", { class: "tv-empty" }, make("p", {}, "Choose two checkpoints and a data set, then press "), make("strong", {}, "Compare"), make("p", {}, "What one does better, which samples changed, and how alike their thoughts are will appear here.")));
}

async function show() {
  if (!props.value) return;
  const order = JSON.parse(props.value);
  if (now.order?.job && now.order.job !== order.job) ask("cancel_compare", { job: now.order.job });
  now.order = order;
  tell("");
  // On a narrow page the result lies below the inputs, out of sight.
  if (root.getBoundingClientRect().top > window.innerHeight * 0.7) root.scrollIntoView({ behavior: "smooth", block: "start" });
  await follow(order);
}

async function arrive() {
  wanted = readAddress();
  if (!wanted) return;
  const checked = await ask("check_address", wanted.asked);
  if (checked.error) tell(`This address cannot be opened: ${checked.error}`);
  trigger("select", wanted.asked);
  if (checked.error) wanted = null;
}

showEmpty();
root.replaceChildren(waiting, failed, body);
window.addEventListener("pagehide", () => now.order && ask("cancel_compare", { job: now.order.job }));
watch("value", show);
if (props.value) show();
else arrive();
