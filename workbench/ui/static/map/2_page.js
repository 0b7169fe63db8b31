// The page's life: wait for an order, look after its job, show the first painting, then what comes after it.
// `element`, `props`, `trigger` and `watch` are Gradio's.

const shown = { view: null, order: null, version: 0, engine: undefined };
const bar = make("progress", { max: 1, value: 0, class: "mp-progress" });
const doing = make("span", { role: "status", "data-testid": "map-doing" });
const stopper = make("button", { type: "button", class: "mp-button", "data-testid": "map-cancel", onclick: () => cancel() }, "Cancel");
const waiting = make("div", { class: "mp-wait", hidden: true, "data-testid": "map-wait" }, bar, doing, stopper);
const failed = make("p", { class: "mp-notes", role: "alert", hidden: true, "data-testid": "map-error" });
const body = make("div", { class: "mp-body" });
const isDark = () => document.body.classList.contains("dark");

/** The script that paints points, run once; null when it cannot be had, and the map goes on without it. */
async function paintEngine() {
  if (shown.engine === undefined) {
    const answer = await ask("fetch_engine", {});
    shown.engine = answer.error ? null : new Function(`${answer.script}\nreturn ReglScatterplot;`)();
  }
  return shown.engine;
}

function tell(sentence) {
  failed.textContent = sentence;
  failed.hidden = !sentence;
}

async function follow(order) {
  let found = order;
  while (shown.order === order) {
    if (found.version > shown.version) await paint(order, found.version);
    if (shown.order !== order || found.error || found.answer) break;
    waiting.hidden = false;
    bar.value = found.share || 0;
    doing.textContent = `${found.doing || "Waiting for its turn"} …`;
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? PATIENT : LOOK_EVERY));
    if (shown.order === order) found = await ask("look_map", { job: order.job, map: order.map });
  }
  if (shown.order !== order) return;
  if (found.error) tell(found.error);
  else if (found.answer.version > shown.version) await paint(order, found.answer.version);
  if (shown.order !== order) return;
  waiting.hidden = true;
  shown.order = null;
}

/** Show a version of a map. What was chosen in the version before stays, and its points move to their new places. */
async function paint(order, version) {
  const [answer, engine] = await Promise.all([ask("fetch_map", { map: order.map }), paintEngine()]);
  if (answer.error) {
    tell(answer.error);
    return;
  }
  shown.version = version;
  const before = shown.map === order.map ? shown.view?.keep() : null;
  shown.view?.close();
  shown.map = order.map;
  const data = new MapData(answer.head, answer.arrays);
  const source = new ServerSource(order.map, ask, (asked) => trigger("select", asked));
  const first = before ? before.projection : answer.head.shown;
  const view = new MapView(body, data, source, { dark: isDark, engine, first });
  source.view = shown.view = view;
  await view.start();
  if (before) await view.restore(before);
  body.dataset.version = String(version);
  body.dataset.map = order.map;
}

function cancel() {
  if (!shown.order) return;
  ask("cancel_map", { job: shown.order.job });
  shown.order = null;
  waiting.hidden = true;
  tell("Cancelled.");
}

async function show() {
  if (!props.value) return;
  const order = JSON.parse(props.value);
  if (shown.order) ask("cancel_map", { job: shown.order.job });
  Object.assign(shown, { order, version: 0 });
  tell("");
  await follow(order);
}

const root = element.querySelector(".mp-root");
body.append(make("div", { class: "mp-empty" }, make("p", {}, "Choose a data set and what to lay out, then press "), make("strong", {}, "Draw the map"), make("p", {}, "Every point will be a thought, or an embedding, of one sample: point at it to see which.")));
root.replaceChildren(waiting, failed, body);
new MutationObserver(() => shown.view?.retheme()).observe(document.body, { attributeFilter: ["class"] });
window.addEventListener("pagehide", () => shown.order && ask("cancel_map", { job: shown.order.job }));
watch("value", show);
show();
