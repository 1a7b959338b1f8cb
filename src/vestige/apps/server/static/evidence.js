// What was found, as parts of a card: pixels, lines side by side, content credentials, claims, facts.

import { el, said, shorten, visible } from "./text.js";
import { pictureUri } from "./figure.js";
import {
  credentialsWords, deviationWords, kindOf, partsWords, percents, sentence, signerWords, sizeWords, spreadWords,
  trustWords,
} from "./words.js";

const INLINE = 90; // characters; longer values fold away
const LONGEST = 20_000;
const ORIGINS = { pixels: "Pixels", file: "File" };
const POINTS = {
  generated: "Points to: generated",
  camera: "Points to: a camera",
  edited: "Points to: edited",
  real: "Points to: real",
};
const CLAIMS = { generated: "If true: generated", camera: "If true: made with a camera", edited: "If true: edited" };
const RELATIONS = { parentOf: "made from", componentOf: "includes", inputTo: "used by a step" };
const STATES = {
  trusted: "its credentials hold, signer on the trust list",
  valid: "its credentials hold, signer not on the trust list",
  invalid: "its credentials do not hold",
  unsigned: "without credentials",
  unchecked: "its credentials were not checked",
};

/** The number on its scale, the sentence, the reasons. */
export function pixels(record) {
  const what = record.looked_at === "file" ? "file looks like" : "pixels say";
  const share = record.generated_share;
  return el("section", { class: "pixels" },
    el("h4", {}, `What the ${what}`),
    scale(record),
    el("p", { class: "sentence" }, said(sentence(record))),
    record.reasons.length > 0 && el("ul", { class: "reasons" }, record.reasons.map((reason) => el("li", {}, said(reason)))),
    small(`Agreement: ${spreadWords(record)}.`),
    share !== null && kindOf(record) !== "partly" && small(`Parts: ${partsWords(share)}.`),
    record.deviation !== null && small(`Deviation: ${deviationWords(record.deviation)}.`),
  );
}

function small(words) {
  return el("p", { class: "small" }, words);
}

function scale(record) {
  const ofWhat = kindOf(record) === "partly" ? "that the picture as a whole is generated" : "of being generated";
  const [low, probability, high] = percents(record);
  const [from, to] = record.thresholds.map(place);
  const zone = (name, start, end) => {
    const drawn = el("span", { class: `zone zone-${name}` });
    drawn.style.left = `${start}%`;
    drawn.style.width = `${end - start}%`;
    return drawn;
  };
  const drawn = el("div", {
    class: "scale",
    role: "img",
    "aria-label": `${probability} on a scale from 0 to 100%; inconclusive between ${low} and ${high}`,
  }, zone("real", 0, from), zone("unsure", from, to), zone("generated", to, 100));
  if (record.probability !== null) {
    const marker = el("span", { class: "marker" });
    marker.style.left = `${place(record.probability)}%`;
    drawn.append(marker);
  }
  return el("div", { class: "number-on-scale" },
    el("p", { class: "number" }, el("strong", {}, probability), ` calibrated probability ${ofWhat}`),
    drawn,
    el("p", { class: "limits", "aria-hidden": "true" },
      el("span", {}, `real up to ${low}`), el("span", {}, "inconclusive"), el("span", {}, `generated from ${high}`)),
  );
}

function place(probability) {
  return 100 * Math.min(Math.max(probability, 0), 1);
}

/** Lines of evidence beside each other, and whether they agree; null without either. */
export function sideBySide(record) {
  const { lines = [], agreement = null } = record;
  if (lines.length === 0 && agreement === null) return null;
  return el("section", { class: `side-by-side ${agreement?.state === "disagree" ? "disagree" : ""}` },
    el("h4", {}, "Evidence side by side"),
    agreement && el("p", { class: "agreement" }, said(agreement.sentence)),
    el("ul", { class: "lines" }, lines.map((line) => el("li", {},
      el("span", { class: "origin" }, ORIGINS[line.origin] ?? said(line.origin)),
      el("p", {}, said(line.says)),
      el("p", { class: "trust" },
        el("strong", { class: "points" }, POINTS[line.points_to] ?? "Points neither way"), `, ${said(trustWords(line.trust))}`),
    ))),
  );
}

/** What a manifest store says and what checking it gave. */
export function credentials(found) {
  const thumbnail = pictureUri(found.thumbnail);
  const rows = credentialRows(found).filter(([, value]) => value);
  return el("section", { class: `credentials ${said(found.state)}` },
    el("h4", {}, "Content credentials (C2PA)"),
    thumbnail && el("img", { class: "manifest-preview", src: thumbnail, alt: "Preview kept in the manifest" }),
    el("p", { class: "state" }, said(credentialsWords(found))),
    found.problems.length > 0 && el("ul", { class: "problems" }, found.problems.map((problem) => el("li", {}, said(problem)))),
    pairs(rows),
    fold("Steps", found.actions, action),
    fold("Ingredients", found.ingredients, ingredient),
  );
}

function credentialRows(found) {
  const holds = found.state === "trusted" || found.state === "valid";
  return [
    [found.state === "trusted" ? "Signer" : "Signer, as the file says", signerWords(found)],
    ["Time stamp", holds ? found.signed_at || "none" : ""],
    ["Written by", found.claim_generator],
    ["Title", found.title],
    ["Source types", found.source_types.join(", ")],
    ["Manifest elsewhere, not fetched", found.remote],
    ["Trust list", found.trust_list],
  ];
}

function pairs(rows) {
  return el("dl", { class: "pairs" }, rows.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, said(value)))));
}

function fold(name, items, draw) {
  if (items.length === 0) return null;
  return el("details", {}, el("summary", {}, `${name} (${items.length})`), el("ol", {}, items.map(draw)));
}

function action(step) {
  const rest = [step.software, step.source_type, step.when, step.description].filter(Boolean).join(", ");
  return el("li", {}, el("code", {}, said(step.action)), ` ${said(rest)}`);
}

function ingredient(part) {
  const rest = [
    part.format,
    STATES[part.state] ?? part.state,
    part.claim_generator && `written by ${part.claim_generator}`,
    part.source_types.join(", "),
  ].filter(Boolean).join("; ");
  return el("li", {},
    `${said(RELATIONS[part.relationship] ?? part.relationship)} `,
    el("bdi", {}, said(part.title || "a picture without a name")), `: ${said(rest)}`);
}

/** What the file says of itself. */
export function claims(record) {
  const found = record.claims_detail;
  const signed = found.filter((claim) => claim.origin === "C2PA"); // stands with the credentials, too
  const plain = found.filter((claim) => claim.origin !== "C2PA");
  const unsigned = found.some((claim) => claim.trust !== "unsigned") ? "what is not signed" : "this";
  return el("section", { class: "claims" },
    el("h4", {}, "What the file says of itself"),
    small(`Anyone can write or remove ${unsigned}. It does not change the verdict on the pixels.`),
    found.length === 0 && small("Nothing was found. That proves nothing: most sites remove such data."),
    plain.length > 0 && el("ul", {}, plain.map(claimItem)),
    signed.length > 0 && el("details", {},
      el("summary", {}, `From the content credentials (${signed.length})`), el("ul", {}, signed.map(claimItem))),
  );
}

function claimItem(claim) {
  return el("li", {},
    el("span", { class: "origin" }, said(claim.origin)), " ", el("span", {}, said(claim.statement)),
    valueOf(claim),
    el("p", { class: "trust" },
      CLAIMS[claim.points_to] && el("strong", { class: "points" }, CLAIMS[claim.points_to]),
      CLAIMS[claim.points_to] ? `, ${said(trustWords(claim.trust))}` : said(trustWords(claim.trust))),
  );
}

function valueOf(claim) {
  const value = claim.value.trim();
  if (!value || claim.statement.includes(value)) return null;
  if (value.length <= INLINE && !value.includes("\n")) return el("code", { class: "value" }, said(value));
  return el("details", {},
    el("summary", {}, `Text as found (${value.length} characters)`),
    el("pre", { tabindex: "0" }, visible(shorten(value, LONGEST), "\n\t")));
}

/** What was measured about the file. */
export function facts(found) {
  const present = {
    EXIF: found.has_exif,
    XMP: found.has_xmp,
    IPTC: found.has_iptc,
    "colour profile": found.has_icc,
    "C2PA content credentials": found.has_c2pa,
  };
  const size = found.bytes === null ? "in memory" : sizeWords(found.bytes);
  const jpeg = found.jpeg && [
    found.jpeg.quality === null ? "no standard table near" : `about ${found.jpeg.quality}`,
    found.jpeg.subsampling,
    found.jpeg.progressive ? "progressive" : "baseline",
  ].join(", ");
  const rows = [
    ["Format", `${found.format}, ${found.mode}`],
    ["Size", `${found.width} × ${found.height} pixels, ${size}`],
    ["JPEG quality", jpeg],
    ["Frames", found.frames > 1 && `${found.frames}, only the first was judged`],
    ["Metadata", Object.keys(present).filter((name) => present[name]).join(", ") || "none found"],
    ["Converted", found.conversions.join("; ") || "nothing had to be converted"],
    ["SHA-256", found.sha256],
  ].filter(([, value]) => value);
  return el("details", {},
    el("summary", {}, "The file as measured ",
      el("span", { class: "brief" }, said(`${found.format}, ${found.width} × ${found.height}, ${size}`))),
    pairs(rows));
}
