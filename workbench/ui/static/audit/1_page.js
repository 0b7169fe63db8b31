// The page's life: follow an order, show what came out. `element`, `props` and `watch` are Gradio's.

const root = element.querySelector(".tv-root");
const body = make("div", {});
const following = new Following(root, "audit", {
  cancelled: "Cancelled. What was measured so far is kept, and the same audit goes on from there.",
  finished: (answer) => load(answer.audit),
});

async function load(key) {
  const view = await ask("fetch_audit", { audit: key });
  if (view.error) return following.tell(view.error);
  const { says, buttons } = saveButtons("audit", "save_audit", () => ({ audit: key }));
  const saves = make("div", { class: "tv-buttons" }, buttons, says);
  const sections = view.sections.map((one) => section(one.title, one.about, drawn(one.html)));
  body.replaceChildren(section(view.title, null, drawn(view.verdict, "audit-verdict"), drawn(view.notes), saves), ...sections);
  body.dataset.kind = view.kind;
  root.dataset.ready = key;
}

body.replaceChildren(make("div", { class: "tv-empty" }, make("p", {}, "Choose a checkpoint and a data set, then press "), make("strong", {}, "Audit"), make("p", {}, "The thoughts are edited in about a hundred ways and the candidates ranked anew each time; whether that changes anything will appear here.")));
root.replaceChildren(following.waiting, following.failed, body);
watch("value", () => following.show());
following.show();
