// The component's life: wait for a result, build it, replace it. `element`, `props` and `watch` are Gradio's.

let explorer = null;
let attribution = null;
let latest = 0;

function loadImage(source) {
  return new Promise((resolve, reject) => {
    const picture = new Image();
    picture.onload = () => resolve(picture);
    picture.onerror = () => reject(new Error("the image of the result cannot be shown"));
    picture.src = source;
  });
}

async function saveAs(kind, view, says) {
  says.textContent = "Preparing the file …";
  const answer = await ask("export_file", { id: view.id, kind });
  says.textContent = answer.error || "";
  if (answer.error) return;
  offerFile(answer.text, answer);
}

function downloadsPart(view) {
  const says = make("p", { class: "tv-faint", role: "status" });
  const button = (kind, title) => make("button", { type: "button", class: "tv-button", "data-testid": `save-${kind}`, onclick: () => saveAs(kind, view, says) }, title);
  return section("Keep this result", "JSON holds every number; the HTML report holds the pictures and opens anywhere.", make("div", { class: "tv-buttons" }, button("json", "Download JSON"), button("html", "Download HTML report")), says);
}

async function show() {
  if (explorer) explorer.close();
  if (attribution) attribution.close();
  explorer = attribution = null;
  const root = element.querySelector(".tv-root");
  if (!props.value) {
    root.replaceChildren(make("div", { class: "tv-empty" }, make("p", {}, "Choose an example above, or give an image and a question, then press "), make("strong", {}, "Read the thought"), make("p", {}, "The thought, what it looks at and how sure it is will appear here.")));
    return;
  }
  const view = JSON.parse(props.value);
  const turn = (latest += 1);
  for (const image of view.images) image.element = await loadImage(image.src);
  if (turn !== latest) return; // a newer result came while this one's images were loading
  explorer = new Explorer(view, ask);
  const made = (attribution = new Attribution(view, explorer.planes, ask, (number) => markWord(thought, number)));
  const thought = thoughtPart(view, made.usable ? (number) => made.word(number) : null);
  const parts = [warningsPart(view), thought, hiddenPart(view), attribution.node, explorer.node, rankingPart(view), morePart(view), make("div", { class: "tv-pair" }, cardPart(view), [make("div", {}, secondsPart(view), downloadsPart(view))])];
  root.replaceChildren(...parts.filter(Boolean));
  root.dataset.ready = view.id;
  explorer.draw();
  // On a narrow page the result lies below the inputs, out of sight.
  if (root.getBoundingClientRect().top > window.innerHeight * 0.7) root.scrollIntoView({ behavior: "smooth", block: "start" });
}

window.addEventListener("pagehide", () => attribution && attribution.close());
attachTips(element.querySelector(".tv-root"));
watch("value", show);
show();
