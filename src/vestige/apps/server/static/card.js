// One picture as one card, from the moment it comes in.

import { claims, credentials, facts, pixels, sideBySide } from "./evidence.js";
import { Figure } from "./figure.js";
import { nameFor, save, saveJson } from "./download.js";
import { failures } from "./model.js";
import { baseName, button, el, icon, said } from "./text.js";
import { NOT_MEANT, TITLES, kindOf, sentence } from "./words.js";

let made = 0;

export class Card {
  #job;
  #page;
  #figure = null;
  #verdict = el("p", { class: "verdict" });
  #body = el("div", { class: "body" });
  #heading;
  #shown = "";

  /** `page`: `api`, `jobs`, `modelOf(job)`, `signs()`, `remove(job)`, `announce(words)`. */
  constructor(job, page) {
    this.#job = job;
    this.#page = page;
    made += 1;
    const id = `picture-${made}`;
    this.#heading = el("h3", { id, tabindex: "-1" }, el("bdi", {}, said(baseName(job.file.name))));
    this.element = el("article", { class: "card", "aria-labelledby": id }, el("header", {}, this.#heading, this.#verdict), this.#body);
    this.update();
  }

  /** "unjudged" as long as there is no report, else one of `KINDS`. */
  get kind() {
    return this.#job.state === "done" ? kindOf(this.#job.report) : "unjudged";
  }

  focus() {
    this.#heading.focus();
  }

  close() {
    this.#figure?.close();
    this.element.remove();
  }

  /** Draw what is new. */
  update() {
    const { state, pause } = this.#job;
    const shown = `${state} ${pause}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    const focused = this.#body.contains(document.activeElement);
    this.element.className = `card ${this.kind} ${state}`;
    this.element.setAttribute("aria-busy", String(this.#job.pending));
    if (state === "done") this.#done();
    else this.#open();
    if (focused) this.focus();
  }

  /** There is no report yet, or none will come. */
  #open() {
    const { state, pause, problem } = this.#job;
    const titles = { waiting: "Waiting", judging: "Being judged…", pausing: "Waiting for the server", failed: "Not judged", cancelled: "Cancelled" };
    const words = {
      pausing: `${problem} This page tries again after ${Math.ceil(pause)} s.`,
      failed: problem,
      cancelled: "This picture was not judged.",
    }[state];
    this.#verdict.replaceChildren(...(state === "failed" ? [icon("unreadable")] : []), titles[state]);
    this.#body.replaceChildren();
    this.#figure?.reset();
    if (words) this.#body.append(el("p", { class: "sentence" }, said(words)));
    const actions = el("p", { class: "actions" });
    if (!this.#job.pending) actions.append(button("Try again", () => this.#page.jobs.again(this.#job), { class: "first" }));
    actions.append(this.#removal());
    this.#body.append(actions);
  }

  #done() {
    const { report } = this.#job;
    const kind = kindOf(report);
    this.#verdict.replaceChildren(icon(kind === "unknown" ? "inconclusive" : kind), TITLES[kind]);
    const parts = report.thresholds === null ? this.#unread(report) : this.#judged(report);
    this.#body.replaceChildren(...parts.filter(Boolean), this.#actions());
  }

  #unread(report) {
    return [
      el("p", { class: "sentence" }, said(sentence(report))),
      report.error_code && el("p", { class: "small" }, "Code: ", el("code", {}, said(report.error_code))),
      report.claims_detail.length > 0 && claims(report),
      el("div", { class: "folds" }, report.facts && facts(report.facts)),
    ];
  }

  #judged(report) {
    this.#figure ??= new Figure(this.#job, this.#page.api, this.#page.signs());
    this.#figure.found();
    const lines = sideBySide(report);
    const few = (report.lines ?? []).length < 2; // they fit beside the picture
    return [
      el("div", { class: "columns" },
        this.#figure.element,
        el("div", { class: "findings" }, pixels(report), few && lines)),
      !few && lines,
      // The sentence about agreement says it already if the file says nothing.
      (report.credentials || report.claims_detail.length > 0 || !report.agreement) &&
        el("div", { class: "about-file" },
          report.credentials && credentials(report.credentials),
          claims(report)),
      this.#notTold(report),
      el("div", { class: "folds" }, report.facts && facts(report.facts)),
    ];
  }

  #notTold(report) {
    const model = this.#page.modelOf(this.#job);
    const known = failures(model);
    return el("section", { class: "not-told" },
      el("h4", {}, "What this does not tell you"),
      el("ul", { class: "bullets" }, NOT_MEANT[kindOf(report)].map((words) => el("li", {}, words))),
      el("p", {},
        el("strong", {}, "A score is no proof, in either direction. "),
        "It is one line of evidence, calibrated on other pictures. Missing metadata prove nothing, and a claim is as good as whoever wrote it."),
      known && el("details", {}, el("summary", {}, `Where ${said(model.title)} is known to fail`), known),
    );
  }

  #actions() {
    const { file, report } = this.#job;
    const readable = report.thresholds !== null;
    return el("p", { class: "actions" },
      el("span", { class: "by" }, `Judged by ${said(report.model)}`),
      button("JSON", () => saveJson([report], nameFor(file, ".json")), { "aria-label": `Download JSON of ${said(baseName(file.name))}` }),
      readable && button("Report page", (event) => this.#saveReport(event.currentTarget), {
        "aria-label": `Download report page of ${said(baseName(file.name))}`,
      }),
      !readable && button("Try again", () => this.#page.jobs.again(this.#job)),
      this.#removal());
  }

  #removal() {
    return button("Remove", () => this.#page.remove(this.#job), { "aria-label": `Remove ${said(baseName(this.#job.file.name))}` });
  }

  async #saveReport(pressed) {
    const { file, model } = this.#job;
    pressed.disabled = true;
    this.#page.announce("Making the report page…");
    try {
      save(await this.#page.api.report([file], model), nameFor(file, ".html"));
      this.#page.announce("The report page was handed to your browser.");
    } catch (error) {
      this.#page.announce(`No report page: ${error.message}`);
    } finally {
      pressed.disabled = false;
      pressed.focus();
    }
  }
}
