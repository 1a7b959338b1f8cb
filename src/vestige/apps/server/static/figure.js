// The picture itself: a preview from the person's own file, the heat map over it, and its signature.

import { el, button, said, baseName } from "./text.js";
import { MAP_ORIGINS, whereWords } from "./words.js";

const DATA_IMAGE = /^data:image\/(png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}$/;
const LARGEST = 4096; // pixels along a side that are kept for the preview; more cost memory and show nothing
const SHRUNK = 2048;
const CANNOT_SHOW =
  "Your browser cannot show this kind of picture here. That says nothing about the picture, and changes nothing in the verdict.";

/** The address, if it is a picture that lies in it and loads nothing; else null. */
export function pictureUri(uri) {
  return typeof uri === "string" && DATA_IMAGE.test(uri) ? uri : null;
}

export class Figure {
  #job;
  #api;
  #signs;
  #urls = [];
  #gone = new AbortController();
  #preview = el("img", { class: "preview", alt: "", decoding: "async" });
  #stack = el("div", { class: "stack" }, this.#preview);
  #note = el("p", { class: "small", hidden: true });
  #caption = el("div");
  element = el("figure", {}, this.#stack, el("figcaption", {}, this.#note, this.#caption));

  /** `signs`: how many pixels a picture may have whose signature the server draws; 0: it draws none. */
  constructor(job, api, signs) {
    this.#job = job;
    this.#api = api;
    this.#signs = signs;
    this.#preview.alt = `Preview of ${said(baseName(job.file.name))}`;
    this.#preview.addEventListener("load", () => this.#loaded());
    this.#preview.addEventListener("error", () => this.#blank());
    this.#preview.src = this.#urlOf(job.file);
  }

  /** Show what was found. */
  found() {
    const { report, map } = this.#job;
    const facts = report.facts;
    if (facts) this.#shape(facts.width, facts.height);
    if (facts?.frames > 1) this.#redraw(facts.width, facts.height, "Only the first frame was judged; it is what you see.");
    this.reset();
    const heat = report.heat_map ? pictureUri(map) : null;
    if (heat) this.#addHeat(heat, report.heat_map);
    else if (report.looked_at === "pixels") {
      this.#caption.append(el("p", { class: "small" }, "No heat map: this model says nothing of where."));
    }
    this.#addTools(facts);
  }

  /** Back to the bare preview. */
  reset() {
    this.#caption.replaceChildren();
    for (const layer of this.#stack.querySelectorAll(".layer")) layer.remove();
  }

  /** Give back the memory. */
  close() {
    this.#gone.abort();
    for (const url of this.#urls) URL.revokeObjectURL(url);
  }

  #urlOf(blob) {
    const url = URL.createObjectURL(blob);
    this.#urls.push(url);
    return url;
  }

  #shape(width, height) {
    this.#stack.style.setProperty("--ratio", String(width / height));
  }

  #say(words) {
    this.#note.textContent = words;
    this.#note.hidden = false;
  }

  #loaded() {
    const { naturalWidth: width, naturalHeight: height } = this.#preview;
    if (!this.#job.report) this.#shape(width, height);
    if (Math.max(width, height) > LARGEST) {
      this.#redraw(width, height, `The preview is smaller than the picture, which has ${width} × ${height} pixels.`);
    }
  }

  #blank() {
    this.#preview.hidden = true;
    this.#stack.prepend(el("span", { class: "blank" }, "No preview"));
    this.#say(CANNOT_SHOW);
  }

  /** Put a still, smaller drawing in the place of the file. */
  async #redraw(width, height, words) {
    const scale = Math.min(1, SHRUNK / Math.max(width, height));
    const size = { resizeWidth: Math.max(1, Math.round(width * scale)), resizeHeight: Math.max(1, Math.round(height * scale)) };
    try {
      const bitmap = await createImageBitmap(this.#job.file, { ...size, resizeQuality: "medium" });
      const canvas = el("canvas", { width: bitmap.width, height: bitmap.height });
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      bitmap.close();
      const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/webp", 0.9));
      if (!blob || this.#gone.signal.aborted) return;
      const before = this.#preview.src;
      this.#preview.src = this.#urlOf(blob);
      URL.revokeObjectURL(before);
      this.#say(words);
    } catch {
      // The browser shows the file itself, which was good enough to load.
    }
  }

  #addHeat(source, heatMap) {
    const where = whereWords(heatMap);
    const layer = el("img", { class: "layer heat", src: source, alt: `Heat map. ${where}`, decoding: "async" });
    const slider = el("input", { type: "range", min: "0", max: "100", value: "50" });
    const fade = () => {
      layer.style.opacity = String(slider.value / 100);
      slider.setAttribute("aria-valuetext", `${slider.value} percent`);
    };
    slider.addEventListener("input", fade);
    fade();
    this.#stack.append(layer);
    this.#caption.append(
      el("div", { class: "of-heat" },
        el("label", { class: "slider" }, el("span", {}, "Heat map"), slider),
        el("p", { class: "legend" }, el("span", {}, "leans real"), el("span", { class: "ramp" }), el("span", {}, "leans generated")),
        el("p", { class: "small" }, `Clear where it leans to neither. ${MAP_ORIGINS[heatMap.origin] ?? ""} ${where}`),
      ),
    );
  }

  #addTools(facts) {
    const larger = button("Larger", () => {
      const on = this.element.closest(".card").classList.toggle("large");
      larger.setAttribute("aria-pressed", String(on));
    }, { "aria-pressed": "false" });
    const tools = el("p", { class: "tools-of-figure" }, larger);
    const most = this.#signs;
    if (most && facts && facts.width * facts.height <= most) tools.append(this.#signatureButton());
    else if (most && facts) {
      this.#caption.append(el("p", { class: "small" },
        `No signature view: this server draws it for pictures of up to ${(most / 1e6).toFixed(0)} megapixels.`));
    }
    this.#caption.prepend(tools);
  }

  #signatureButton() {
    const words = el("p", { class: "small of-signature", role: "status" });
    let layer = null;
    const show = (on) => {
      toggle.setAttribute("aria-pressed", String(on));
      this.#stack.classList.toggle("signed", on);
      this.element.classList.toggle("shows-signature", on);
      layer.hidden = !on;
      words.textContent = on
        ? "The signature: what a small network takes for traces of making, 8 times as strong, about a middle grey. Look for grids and weaves, not for outlines. It is no verdict: the network draws one for every picture, real ones too."
        : "";
    };
    const toggle = button("Signature", async () => {
      if (toggle.getAttribute("aria-busy")) return;
      if (layer) {
        show(layer.hidden);
        return;
      }
      toggle.setAttribute("aria-busy", "true");
      words.textContent = "Drawing the signature…";
      try {
        const blob = await this.#api.signature(this.#job.file, {
          signal: this.#gone.signal,
          onWait: (seconds) => (words.textContent = `The server is busy. Trying again in ${Math.ceil(seconds)} s.`),
          onGo: () => (words.textContent = "Drawing the signature…"),
        });
        layer = el("img", { class: "layer signature", src: this.#urlOf(blob), alt: "The picture's signature" });
        this.#stack.append(layer);
        show(true);
      } catch (error) {
        if (error.name !== "AbortError") words.textContent = `No signature: ${error.message}`;
      } finally {
        toggle.removeAttribute("aria-busy");
      }
    }, { "aria-pressed": "false" });
    this.#caption.append(words);
    return toggle;
  }
}
