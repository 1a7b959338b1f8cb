// How pictures come in: chosen, dropped (folders, too) or pasted.

/**
 * Listen for pictures. `take(files)` gets them in their order; `complain(sentence)` is told when what came
 * holds none; `hover(over)` while something is dragged above the page.
 */
export function listen({ button, input, take, complain, hover }) {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same picture can be chosen again
    if (files.length) take(files);
  });
  listenForDrops(take, complain, hover);
  listenForPaste(take, complain);
}

function listenForDrops(take, complain, hover) {
  let depth = 0; // elements that the pointer entered and did not leave
  const enter = (by) => {
    depth = Math.max(0, depth + by);
    hover(depth > 0);
  };
  document.addEventListener("dragenter", () => enter(1));
  document.addEventListener("dragleave", () => enter(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", async (event) => {
    event.preventDefault(); // else the browser would leave the page and open the picture
    enter(-depth);
    try {
      const files = await filesOf(event.dataTransfer);
      if (files.length) take(files);
      else complain("What was dropped holds no file. Save the picture first, then drop or choose the file.");
    } catch {
      complain("What was dropped could not be read. Choose the files with the button instead.");
    }
  });
}

function listenForPaste(take, complain) {
  let pasted = 0;
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) {
      event.preventDefault();
      // Browsers call every pasted picture alike.
      take(files.map((file) => {
        if (file.name !== "image.png") return file;
        pasted += 1;
        return new File([file], `pasted-${pasted}.png`, { type: file.type });
      }));
    } else if (!event.target.closest?.("input, textarea")) {
      complain("The clipboard holds no picture. Copy the picture itself, not its address.");
    }
  });
}

/** The files of a drop. Entries must be asked for before the event ends, so this has no await before that. */
function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return Promise.resolve([...transfer.files]);
  return Promise.all(entries.map(filesBelow)).then((found) => found.flat());
}

async function filesBelow(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const entries = [];
  for (;;) {
    const more = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (more.length === 0) break; // it gives them a hundred at a time
    entries.push(...more);
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return (await Promise.all(entries.map(filesBelow))).flat();
}
