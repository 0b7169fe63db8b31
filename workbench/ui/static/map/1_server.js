// The page's source of a map: what the map does not hold itself is asked of the server.

class ServerSource {
  constructor(key, ask, openIn) {
    Object.assign(this, { key, ask, openIn });
    this.saves = [["html", "Save as HTML"], ["parquet", "Save as Parquet"]];
    this.nears = new Map();
  }

  /** Ask with the map's key; an error of the server becomes one to be caught. */
  async get(name, asked) {
    const answer = await this.ask(name, { map: this.key, ...asked });
    if (answer.error) throw new Error(answer.error);
    return answer;
  }

  async samples(indices) {
    return (await this.get("fetch_samples", { samples: indices })).samples;
  }

  async inside(projection, polygon) {
    return this.listed(await this.get("find_inside", { projection, polygon }));
  }

  async search(text) {
    return this.listed(await this.get("find_text", { text }));
  }

  async near(point) {
    if (!this.nears.has(point)) {
      const answer = await this.get("fetch_near", { point });
      this.nears.set(point, { points: this.listed(answer), distances: answer.distances });
    }
    return { ...this.nears.get(point) };
  }

  /** The points of an answer; the samples that came along need not be asked for again. */
  listed(answer) {
    answer.listed.forEach((sample, place) => this.view.known.set(sample, answer.samples[place]));
    return [...unpackOne(answer.points)];
  }

  open(sample, checkpoint = 0) {
    this.openIn({ map: this.key, sample, checkpoint });
  }

  async save(kind) {
    const answer = await this.get("save_map", { kind });
    const content = answer.base64 ? Uint8Array.from(atob(answer.base64), (letter) => letter.charCodeAt(0)) : answer.text;
    offerFile(content, answer);
  }
}
