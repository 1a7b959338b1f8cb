// What a verdict is called and how it is explained: the sentences of `vestige/reports/wording.py`, which the
// tests hold these to. They are careful on purpose. All functions take a record, as `/v1/scan` gives it.

import { shorten } from "./text.js";

export const KINDS = ["generated", "partly", "inconclusive", "real", "unreadable"];

export const TITLES = {
  generated: "Likely generated",
  partly: "Likely partly generated",
  inconclusive: "Inconclusive",
  real: "Likely real",
  unreadable: "Could not be read",
  unknown: "A verdict that this page does not know",
};

const OUTCOMES = {
  likely_generated: "generated",
  likely_partly_generated: "partly",
  inconclusive: "inconclusive",
  likely_real: "real",
};

export const NOT_MEANT = {
  generated: [
    "It does not prove that the picture was generated: some photographs are judged wrongly.",
    "It does not say who made the picture, with which tool, or whether anyone meant to deceive.",
    "It does not say that all of the picture was generated: a retouched or upscaled photograph can look alike.",
  ],
  partly: [
    "It does not prove that anything in the picture was generated: in some real photographs a part looks like it, and strong retouching of one region can too.",
    "It does not say that the rest is real. The rest only did not look generated to this model.",
    "It does not say whether the part was painted in, put in from another picture or only repaired, nor who did it, with which tool, or why.",
    "It does not draw the line: the map is coarse, and the part may be larger or smaller than it shows.",
  ],
  inconclusive: [
    "It does not mean half real and half generated.",
    "It does not mean that the picture is suspicious, nor that it has been cleared.",
    "It does not mean that nothing can be found out: a larger or earlier copy, the source, or another method may still tell.",
  ],
  real: [
    "It does not prove that the picture came from a camera: generators unknown to the model can slip through.",
    "It does not mean that the picture is unedited.",
    "It does not mean that what it shows is true: a real photograph can be staged, cropped, or shown with the wrong place and date.",
  ],
  unreadable: ["It says nothing of what the picture shows or how it was made."],
  unknown: ["A person has to look at it: this page is older than the server."],
};

export const MAP_ORIGINS = {
  patches: "Made of the scores of patches: each patch got one for all of it, so the map is coarse and outlines nothing.",
  model: "The model's own map: it judged place by place. Smoothed, so its edges are rough.",
};

/** Which outcome a record is: one of `KINDS`, or "unknown" for a verdict that came later than this page. */
export function kindOf(record) {
  if (record.verdict === null) return "unreadable";
  return OUTCOMES[record.verdict] ?? "unknown";
}

/** A number with so many decimals, rounded half to even as Python does. */
function fixed(value, decimals) {
  const scaled = value * 10 ** decimals;
  const tie = Math.abs(scaled % 1) === 0.5 && Number.isInteger(value * 2 ** (decimals + 1));
  return (tie ? (2 * Math.round(scaled / 2)) / 10 ** decimals : value).toFixed(decimals);
}

function percent(value, decimals) {
  const step = 10 ** -decimals;
  if (value > 0 && 100 * value <= step / 2) return `<${fixed(step, decimals)}%`;
  if (value < 1 && 100 * value >= 100 - step / 2) return `>${fixed(100 - step, decimals)}%`;
  return `${fixed(100 * value, decimals)}%`;
}

function trim(words) {
  return words.includes(".") ? `${words.slice(0, -1).replace(/0+$/, "").replace(/\.$/, "")}%` : words;
}

/**
 * The low threshold, the probability and the high threshold in words such as "20%", "<1%", with as few
 * decimals as keep a probability just beside a threshold on its side of it, and never 0% or 100% for it.
 */
export function percents(record) {
  const [low, high] = record.thresholds;
  if (record.probability === null) return [percent(low, 0), "unknown", percent(high, 0)];
  const probability = Math.min(Math.max(record.probability, 1e-9), 1 - 1e-9);
  let words = [];
  for (let decimals = 0; decimals < 4; decimals += 1) {
    words = [low, probability, high].map((value) => percent(value, decimals));
    const kept = (value, word) => (value === probability) === (word === words[1]);
    if (kept(low, words[0]) && kept(high, words[2])) break;
  }
  return words.map(trim);
}

/** The verdict as one or two sentences with its number and the limits it was held against. */
export function sentence(record) {
  const kind = kindOf(record);
  if (record.thresholds === null || kind === "unreadable") {
    return `This file was not judged: ${(record.error || "no verdict was reached").replace(/\.+$/, "")}.`;
  }
  const [low, probability, high] = percents(record);
  if (record.looked_at === "file") {
    return `Judged by format, size and metadata of the file alone, never by the picture. The calibrated probability of being generated is ${probability}, the limits are ${low} and ${high}.`;
  }
  if (kind === "generated") {
    return `The pixels look like those of generated pictures. The calibrated probability is ${probability}; from ${high} on, the model's limits allow the words “likely generated”.`;
  }
  if (kind === "partly") {
    return `A part of the picture looks like generated pictures do, and the rest less so. The calibrated probability for the picture as a whole is ${probability} (limits ${low} and ${high}); it did not decide here.`;
  }
  if (kind === "real") {
    return `The pixels do not show the traces of generators that the model knows. The calibrated probability of being generated is ${probability}; up to ${low}, the model's limits allow the words “likely real”.`;
  }
  if (kind === "unknown") {
    return `The server says “${shorten(String(record.verdict), 100)}”. The calibrated probability of being generated is ${probability}, the limits are ${low} and ${high}.`;
  }
  const [from, to] = record.thresholds;
  if (record.probability !== null && from <= record.probability && record.probability <= to) {
    return `The pixels do not allow a verdict. The calibrated probability of being generated is ${probability}, between the limits of ${low} (likely real) and ${high} (likely generated).`;
  }
  return `The pixels do not allow a verdict. The probability alone, ${probability}, would pass the limits (${low} and ${high}), but there are reasons not to rely on it.`;
}

/** How well the views agree, as a clause without a full stop. */
export function spreadWords(record) {
  const views = record.views.length;
  if (views === 0) return "number of views not recorded";
  if (views === 1) return "one view only, so there is no agreement to measure";
  const spread = record.spread;
  let words = "the views disagree strongly";
  if (spread === null) return `how far the views agree is not known (${views} views)`;
  if (spread <= 0.75) words = "the views agree closely";
  else if (spread <= 1.5) words = "the views mostly agree";
  else if (spread <= 3) words = "the views differ noticeably";
  return `${words} (${views} views, spread ${fixed(spread, 1)})`;
}

/** What a deviation says, as a clause without a full stop. */
export function deviationWords(deviation) {
  return `${Number(deviation.toPrecision(3))} on the model's own scale; the larger, the less the picture resembles what the model was fitted to`;
}

/** What the generated share of the area looked at says, as a clause without a full stop. */
export function partsWords(share) {
  return `${percent(share, 0)} of the area looked at resembles generated pictures, by the model's own map`;
}

const ROWS = ["upper", "middle", "lower"];
const COLUMNS = ["left", "centre", "right"];

function place(row, columns, column, rows) {
  const vertical = rows > 1 ? ROWS[Math.min(Math.floor((3 * row) / rows), 2)] : "middle";
  const horizontal = columns > 1 ? COLUMNS[Math.min(Math.floor((3 * column) / columns), 2)] : "centre";
  return vertical === "middle" && horizontal === "centre" ? "centre" : `${vertical} ${horizontal}`;
}

/** The place with most of the cells that come near a value; the first one of several. */
function mostNear(cells, value) {
  const found = new Map();
  for (const [near, where] of cells) {
    if (Math.abs(near - value) <= 0.02) found.set(where, (found.get(where) ?? 0) + 1);
  }
  return [...found].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
}

/** Where a heat map is highest and lowest, for readers who cannot see it. */
export function whereWords(heatMap) {
  const rows = heatMap.probabilities;
  const cells = rows.flatMap((line, row) =>
    line.map((value, column) => [value, place(row, line.length, column, rows.length)]),
  ).filter(([value]) => value !== null);
  if (cells.length === 0) return "It is empty.";
  let [top, bottom] = [-Infinity, Infinity];
  for (const [value] of cells) [top, bottom] = [Math.max(top, value), Math.min(bottom, value)];
  if (top - bottom < 0.1) return `It is even, about ${percent(top, 0)} all over.`;
  return `Leans most to generated at the ${mostNear(cells, top)} (${percent(top, 0)}), least at the ${mostNear(cells, bottom)} (${percent(bottom, 0)}).`;
}

/** A file's length, such as "230 kB". */
export function sizeWords(bytes) {
  let size = bytes;
  for (const unit of ["bytes", "kB", "MB"]) {
    if (size < 1000) return `${fixed(size, unit === "bytes" || size >= 10 ? 0 : 1)} ${unit}`;
    size /= 1000;
  }
  return `${fixed(size, 1)} GB`;
}

/** How far a claim or a line of evidence can be trusted. */
export function trustWords(trust) {
  const words = {
    measured: "measured",
    unsigned: "unsigned",
    signed: "signed, by a signer who is not on a trust list",
    signed_and_trusted: "signed, by a signer on a trust list",
  };
  return words[trust] ?? `trust: ${trust}`;
}

const CREDENTIALS = {
  trusted: "They hold, and the signer is on the trust list.",
  valid: "The signature is intact, but the signer is not on the trust list: the name may be anyone's.",
  invalid: "They do not hold, so what they say is worth no more than plain metadata.",
  unreadable: "They could not be read.",
};
const NO_LIST =
  "The signature is intact. Whom to trust was not configured, so who signed was not checked: the name may be anyone's.";

/** What checking content credentials gave, in one or two sentences. */
export function credentialsWords(credentials) {
  if (credentials.state === "unreadable" && credentials.remote) return "They lie elsewhere and were not fetched.";
  if (credentials.state === "valid" && credentials.trust_list === "none") return NO_LIST;
  return CREDENTIALS[credentials.state] ?? `Their state is “${credentials.state}”.`;
}

/** The name in the signing certificate with its organisation, empty if there is none. */
export function signerWords({ signer, issuer }) {
  return signer && issuer && signer !== issuer ? `${signer} (${issuer})` : signer || issuer;
}
