// Questions whose answers take the server a while: asked once, looked after with a bar and a button to cancel, and kept.

/**
 * Asks one question at a time; a new one gives the last up. `owner` is marked busy meanwhile, `unpack` makes an answer of what
 * came. `name` begins the names of its parts and ends those of what is asked (`start_maps`, `look_maps`, `cancel_maps`).
 */
class Asking {
  constructor(ask, owner, unpack, name = "attribution") {
    this.ask = ask;
    this.name = name;
    this.owner = owner;
    this.unpack = unpack;
    this.answers = new Map();
    this.turn = 0;
    this.job = null;
    this.bar = make("progress", { max: 1, value: 0, class: "tv-progress" });
    this.doing = make("span", { role: "status" });
    const stop = make("button", { type: "button", class: "tv-button tv-small", "data-testid": `${name}-cancel`, onclick: () => this.stop("Cancelled.") }, "Cancel");
    this.wait = make("div", { class: "tv-wait", hidden: true, "data-testid": `${name}-wait` }, this.bar, this.doing, stop);
    this.error = make("p", { class: "tv-error", role: "alert", hidden: true, "data-testid": `${name}-error` });
  }

  /** The answer to a question when it is known; null otherwise. */
  known(asked) {
    return this.answers.get(JSON.stringify(asked)) ?? null;
  }

  /** The answer to a question, from memory or from the server; null when it failed or another question came meanwhile. */
  async fetch(asked) {
    const key = JSON.stringify(asked);
    if (this.answers.has(key)) {
      this.error.hidden = true;
      return this.answers.get(key);
    }
    if (this.waitingFor === key) return null; // The same question is on its way, and draws what is chosen by then.
    this.stop("");
    const turn = (this.turn += 1);
    this.waitingFor = key;
    this.error.hidden = true;
    this.wait.hidden = false;
    this.owner.setAttribute("aria-busy", "true");
    const found = await this.follow(asked, turn);
    if (turn !== this.turn) return null;
    this.finish();
    if (found.error) {
      this.tell(found.error);
      return null;
    }
    const answer = this.unpack(found.answer);
    this.answers.set(key, answer);
    return answer;
  }

  /** Ask, then look until there is an answer or an error. */
  async follow(asked, turn) {
    let found = await this.ask(`start_${this.name}`, asked);
    while (!found.error && !found.answer) {
      if (turn !== this.turn) {
        this.ask(`cancel_${this.name}`, { job: found.job });
        return found;
      }
      this.job = found.job;
      this.bar.value = found.share;
      this.doing.textContent = `${found.doing} …`;
      await new Promise((resolve) => setTimeout(resolve, document.hidden ? PATIENT : LOOK_EVERY));
      if (turn !== this.turn) return found; // stop() has told the server
      found = await this.ask(`look_${this.name}`, { job: found.job });
    }
    return found;
  }

  stop(says) {
    if (this.job) this.ask(`cancel_${this.name}`, { job: this.job });
    this.turn += 1;
    this.finish();
    this.error.hidden = true;
    if (says) this.tell(says);
  }

  finish() {
    this.job = null;
    this.waitingFor = null;
    this.wait.hidden = true;
    this.owner.removeAttribute("aria-busy");
  }

  tell(sentence) {
    this.error.textContent = sentence;
    this.error.hidden = false;
  }
}
