// The parts of the page: how far the export is, what can be downloaded, what the first records say. Texts enter as text.

const STATES = {
  running: "Exporting",
  complete: "Exported",
  cancelled: "Cancelled",
  failed: "Stopped",
};
const FILES = {
  jsonl: ["thoughts.jsonl", "one JSON object a row"],
  parquet: ["thoughts.parquet", "one flat row each"],
  manifest: ["manifest", "what made them"],
  zip: ["everything as zip", "arrays included"],
};

function count(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** A rate as number and unit. */
function rate(value) {
  if (!value) return ["–", null];
  return value >= 0.95 ? [value.toFixed(value < 10 ? 1 : 0), "rows a second"] : [(value * 60).toFixed(1), "rows a minute"];
}

function numbersPart(view) {
  const number = (name, value, note) => make("div", { class: "xp-number" }, make("dt", {}, name), make("dd", { "data-testid": `export-${name.replaceAll(" ", "-")}` }, value, note ? make("small", {}, note) : null));
  const running = view.state === "running";
  return make(
    "dl",
    { class: "xp-numbers" },
    number("done", view.done.toLocaleString("en"), view.rows === null ? null : `of ${count(view.rows, "row", "rows")}`),
    number("failed", view.failed.toLocaleString("en"), view.failed ? "their records say why" : null),
    number("rate", ...rate(view.rate)),
    running ? number("time left", view.left === null ? "–" : clock(view.left), null) : null,
    number("time taken", clock(view.seconds), view.rate ? "with the loading of the model" : null),
  );
}

function outcome(view) {
  const rows = view.done + view.failed;
  if (view.state === "complete" && !rows) return "The data set has no rows.";
  if (view.state === "complete") return "All rows are there. The files stay until this page is closed.";
  const kept = rows ? `${count(rows, "row is", "rows are")} complete and kept until this page is closed: go on from there, or download them as they are.` : "No part was complete yet, so there is nothing to download; going on begins again.";
  return view.state === "cancelled" ? kept : rows ? `What was made is kept: ${kept}` : null;
}

function previewPart(view) {
  if (!view.preview.length) return null;
  const rows = view.preview.map((record) =>
    make(
      "tr",
      {},
      make("td", { class: "tv-number" }, String(record.row)),
      make("td", { class: "xp-id" }, record.id),
      make("td", { class: "xp-text" }, record.text),
      record.error === null ? make("td", { class: "xp-text" }, record.thought || make("span", { class: "tv-faint" }, "(no words)")) : make("td", { class: "xp-text xp-bad" }, record.error),
    ),
  );
  const head = make("tr", {}, ["row", "id", "question", view.text].map((name) => make("th", { scope: "col" }, name)));
  return section("The first records", null, make("div", { class: "tv-scroll" }, make("table", { class: "tv-table xp-table", "data-testid": "export-preview" }, make("thead", {}, head), make("tbody", {}, rows))));
}

function problemsPart(view) {
  if (!view.problems.length) return null;
  const more = view.failed > view.problems.length ? `The first ${view.problems.length} of ${count(view.failed, "row", "rows")} that failed.` : null;
  const rows = view.problems.map((problem) => make("tr", {}, make("td", { class: "tv-number" }, String(problem.row)), make("td", { class: "xp-text" }, problem.reason)));
  const head = make("tr", {}, ["row", "why it has no thought"].map((name) => make("th", { scope: "col" }, name)));
  return section("Rows that failed", more, make("table", { class: "tv-table xp-table", "data-testid": "export-problems" }, make("thead", {}, head), make("tbody", {}, rows)));
}

function commandPart(view) {
  return section("The same in the terminal", "There it takes all cores or GPUs of the machine, or a cluster, and can be gone on with another day.", make("pre", { class: "xp-command", "data-testid": "export-command" }, view.command));
}
