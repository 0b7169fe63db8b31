// What every page's script may use: questions to the server, and sections. `server` is Gradio's.

/** Milliseconds between two looks at a job, and where the page is hidden. */
const LOOK_EVERY = 300;
const PATIENT = 1_000;

/** Ask the server; a failure comes back as `{error}`, whatever its kind. */
async function ask(name, asked) {
  try {
    return await server[name](asked);
  } catch {
    return { error: "The server gave no answer; the terminal that runs Thinkscope shows why." };
  }
}

function section(title, about, ...children) {
  return make("section", { class: "tv-section" }, make("h3", {}, title), about ? make("p", { class: "tv-about" }, about) : null, ...children);
}

/** A figure that the server drew and escaped. */
function drawn(html, name) {
  if (!html) return null;
  const node = make("div", name ? { "data-testid": name } : {});
  node.innerHTML = html;
  return node;
}
