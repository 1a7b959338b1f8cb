// Files to keep: JSON as `vestige scan --json` writes it, and the report page that the server makes.

import { baseName } from "./text.js";

/** Save records as a JSON array, one on each line. */
export function saveJson(records, name) {
  const text = `[\n${records.map((record) => JSON.stringify(record)).join(",\n")}\n]\n`;
  save(new Blob([text], { type: "application/json" }), name);
}

/** Have the browser save a blob. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may still be reading it
}

/** Name of a file that belongs to a picture: "photo.jpg" and ".json" make "photo.jpg.vestige.json". */
export function nameFor(file, ending) {
  return `${baseName(file.name) || "picture"}.vestige${ending}`;
}

/**
 * Jobs in groups that one report page can be made of: of one model, and within the limits of a request.
 * Every job is in exactly one group.
 */
export function groups(jobs, limits) {
  const room = 0.98 * (limits?.request_bytes ?? Infinity); // a form is a little longer than its files
  const most = limits?.files ?? Infinity;
  const made = [];
  for (const model of new Set(jobs.map((job) => job.model))) {
    let bytes = Infinity;
    for (const job of jobs.filter((one) => one.model === model)) {
      if (bytes + job.file.size > room || made.at(-1).length >= most) {
        made.push([]);
        bytes = 0;
      }
      made.at(-1).push(job);
      bytes += job.file.size;
    }
  }
  return made;
}
