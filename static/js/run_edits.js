// Name, note and tags of a run are edited where they stand. Enter or F2 opens a cell, Enter saves a
// name, Ctrl+Enter a longer text, Escape cancels; leaving the cell saves. The server sends the form
// and then the row; a refusal stands in the form, and what was typed stays.
(function () {
  "use strict";
  const open = () => document.querySelector("[data-edits] [data-edit-form]");
  const field = (form) => form.elements.text;
  const isChanged = (form) => field(form).value !== field(form).defaultValue || form.hasAttribute("data-refused");
  let saving = null;

  function query() {
    const found = new URLSearchParams(location.search);
    const root = document.querySelector("[data-runs]");
    new URLSearchParams(root?.dataset.scope || "").forEach((value, key) => found.append(key, value));
    return found;
  }

  function say(form, words) {
    form.querySelector(".edit-wrong").textContent = words;
    form.setAttribute("data-refused", "");
  }

  async function begin(button) {
    if (open() && !(await end())) return;
    const cell = button.closest("td");
    const run = button.closest("tr").dataset.run;
    const answer = await fetch(`${button.closest("[data-edits]").dataset.edits}${run}/edit/${button.dataset.edit}/`);
    if (!answer.ok || answer.redirected) return location.reload(); // logged out, or gone
    if (open() || !cell.isConnected) return;
    cell.classList.add("editing");
    cell.insertAdjacentHTML("beforeend", await answer.text());
    const form = cell.querySelector("[data-edit-form]");
    field(form).focus();
    form.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function close(form) {
    const cell = form.closest("td");
    const button = cell?.querySelector("[data-edit]");
    form.remove();
    cell?.classList.remove("editing");
    if (!document.activeElement || document.activeElement === document.body) button?.focus();
    document.dispatchEvent(new CustomEvent("verdict:edited"));
  }

  // True when nothing is left to save.
  function end() {
    const form = open();
    if (!form || saving) return saving || true;
    if (isChanged(form)) return save(form);
    close(form);
    return true;
  }

  function save(form) {
    return (saving = send(form).finally(() => (saving = null)));
  }

  async function send(form) {
    const body = new FormData(form);
    body.delete("back"); // without a script the page comes again
    let answer;
    try {
      answer = await fetch(`${form.action}?${query()}`, { method: "POST", body });
    } catch {
      say(form, "Not saved: no connection. Save again.");
      return false;
    }
    const html = answer.redirected ? "" : await answer.text();
    if (answer.ok && html) {
      put(form, html);
      return true;
    }
    if (!html.startsWith("<form")) {
      say(form, "Not saved: you may not, or are logged out. Log in in another tab, reload this page, edit again.");
      return false;
    }
    const typed = body.get("text");
    form.insertAdjacentHTML("afterend", html);
    const again = form.nextElementSibling;
    form.remove();
    field(again).value = typed;
    again.setAttribute("data-refused", "");
    field(again).focus();
    return false;
  }

  function put(form, html) {
    const row = form.closest("tr");
    if (!row) return location.reload(); // a page of one run
    const name = form.closest("td").querySelector("[data-edit]").dataset.edit;
    const isHere = document.activeElement === document.body || form.contains(document.activeElement);
    row.insertAdjacentHTML("afterend", html);
    const fresh = row.nextElementSibling;
    row.remove();
    if (isHere) fresh.querySelector(`[data-edit="${name}"]`)?.focus();
    const columns = fresh.closest("table").querySelectorAll("thead th").length;
    fresh.dispatchEvent(new CustomEvent("verdict:content", { bubbles: true }));
    document.dispatchEvent(new CustomEvent("verdict:edited"));
    if (fresh.cells.length !== columns) document.dispatchEvent(new CustomEvent("verdict:table", { detail: location.search }));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-edits] [data-edit]");
    if (button) begin(button);
    const cancel = event.target.closest("[data-edit-cancel]");
    if (cancel) leave(cancel.closest("[data-edit-form]"));
  });

  function leave(form) {
    if (form.closest("[data-edits]")) {
      document.activeElement?.blur();
      close(form);
      return;
    }
    form.reset();
    const details = form.closest("details");
    details.open = false;
    details.querySelector("summary").focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "F2") {
      const place = ["td", "tr"].map((each) => event.target.closest?.(each)?.querySelector("[data-edit]"));
      place.find(Boolean)?.click();
    }
    const form = event.target.closest?.("[data-edit-form]");
    if (!form) return;
    if (event.key === "Escape") leave(form);
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-edit-form]");
    if (!form) return;
    event.preventDefault();
    if (!saving) save(form);
  });
  document.addEventListener("focusout", (event) => {
    const form = event.target.closest?.("[data-edits] [data-edit-form]");
    if (!form || !document.hasFocus()) return; // another window
    setTimeout(() => {
      if (form === open() && !form.contains(document.activeElement) && !form.hasAttribute("data-refused")) end();
    });
  });
  // A table that is about to be swapped waits until an edit is saved.
  document.addEventListener("verdict:leaving", (event) => event.detail.push(end()));
})();
