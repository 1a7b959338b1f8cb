// The pictures of this page and what became of each. One request for each picture: so one that fails keeps
// nothing from the others, and progress can be shown.

import { Offline } from "./api.js";
import { sizeWords } from "./words.js";

const AT_A_TIME = 2;

/**
 * One picture. `state`: "waiting", "judging", "pausing" (the server is busy), "done" (there is a report, which
 * may be an error), "failed" (`problem` says why there is none), "cancelled".
 */
export class Job {
  state = "waiting";
  report = null;
  map = null;
  problem = "";
  pause = 0; // seconds
  controller = null;

  constructor(file, model) {
    this.file = file;
    this.model = model;
  }

  get pending() {
    return ["waiting", "judging", "pausing"].includes(this.state);
  }
}

export class Jobs {
  #api;
  #list = [];
  #changed;
  #running = 0;
  limits = null;
  offline = false;

  /** `changed(job)` is called whenever something about a job is new, or with null about the whole. */
  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
  }

  get all() {
    return this.#list;
  }

  add(job) {
    this.#list.push(job);
    this.again(job);
  }

  /** Judge it, or judge it anew. */
  again(job, model = job.model) {
    job.controller?.abort();
    Object.assign(job, { model, state: "waiting", report: null, map: null, problem: "" });
    const most = this.limits?.picture_bytes ?? Infinity;
    if (job.file.size > most) {
      this.#end(job, "failed", `The file has ${sizeWords(job.file.size)}, and this server takes ${sizeWords(most)} at most.`);
      return;
    }
    this.#changed(job);
    this.#start();
  }

  remove(job) {
    this.#list = this.#list.filter((other) => other !== job);
    job.controller?.abort();
    this.#changed(null);
  }

  /** Stop everything that has no report yet; it stays on the page and can be judged later. */
  cancel() {
    for (const job of this.#list.filter((one) => one.pending)) {
      job.controller?.abort();
      this.#end(job, "cancelled");
    }
    this.offline = false;
    this.#changed(null);
  }

  /** Go on after the connection was lost. */
  resume() {
    this.offline = false;
    this.#changed(null);
    this.#start();
  }

  #start() {
    while (this.#running < AT_A_TIME && !this.offline) {
      const next = this.#list.find((job) => job.state === "waiting");
      if (!next) return;
      this.#judge(next);
    }
  }

  async #judge(job) {
    const controller = new AbortController();
    Object.assign(job, { controller, state: "judging" });
    this.#running += 1;
    this.#changed(job);
    const current = () => job.controller === controller && !controller.signal.aborted;
    const tell = (values) => current() && this.#update(job, values);
    try {
      const found = await this.#api.scan(job.file, job.model, {
        signal: controller.signal,
        onWait: (seconds, reason) => tell({ state: "pausing", pause: seconds, problem: reason }),
        onGo: () => tell({ state: "judging" }),
      });
      if (current()) {
        Object.assign(job, found);
        this.#end(job, "done");
      }
    } catch (error) {
      if (current() && error instanceof Offline) {
        // The others would fail alike: all of them wait until somebody looks.
        this.offline = true;
        this.#update(job, { state: "waiting" });
      } else if (current()) {
        this.#end(job, "failed", error.message);
      }
    } finally {
      this.#running -= 1;
      this.#start();
    }
  }

  #update(job, values) {
    Object.assign(job, values);
    this.#changed(job);
  }

  #end(job, state, problem = "") {
    Object.assign(job, { state, problem, controller: null });
    this.#changed(job);
  }
}
