// The page's life: follow an order, show what came out. `element`, `props`, `server` and `watch` are Gradio's.

const LOOK_EVERY = 400;
const PATIENT = 1_000;
const root = element.querySelector(".tv-root");
const bar = make("progress", { max: 1, value: 0, class: "tv-progress", "aria-label": "share that is done" });
const doing = make("span", { role: "status", "data-testid": "audit-doing" });
const stopper = make("button", { type: "button", class: "tv-button tv-small", "data-testid": "audit-cancel", onclick: () => cancel() }, "Cancel");
const waiting = make("div", { class: "tv-wait", hidden: true, "data-testid": "audit-wait" }, bar, doing, stopper);
const failed = make("p", { class: "tv-error", role: "alert", hidden: true, "data-testid": "audit-error" });
const body = make("div", {});
const now = { order: null, key: null };

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

/** A figure that the server drew and escaped. */
function drawn(html, name) {
  if (!html) return null;
  const node = make("div", name ? { "data-testid": name } : {});
  node.innerHTML = html;
  return node;
}

async function follow(order) {
  let found = order;
  while (now.order === order && !found.error && !found.answer) {
    waiting.hidden = false;
    bar.value = found.share || 0;
    doing.textContent = `${found.doing || "Waiting for its turn"} …`;
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? PATIENT : LOOK_EVERY));
    if (now.order === order) found = await ask("look_audit", { job: order.job });
  }
  if (now.order !== order) return;
  now.order = null;
  waiting.hidden = true;
  if (found.error) tell(found.error);
  else await load(found.answer.audit);
}

async function load(key) {
  const view = await ask("fetch_audit", { audit: key });
  if (view.error) return tell(view.error);
  now.key = key;
  const sections = view.sections.map((one) => make("section", { class: "tv-section" }, make("h3", {}, one.title), make("p", { class: "tv-about" }, one.about), drawn(one.html)));
  const head = make("section", { class: "tv-section" }, make("h3", {}, view.title), drawn(view.verdict, "audit-verdict"), drawn(view.notes), savesPart());
  body.replaceChildren(head, ...sections);
  body.dataset.kind = view.kind;
  root.dataset.ready = key;
}

async function cancel() {
  const { order } = now;
  if (!order) return;
  now.order = null;
  doing.textContent = "Cancelling …";
  // Told when the server knows it: until then a click on 'Audit' would find the run that is being given up.
  await ask("cancel_audit", { job: order.job });
  if (now.order) return;
  waiting.hidden = true;
  tell("Cancelled. What was measured so far is kept, and the same audit goes on from there.");
}

function savesPart() {
  const says = make("p", { class: "tv-faint", role: "status" });
  const save = async (kind) => {
    says.textContent = "Preparing the file …";
    const answer = await ask("save_audit", { audit: now.key, kind });
    says.textContent = answer.error || "";
    if (!answer.error) offerFile(answer.text, answer);
  };
  const button = (kind, title) => make("button", { type: "button", class: "tv-button tv-small", "data-testid": `audit-save-${kind}`, onclick: () => save(kind) }, title);
  return make("div", { class: "tv-buttons" }, button("html", "Save as HTML"), button("json", "Save as JSON"), says);
}

async function show() {
  if (!props.value) return;
  const order = JSON.parse(props.value);
  if (now.order?.job && now.order.job !== order.job) ask("cancel_audit", { job: now.order.job });
  now.order = order;
  tell("");
  // On a narrow page the result lies below the inputs, out of sight.
  if (root.getBoundingClientRect().top > window.innerHeight * 0.7) root.scrollIntoView({ behavior: "smooth", block: "start" });
  await follow(order);
}

body.replaceChildren(make("div", { class: "tv-empty" }, make("p", {}, "Choose a checkpoint and a data set, then press "), make("strong", {}, "Audit"), make("p", {}, "The thoughts are edited in about a hundred ways and the candidates ranked anew each time; whether that changes anything will appear here.")));
root.replaceChildren(waiting, failed, body);
window.addEventListener("pagehide", () => now.order && ask("cancel_audit", { job: now.order.job }));
watch("value", show);
if (props.value) show();
