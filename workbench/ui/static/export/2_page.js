// The page's life: wait for an export, look after it until it ends, offer its files. `element`, `props`, `trigger`
// and `watch` are Gradio's. The key of the export is kept for this tab, so that a page loaded again finds it.

const REMEMBERED = "thinkscope-export";
const root = element.querySelector(".tv-root");
let followed = null;

function remember(key) {
  try {
    if (key) sessionStorage.setItem(REMEMBERED, key);
    else sessionStorage.removeItem(REMEMBERED);
  } catch {
    // A browser that keeps nothing only forgets the export when the page is loaded again.
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(REMEMBERED);
  } catch {
    return null;
  }
}

function showEmpty(sentence) {
  const said = sentence ? make("p", { class: "tv-error", role: "alert", "data-testid": "export-error" }, sentence) : null;
  root.replaceChildren(...[said, make("div", { class: "tv-empty" }, make("p", {}, "Choose a data set, or upload a zip of images with a table of questions, then press "), make("strong", {}, "Export the thoughts"), make("p", {}, "Every row's thought is decoded into files that you can download here."))].filter(Boolean));
  root.dataset.state = "empty";
}

function button(name, title, act) {
  const node = make("button", { type: "button", class: "tv-button", "data-testid": `export-${name}`, onclick: () => act(node) }, title);
  return node;
}

async function download(view, kind, node, says) {
  node.disabled = true;
  says.hidden = false;
  says.textContent = "Preparing the file …";
  const answer = await ask("make_file", { export: view.export, kind });
  node.disabled = false;
  says.textContent = answer.error || "";
  says.hidden = !answer.error;
  if (answer.error) return;
  const path = answer.path.split("/").map(encodeURIComponent).join("/");
  const link = make("a", { href: `gradio_api/file=${path}`, download: answer.name });
  document.body.append(link);
  link.click();
  link.remove();
}

function filesPart(view) {
  if (!view.files.length) return null;
  const says = make("p", { class: "tv-faint", role: "status", hidden: true });
  const buttons = view.files.map((kind) => {
    const [title, about] = FILES[kind];
    const node = button(`save-${kind}`, title, () => download(view, kind, node, says));
    node.append(make("small", {}, about));
    return node;
  });
  return make("div", {}, make("div", { class: "tv-buttons" }, buttons), says);
}

function actsPart(view) {
  if (view.state === "running") return make("div", { class: "tv-buttons" }, button("cancel", "Cancel", (node) => act("cancel_export", view, node)));
  if (view.state === "complete") return null;
  return make("div", { class: "tv-buttons" }, button("resume", "Go on", (node) => act("resume_export", view, node)));
}

async function act(name, view, node) {
  node.disabled = true;
  const answer = await ask(name, { export: view.export });
  if (followed !== view.export) return;
  if (answer.error && !answer.state) {
    node.disabled = false;
    root.querySelector("[data-testid=export-says]").textContent = answer.error;
    return;
  }
  show(answer);
  if (name === "resume_export") follow(view.export);
}

function statusPart(view) {
  const running = view.state === "running";
  const share = view.rows ? (view.done + view.failed) / view.rows : null;
  const bar = make("progress", { class: "tv-progress xp-progress", max: 1, value: view.state === "complete" ? 1 : share, "aria-label": "share of the rows that is done" });
  return section(
    `${STATES[view.state]}: ${view.title}`,
    `Read by ${view.checkpoint}.`,
    running || share !== null ? bar : null,
    make("p", { class: "tv-faint", role: "status", "data-testid": "export-doing" }, running ? `${view.doing} …` : outcome(view)),
    view.error ? make("p", { class: "tv-error", role: "alert", "data-testid": "export-error" }, view.error) : null,
    numbersPart(view),
    filesPart(view),
    actsPart(view),
    make("p", { class: "tv-faint", role: "alert", "data-testid": "export-says" }),
  );
}

/** Draw anew only what changed, so that a button keeps the focus while numbers move. */
function show(view) {
  const keys = { status: view, preview: view.preview, problems: view.problems, command: view.command };
  const parts = { status: statusPart, preview: previewPart, problems: problemsPart, command: commandPart };
  const focused = root.contains(document.activeElement) ? document.activeElement.dataset.testid : null;
  if (root.dataset.export !== view.export || root.dataset.state === "empty") root.replaceChildren(...Object.keys(parts).map((name) => make("div", { "data-part": name })));
  root.dataset.export = view.export;
  for (const [name, build] of Object.entries(parts)) {
    const place = root.querySelector(`[data-part=${name}]`);
    const state = JSON.stringify(keys[name]);
    if (place.shown === state) continue;
    place.shown = state;
    place.replaceChildren(...[build(view)].filter(Boolean));
  }
  if (focused) root.querySelector(`[data-testid="${focused}"]`)?.focus({ preventScroll: true });
  root.dataset.state = view.state;
}

async function follow(key) {
  while (followed === key) {
    const view = await ask("look_export", { export: key });
    if (followed !== key) return;
    if (!view.state) {
      remember(null);
      followed = null;
      showEmpty(view.error);
      return;
    }
    show(view);
    if (view.state !== "running") return;
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? PATIENT : LOOK_EVERY));
  }
}

function begin() {
  if (!props.value || props.value === followed) return;
  followed = props.value;
  remember(followed);
  follow(followed);
  // On a narrow page the result lies below the inputs, out of sight.
  if (root.getBoundingClientRect().top > window.innerHeight * 0.7) root.scrollIntoView({ behavior: "smooth", block: "start" });
}

async function findAgain() {
  const key = remembered();
  if (!key) return;
  const view = await ask("look_export", { export: key });
  if (followed) return;
  if (!view.state) {
    remember(null);
    return;
  }
  followed = key;
  trigger("select", { export: key });
  show(view);
  if (view.state === "running") follow(key);
}

showEmpty("");
watch("value", begin);
if (props.value) begin();
else findAgain();
