// A page of one long job: its order is followed until it ends or is cancelled, and what came out can be saved. `props` is
// Gradio's.

function smallButton(name, title, act) {
  return make("button", { type: "button", class: "tv-button tv-small", "data-testid": name, onclick: act }, title);
}

/**
 * Follows the orders that arrive in the component's value, one at a time. `name` begins the names of the page's parts and
 * ends those of what it asks (`look_audit`, `cancel_audit`); `cancelled` is the sentence for an order that was given up;
 * `finished(answer, order)` shows what came out.
 */
class Following {
  constructor(root, name, { cancelled, finished }) {
    Object.assign(this, { root, name, cancelled, finished, order: null });
    this.bar = make("progress", { max: 1, value: 0, class: "tv-progress", "aria-label": "share that is done" });
    this.doing = make("span", { role: "status", "data-testid": `${name}-doing` });
    const stopper = smallButton(`${name}-cancel`, "Cancel", () => this.cancel());
    this.waiting = make("div", { class: "tv-wait", hidden: true, "data-testid": `${name}-wait` }, this.bar, this.doing, stopper);
    this.failed = make("p", { class: "tv-error", role: "alert", hidden: true, "data-testid": `${name}-error` });
    window.addEventListener("pagehide", () => this.order && this.giveUp(this.order));
  }

  tell(sentence) {
    this.failed.textContent = sentence || "";
    this.failed.hidden = !sentence;
  }

  /** Begin with the order that is the component's value, if there is one; the one before is given up. */
  async show() {
    if (!props.value) return;
    const order = JSON.parse(props.value);
    if (this.order?.job && this.order.job !== order.job) this.giveUp(this.order);
    this.order = order;
    this.tell("");
    // On a narrow page the result lies below the inputs, out of sight.
    if (this.root.getBoundingClientRect().top > window.innerHeight * 0.7) this.root.scrollIntoView({ behavior: "smooth", block: "start" });
    await this.follow(order);
  }

  async follow(order) {
    let found = order;
    while (this.order === order && !found.error && !found.answer) {
      this.waiting.hidden = false;
      this.bar.value = found.share || 0;
      this.doing.textContent = `${found.doing || "Waiting for its turn"} …`;
      await new Promise((resolve) => setTimeout(resolve, document.hidden ? PATIENT : LOOK_EVERY));
      if (this.order === order) found = await ask(`look_${this.name}`, { job: order.job });
    }
    if (this.order !== order) return;
    this.order = null;
    this.waiting.hidden = true;
    if (found.error) this.tell(found.error);
    else await this.finished(found.answer, order);
  }

  async cancel() {
    const { order } = this;
    if (!order) return;
    this.order = null;
    this.doing.textContent = "Cancelling …";
    // Told when the server knows it: until then a click on the page's button would find the run that is being given up.
    await this.giveUp(order);
    if (this.order) return;
    this.waiting.hidden = true;
    this.tell(this.cancelled);
  }

  giveUp(order) {
    return ask(`cancel_${this.name}`, { job: order.job });
  }
}

/** Buttons that save what the server function `save` makes of `asked()` and a kind, and the line that says how it goes. */
function saveButtons(name, save, asked) {
  const says = make("p", { class: "tv-faint", role: "status" });
  const saved = async (kind) => {
    says.textContent = "Preparing the file …";
    const answer = await ask(save, { ...asked(), kind });
    says.textContent = answer.error || "";
    if (!answer.error) offerFile(answer.text, answer);
  };
  const buttons = [["html", "Save as HTML"], ["json", "Save as JSON"]].map(([kind, title]) => smallButton(`${name}-save-${kind}`, title, () => saved(kind)));
  return { says, buttons };
}
