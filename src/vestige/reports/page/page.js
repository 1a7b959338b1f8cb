"use strict";
// The page says everything without this script; it adds filters, sorting and the heat maps' sliders.
(() => {
  const main = document.getElementById("pictures");
  const tools = document.getElementById("tools");
  const status = document.getElementById("status");
  const buttons = [...tools.querySelectorAll("button")];
  const cards = [...main.querySelectorAll(".card")];
  tools.hidden = false;
  for (const slider of main.querySelectorAll(".slider")) slider.hidden = false;

  function show(kind) {
    let shown = 0;
    for (const card of cards) {
      card.hidden = kind !== "all" && card.dataset.kind !== kind;
      if (!card.hidden) shown += 1;
    }
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.value === kind));
    status.textContent = `Showing ${shown} of ${cards.length}`;
  }

  function sort(how) {
    // Pictures without a number come last either way.
    const lean = (card) => card.dataset.lean ?? card.dataset.probability;
    const key = (card) => lean(card) === "" ? -1 : Number(lean(card));
    const order = (a, b) => Number(a.dataset.order) - Number(b.dataset.order);
    const compare = {
      order,
      down: (a, b) => key(b) - key(a) || order(a, b),
      up: (a, b) => (key(a) < 0) - (key(b) < 0) || key(a) - key(b) || order(a, b),
    }[how];
    main.append(...[...cards].sort(compare));
  }

  function fade(slider) {
    slider.closest("figure").querySelector(".heat").style.opacity = String(slider.value / 100);
  }

  for (const button of buttons) button.addEventListener("click", () => show(button.value));
  const choice = document.getElementById("sort");
  choice.addEventListener("change", () => sort(choice.value));
  main.addEventListener("input", (event) => {
    if (event.target.type === "range") fade(event.target);
  });
  const heat = document.getElementById("heat");
  const toggle = () => main.classList.toggle("no-heat", !heat.checked);
  heat.addEventListener("change", toggle);

  // Paper cannot be unfolded: print everything open, and fold it again afterwards.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const fold of opened) fold.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
  });

  // Browsers keep form fields over a reload; bring the page in line with them.
  for (const slider of main.querySelectorAll("input[type=range]")) fade(slider);
  toggle();
  sort(choice.value);
  show("all");
})();
