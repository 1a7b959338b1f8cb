// Text from files made safe to show, and elements made of text alone: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const JOINERS = "\u200c\u200d"; // names in Persian, Hindi or with emoji need them; they reorder nothing
const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Text in which nothing is hidden: control characters and the like become escapes. `keep`: left as they are. */
export function visible(text, keep = "") {
  return text.replace(HIDDEN, (char) => {
    if (JOINERS.includes(char) || keep.includes(char)) return char;
    if (NAMED[char]) return NAMED[char];
    const code = char.codePointAt(0).toString(16);
    if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
    return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
  });
}

/** At most `limit` characters, saying how much was left out. */
export function shorten(text, limit = 2000) {
  return text.length <= limit ? text : `${text.slice(0, limit)} [cut: ${text.length - limit} more characters]`;
}

/** Whatever the server or a file says, as one line that is safe to show. */
export function said(text) {
  return visible(shorten(String(text ?? "")));
}

/** "1 picture", "2 pictures". */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** The last part of a path; both kinds of slash divide. */
export function baseName(path) {
  return path.split(/[/\\]/).pop();
}

/**
 * An element. `attributes`: strings; true for one without a value; null and false leave it out; `on` maps
 * events to listeners. Children are nodes or strings, which become text; null and false are passed over.
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      made.setAttribute(name, value === true ? "" : String(value));
    }
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** The symbol of an outcome; words stand beside it, so it is hidden from screen readers. */
export function icon(kind) {
  const drawn = document.createElementNS(SVG, "svg");
  drawn.setAttribute("class", "icon");
  drawn.setAttribute("aria-hidden", "true");
  drawn.setAttribute("focusable", "false");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${kind}`);
  drawn.append(use);
  return drawn;
}

/** A button. */
export function button(words, listener, attributes = {}) {
  return el("button", { type: "button", ...attributes, on: { click: listener } }, words);
}
