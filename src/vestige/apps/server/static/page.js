// The page as a whole: what comes in, what is shown of it, what can be done with all of it.

import { Api } from "./api.js";
import { Card } from "./card.js";
import { groups, save, saveJson } from "./download.js";
import { listen } from "./intake.js";
import { Job, Jobs } from "./jobs.js";
import { about, choices } from "./model.js";
import { baseName, button, count, icon, said } from "./text.js";
import { asker } from "./token.js";
import { KINDS, TITLES, kindOf, sizeWords } from "./words.js";

const $ = (id) => document.getElementById(id);
const cards = new Map();
const api = new Api(asker($("token")));
const jobs = new Jobs(api, changed);
let server = null; // what /v1/models said
let filter = "all";

const page = {
  api,
  jobs,
  modelOf: (job) => server?.models.find((model) => model.name === job.model) ?? null,
  signs: () => (server?.signatures ? server.limits.signature_pixels : 0),
  remove,
  announce,
};

// Models

let connecting = null;

/** Ask what the server has, once for all who need it. */
function connect() {
  connecting ??= load().finally(() => {
    connecting = null;
  });
  return connecting;
}

async function load() {
  hush();
  try {
    server = await api.models();
  } catch (error) {
    notice(error.message, "Try again", connect);
    return;
  }
  jobs.limits = server.limits;
  const ours = server.models.find((model) => model.default)?.name ?? "";
  for (const job of jobs.all) job.model ||= ours;
  $("model").replaceChildren(...choices(server.models));
  $("choice").hidden = server.models.length < 2;
  $("limits").textContent =
    `Up to ${sizeWords(server.limits.picture_bytes)} and ${Math.floor(server.limits.pixels / 1e6)} megapixels each.`;
  showModel();
  jobs.resume();
}

function showModel() {
  const model = server.models.find((one) => one.name === $("model").value);
  if (!model) return;
  $("about").hidden = false;
  $("about-name").textContent = said(model.title);
  $("about-body").replaceChildren(about(model));
  summarize();
}

/** Go on after the connection was lost. */
function proceed() {
  if (server === null) return connect();
  hush();
  return jobs.resume();
}

// Pictures

async function take(files) {
  if (server === null) await connect();
  const before = cards.size;
  for (const file of files) {
    const job = new Job(file, $("model").value);
    const card = new Card(job, page);
    cards.set(job, card);
    $("cards").append(card.element);
    jobs.add(job);
  }
  if (jobs.offline) proceed();
  announce(`${count(files.length, "picture")} added.`);
  if (before > 0) [...cards.values()][before].element.scrollIntoView({ block: "start" });
}

function changed(job) {
  if (job !== null) {
    cards.get(job)?.update();
    if (job.state === "done") announce(`${said(baseName(job.file.name))}: ${TITLES[kindOf(job.report)]}.`);
    else if (job.state === "failed") announce(`${said(baseName(job.file.name))}: not judged. ${job.problem}`);
    else if (job.state === "pausing") announce(`${job.problem} Trying again in ${Math.ceil(job.pause)} s.`);
  }
  if (jobs.offline) {
    notice(`The server does not answer. ${count(waiting().length, "picture")} not judged yet.`, "Try again", proceed);
  }
  summarize();
}

function remove(job) {
  const list = [...cards.keys()];
  const next = list[list.indexOf(job) + 1] ?? list[list.indexOf(job) - 1];
  cards.get(job).close();
  cards.delete(job);
  jobs.remove(job);
  if (next) cards.get(next).focus();
  else $("choose").focus();
  announce(`${said(baseName(job.file.name))} removed.`);
}

const waiting = () => jobs.all.filter((job) => job.pending);
const judged = () => jobs.all.filter((job) => job.state === "done");

// What is said of all of them

function summarize() {
  const all = jobs.all.length;
  const left = waiting().length;
  const done = all - left;
  document.body.classList.toggle("with-pictures", all > 0);
  $("results").hidden = all === 0;
  $("progress").hidden = left === 0;
  $("progress").max = all;
  $("progress").value = done;
  $("progress-words").textContent = left > 0 ? `${done} of ${all} done` : `${count(all, "picture")} examined`;
  $("cancel").hidden = left === 0;
  for (const id of ["all-json", "all-report"]) $(id).hidden = judged().length < 2 || left > 0;
  $("clear").hidden = all < 2 || left > 0;
  const model = $("model").value;
  const others = jobs.all.filter((job) => !job.pending && job.model !== model);
  $("rejudge").hidden = others.length === 0;
  $("rejudge").textContent = `Judge again with ${said(model)}`;
  drawFilters();
}

function drawFilters() {
  const kinds = new Map([...KINDS, "unknown", "unjudged"].map((kind) => [kind, 0]));
  for (const card of cards.values()) kinds.set(card.kind, kinds.get(card.kind) + 1);
  const found = [...kinds].filter(([, number]) => number > 0);
  if (!kinds.get(filter)) filter = "all";
  const focused = $("filters").contains(document.activeElement) ? document.activeElement.value : null;
  const make = (kind, words, symbol) => {
    const made = button([symbol, words], () => show(kind), { value: kind, class: kind, "aria-pressed": String(filter === kind) });
    return made;
  };
  $("filters").replaceChildren(
    make("all", `All ${cards.size}`, ""),
    ...found.map(([kind, number]) =>
      make(kind, `${TITLES[kind] ?? "Not judged"} ${number}`, KINDS.includes(kind) ? icon(kind) : "")),
  );
  $("filters").hidden = found.length < 2;
  if (focused) [...$("filters").children].find((made) => made.value === focused)?.focus();
  for (const card of cards.values()) card.element.hidden = filter !== "all" && card.kind !== filter;
}

function show(kind) {
  filter = kind;
  drawFilters();
  const shown = [...cards.values()].filter((card) => !card.element.hidden).length;
  announce(`Showing ${shown} of ${count(cards.size, "picture")}.`);
}

let fading = 0;

/** Say it to screen readers, and show it for a moment; whatever matters for longer stands elsewhere, too. */
function announce(words) {
  $("status").textContent = words;
  clearTimeout(fading);
  fading = setTimeout(() => $("status").replaceChildren(), 6000);
}

function notice(words, label, action) {
  $("notice-words").textContent = words;
  $("notice-button").textContent = label;
  $("notice-button").onclick = action;
  $("notice").hidden = false;
}

function hush() {
  $("notice").hidden = true;
}

// All at once

function missing() {
  const left = jobs.all.length - judged().length;
  return left > 0 ? ` ${count(left, "picture")} without a verdict ${left === 1 ? "is" : "are"} not in it.` : "";
}

async function saveReports(pressed) {
  pressed.disabled = true;
  try {
    const made = groups(judged(), server?.limits);
    for (const [number, group] of made.entries()) {
      const part = made.length > 1 ? `-${number + 1}-of-${made.length}` : "";
      announce(`Making report page ${number + 1} of ${made.length}…`);
      save(await api.report(group.map((job) => job.file), group[0].model), `vestige-report${part}.html`);
    }
    announce(`${count(made.length, "report page")} handed to your browser.${missing()}`);
  } catch (error) {
    announce(`No report page: ${error.message}`);
  } finally {
    pressed.disabled = false;
    pressed.focus();
  }
}

$("all-json").addEventListener("click", () => {
  saveJson(judged().map((job) => job.report), "vestige-report.json");
  announce(`JSON of ${count(judged().length, "picture")} handed to your browser.${missing()}`);
});
$("all-report").addEventListener("click", (event) => saveReports(event.currentTarget));
$("cancel").addEventListener("click", () => {
  jobs.cancel();
  hush();
  announce("Cancelled.");
  $("results-heading").focus();
});
$("clear").addEventListener("click", () => {
  for (const job of jobs.all) remove(job);
  announce("All pictures removed.");
});
$("rejudge").addEventListener("click", () => {
  const model = $("model").value;
  for (const job of jobs.all.filter((one) => !one.pending && one.model !== model)) jobs.again(job, model);
  $("results-heading").focus();
});
$("model").addEventListener("change", showModel);

listen({
  button: $("choose"),
  input: $("files"),
  take,
  complain: (words) => notice(words, "Close", () => {
    hush();
    $("choose").focus();
  }),
  hover: (over) => document.body.classList.toggle("dragging", over),
});
connect();
