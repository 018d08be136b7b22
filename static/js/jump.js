// The jump box (Ctrl-K, Cmd-K, or its button) and the list of keys (?). The list of places is the
// server's; the arrow keys choose, Enter goes there, Escape closes as in every dialog.
(function () {
  "use strict";
  const box = document.querySelector("[data-jump]");
  const keys = document.querySelector("[data-keys]");
  if (!box || !box.showModal) return;
  const field = box.querySelector("input");
  const list = box.querySelector("[role=listbox]");
  const says = box.querySelector("[data-jump-says]");
  let latest = 0;
  let timer = 0;
  let at = 0;

  const options = () => [...list.querySelectorAll("[role=option]")];

  function choose(place) {
    const all = options();
    if (!all.length) return field.removeAttribute("aria-activedescendant");
    at = (place + all.length) % all.length;
    all.forEach((each, index) => each.setAttribute("aria-selected", index === at ? "true" : "false"));
    field.setAttribute("aria-activedescendant", all[at].id);
    all[at].scrollIntoView({ block: "nearest" });
  }

  function part(name, text, className) {
    const element = document.createElement(name);
    element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  function fill(places) {
    list.replaceChildren(
      ...places.map((place, index) => {
        const row = part("li", "");
        row.setAttribute("role", "presentation");
        const link = part("a", "");
        link.id = `jump-place-${index}`;
        link.setAttribute("role", "option");
        link.href = place.url;
        link.tabIndex = -1;
        link.append(part("span", place.kind, "place-kind"), part("b", place.title, "clip"), part("span", place.detail, "small clip"));
        row.append(link);
        return row;
      }),
    );
    says.textContent = places.length ? "" : "No results";
    choose(0);
  }

  async function ask() {
    const ticket = ++latest;
    const query = new URLSearchParams({ q: field.value, project: box.dataset.project, experiment: box.dataset.experiment });
    try {
      const answer = await fetch(`${box.dataset.jump}?${query}`, { headers: { Accept: "application/json" } });
      if (!answer.ok || answer.redirected) throw new Error(answer.status);
      const found = await answer.json();
      if (ticket === latest) fill(found.places);
    } catch {
      if (ticket === latest) says.textContent = "The server does not answer; try again in a moment.";
    }
  }

  function open() {
    keys.close();
    field.value = "";
    list.replaceChildren();
    if (!box.open) box.showModal();
    field.focus();
    ask();
  }

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 120);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(at + 1);
    else if (event.key === "ArrowUp") choose(at - 1);
    else if (event.key === "Enter") options()[at]?.click();
    else return;
    event.preventDefault();
  });
  list.addEventListener("mousemove", (event) => {
    const row = event.target.closest("[role=option]");
    if (row && options().indexOf(row) !== at) choose(options().indexOf(row));
  });
  // A click beside the box closes it.
  [box, keys].forEach((dialog) =>
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    }),
  );

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-jump-open]")) open();
    if (event.target.closest("[data-keys-open]")) keys.showModal();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.metaKey || event.ctrlKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (box.open) box.close();
      else open();
      return;
    }
    if (event.key !== "?" || event.metaKey || event.ctrlKey || event.altKey) return;
    // A field of a dialog that has just closed keeps the focus until the next frame.
    const typing = event.target.matches("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if (typing && event.target.checkVisibility()) return;
    event.preventDefault();
    if (!keys.open && !box.open) keys.showModal();
  });
})();
