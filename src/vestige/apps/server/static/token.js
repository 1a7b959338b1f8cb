// Asking for the token of the server.

/** A function that asks for a token with a dialog: gives what was entered, or null if nothing was. */
export function asker(dialog) {
  const form = dialog.querySelector("form");
  const input = dialog.querySelector("input");
  const problem = dialog.querySelector(".problem");
  const complain = (words) => {
    problem.textContent = words;
    input.setAttribute("aria-invalid", String(words !== ""));
  };

  return (wrong) =>
    new Promise((resolve) => {
      let entered = null;
      input.value = "";
      complain(wrong ? "The server did not accept that token." : "");
      form.onsubmit = (event) => {
        event.preventDefault();
        const value = input.value.trim();
        if (!/^[!-~]+$/.test(value)) {
          complain("A token consists of letters, digits and signs, without spaces.");
          input.focus();
          return;
        }
        entered = value;
        dialog.close();
      };
      form.querySelector("[data-cancel]").onclick = () => dialog.close();
      dialog.onclose = () => {
        input.value = "";
        resolve(entered);
      };
      dialog.showModal();
      input.focus();
    });
}
