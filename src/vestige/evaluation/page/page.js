"use strict";
// The page says everything without this script; it makes the columns of tables sortable.
(() => {
  const number = /^[-+−]?\d+(\.\d+)?/;

  // Numbers by value (the first in the cell), texts by alphabet; cells without a number come last.
  function compare(a, b) {
    const [left, right] = [a, b].map((text) => number.exec(text));
    if (left && right) return Number(left[0].replace("−", "-")) - Number(right[0].replace("−", "-"));
    if (left || right) return left ? -1 : 1;
    return a.localeCompare(b, "en", { numeric: true });
  }

  function sort(table, head, column) {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const text = (row) => row.cells[column].textContent.trim();
    const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? -1 : 1) * compare(text(a), text(b)));
    table.tBodies[0].append(...rows);
  }

  for (const table of document.querySelectorAll("table")) {
    if (table.tBodies[0].rows.length < 3) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head, column));
      head.append(button);
    });
  }
})();
