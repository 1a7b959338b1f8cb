// All that this page asks the server. The token lives in this object and nowhere else.

import { said } from "./text.js";

const TRIES = 8; // of a request that a busy server turns away
const LONGEST_WAIT = 30; // seconds
const TRY_AGAIN = new Set([429, 503]);

/** The server said no; `message` is its sentence. */
export class Refusal extends Error {
  constructor(reason, code = "", status = 0) {
    super(reason);
    this.code = code;
    this.status = status;
  }
}

/** Nothing came back. */
export class Offline extends Error {
  constructor() {
    super("The server does not answer. It may have been stopped, or the connection was lost.");
  }
}

export class Api {
  #token = "";
  #asking = null;
  #askToken;

  /** `askToken(wrong)` gives what a person enters, or null; `wrong`: one was entered and not accepted. */
  constructor(askToken) {
    this.#askToken = askToken;
  }

  /** Models and limits. */
  async models(signal) {
    return (await this.#send("GET", "v1/models", { signal })).json();
  }

  /** Report and heat map of one picture; a picture that cannot be read has a report, too. */
  async scan(file, model, options) {
    const answer = await this.#send("POST", `v1/scan?map=true&model=${encodeURIComponent(model)}`, {
      ...options,
      body: formOf([file]),
    });
    const body = await answer.json().catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Offline();
    });
    if (!body.reports?.[0]) throw new Refusal("The server's answer says nothing of this picture.");
    return { report: body.reports[0], map: body.maps?.[0] ?? null };
  }

  /** The self-contained page about pictures, as a blob. */
  async report(files, model, options) {
    const answer = await this.#send("POST", `v1/report?model=${encodeURIComponent(model)}`, {
      ...options,
      body: formOf(files),
    });
    return blobOf(answer, "text/html");
  }

  /** What the signature extractor sees, as a blob. */
  async signature(file, options) {
    return blobOf(await this.#send("POST", "v1/signature", { ...options, body: formOf([file]) }), "image/png");
  }

  /**
   * One request, with patience: a busy server is asked again after the time it names, and a token is asked for.
   * `onWait(seconds, reason)` is told before each wait, `onGo()` after it.
   */
  async #send(method, path, { body, signal, onWait, onGo } = {}) {
    for (let attempt = 1; ; attempt += 1) {
      const token = this.#token;
      const answer = await once(method, path, token, body, signal);
      if (answer.ok || (await hasReports(answer))) return answer;
      if (answer.status === 401) {
        await this.#enterToken(token, signal);
        continue;
      }
      const reason = await reasonOf(answer);
      const seconds = TRY_AGAIN.has(answer.status) ? patience(answer.headers.get("Retry-After"), attempt) : null;
      if (seconds === null || attempt === TRIES) throw reason;
      onWait?.(seconds, reason.message);
      await sleep(seconds, signal);
      onGo?.();
    }
  }

  /** Have a token entered, once for all requests that wait for it. */
  async #enterToken(sent, signal) {
    if (this.#token !== sent) return; // somebody entered another one meanwhile
    this.#asking ??= this.#askToken(sent !== "").finally(() => {
      this.#asking = null;
    });
    const entered = await this.#asking;
    signal?.throwIfAborted();
    if (entered === null) throw new Refusal("This server asks for a token, and none was entered.", "no_token", 401);
    this.#token = entered;
  }
}

function formOf(files) {
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name);
  return form;
}

async function once(method, path, token, body, signal) {
  try {
    return await fetch(path, {
      method,
      body,
      signal,
      headers: token ? { Authorization: `Bearer ${token}` } : {},
      credentials: "omit",
      redirect: "error",
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    for (const file of body?.getAll("files") ?? []) await mustBeReadable(file);
    throw new Offline();
  }
}

/** A file may be changed, moved or deleted after it was chosen; the browser then fails like a lost connection. */
async function mustBeReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Refusal("The file can no longer be read: it was changed, moved or deleted. Choose it again.");
  }
}

/** Reports about pictures that could not be read come with a status that is an error. */
async function hasReports(answer) {
  if (!isJson(answer)) return false;
  const body = await answer.clone().json().catch(() => null);
  return Array.isArray(body?.reports);
}

async function reasonOf(answer) {
  const body = isJson(answer) ? await answer.json().catch(() => null) : null;
  const reason = body?.error?.reason ?? `The server answered with status ${answer.status} and gave no reason.`;
  return new Refusal(said(reason), said(body?.error?.code), answer.status);
}

function isJson(answer) {
  return (answer.headers.get("Content-Type") ?? "").startsWith("application/json");
}

async function blobOf(answer, type) {
  if (!answer.ok) throw new Refusal("None of these pictures could be read, so there is nothing to make a page of.");
  const blob = await answer.blob().catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Offline();
  });
  if (blob.type.split(";")[0] !== type) throw new Refusal(`The server sent ${said(blob.type)} instead of ${type}.`);
  return blob;
}

/** Seconds to wait: what the server names, and more from one attempt to the next; null if it names nothing. */
function patience(header, attempt) {
  if (header === null) return null;
  const date = Date.parse(header);
  let seconds = Number(header);
  if (!Number.isFinite(seconds)) seconds = Number.isNaN(date) ? 2 : (date - Date.now()) / 1000;
  return Math.min(Math.max(seconds, 1) * (1 + (attempt - 1) / 2), LONGEST_WAIT);
}

function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
