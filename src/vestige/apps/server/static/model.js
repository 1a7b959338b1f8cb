// What the server says of its models.

import { el, said } from "./text.js";

/** Fill the choice; models that cannot run are named and cannot be chosen. */
export function choices(models) {
  return models.map((model) =>
    el("option", { value: model.name, selected: model.default, disabled: !model.ready },
      said(`${model.title}${model.ready ? "" : " (its tower is not on this server)"}`)));
}

/** Where a model is known to fail, as a list; null if its card says nothing. */
export function failures(model) {
  if (!model?.failure_modes.length) return null;
  return el("ul", { class: "bullets" }, model.failure_modes.map((words) => el("li", {}, said(words))));
}

/** A model's card in short. */
export function about(model) {
  const [low, high] = model.thresholds.map(percent);
  const rows = [
    ["Looks at", model.looks_at === "file" ? "format, size and metadata of the file, never the picture" : "the pixels"],
    ["Verdicts", `likely real up to ${low}, inconclusive between, likely generated from ${high}`],
    ...model.operating_points.map((point) => [
      `At ${percent(point.fpr)} accused`,
      `from ${percent(point.threshold)} on: so many of the real pictures used for calibration lay above`,
    ]),
    ["Licence", model.licence],
  ];
  return el("div", {},
    el("p", {}, said(model.summary)),
    el("dl", { class: "pairs" }, rows.map(([term, value]) => el("div", {}, el("dt", {}, said(term)), el("dd", {}, said(value))))),
    model.failure_modes.length > 0 && el("h3", {}, "Known to fail on"),
    failures(model),
    model.results.length > 0 && el("h3", {}, "Measured"),
    model.results.length > 0 && el("ul", { class: "bullets" }, model.results.map((found) => el("li", {}, said(measured(found))))),
  );
}

function measured(found) {
  const known = typeof found.low === "number" && typeof found.high === "number";
  const interval = known ? ` (95 % interval ${found.low.toFixed(3)} to ${found.high.toFixed(3)})` : "";
  return `${found.metric}: ${found.value.toFixed(3)}${interval}, ${found.real} real and ${found.generated} generated pictures of ${found.data}`;
}

function percent(value) {
  return `${Number((100 * value).toFixed(1))}%`;
}
