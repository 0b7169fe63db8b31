// Which map lies on the pictures: attention, which is there, or what an attribution method says, which is made when asked for.

/** What a map is of, where there are think tokens and where there is the embedding alone. */
const LAYER_SENTENCES = {
  attention: {
    thinks: "Where a token looks: mean over layers and heads. It does not say what that changes.",
    embeds: "Where the embedding looks: mean over layers and heads. It does not say what that changes.",
  },
  attribution: {
    thinks: "What each patch adds: to a think token's state along the word that it reads as, and to the embedding's cosine to the right document less the mean of the others. Each map as shares of its whole.",
    embeds: "What each patch adds to the embedding's cosine to the right document less the mean of the others. Each map as shares of its whole.",
  },
};

/**
 * Two buttons and a list of methods. `changed(method)` is told which one is shown, null for
 * attention.
 */
class LayerChoice {
  constructor(stage, methods, first, asked, changed) {
    Object.assign(this, { stage, changed, attention: stage.layer });
    const button = (name, title, act) => make("button", { type: "button", class: "tv-chip", "aria-pressed": "false", "data-testid": `layer-${name}`, onclick: act }, title);
    this.buttons = { attention: button("attention", "Attention", () => this.showAttention()), attribution: button("attribution", "Attribution", () => this.showAttribution()) };
    this.method = make("select", { class: "tv-select tv-narrow", "data-testid": "layer-method", "aria-label": "Attribution method", onchange: () => this.showAttribution() }, methods.map(([name, title]) => make("option", { value: name, selected: name === first }, title)));
    this.about = make("p", { class: "tv-about" });
    this.node = make("div", {});
    this.asking = new Asking(ask, this.node, attributedLayer, "maps");
    this.asked = asked;
    this.node.append(make("div", { class: "cp-tools", role: "group", "aria-label": "Which map" }, this.buttons.attention, this.buttons.attribution, this.method), this.about, this.asking.wait, this.asking.error);
    this.press("attention");
  }

  press(name) {
    for (const [other, button] of Object.entries(this.buttons)) button.setAttribute("aria-pressed", String(other === name));
    this.about.textContent = LAYER_SENTENCES[name][this.stage.view.thinks ? "thinks" : "embeds"];
  }

  showAttention() {
    this.asking.stop("");
    this.press("attention");
    this.stage.show(this.attention);
    this.changed(null);
  }

  async showAttribution() {
    const method = this.method.value;
    this.press("attribution");
    this.changed(method);
    this.stage.show(NOTHING);
    const layer = await this.asking.fetch({ ...this.asked, method });
    if (layer && this.method.value === method && !this.isAttention) this.stage.show(layer);
  }

  get isAttention() {
    return this.buttons.attention.getAttribute("aria-pressed") === "true";
  }

  /** Nobody looks any more. */
  leave() {
    this.asking.stop("");
  }
}
