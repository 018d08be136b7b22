// Keeps the form and the experiment file in step: each edit goes to the server, one after another,
// and comes back as the new text and its rows.
(function () {
  "use strict";
  const root = document.querySelector("[data-form]");
  const field = document.querySelector("form[data-check] textarea");
  const says = root.querySelector("[data-form-says]");
  const undo = root.querySelector("[data-undo]");
  const heads = [...root.querySelectorAll("[data-head]")];
  const queue = [];
  const earlier = [];
  const timers = new Map();
  let busy = false;
  let own = false;
  let lastCell = "";
  let shown = ""; // the text whose rows are on the page

  // `make` is called when it is the edit's turn, because a row may have been renamed meanwhile.
  function send(make) {
    queue.push(make);
    if (!busy) work();
  }

  async function work() {
    busy = true;
    while (queue.length) {
      const make = queue[0];
      const text = field.value;
      const edit = make();
      const body = new FormData(field.form);
      body.set("edit", JSON.stringify(edit));
      try {
        const answer = await fetch(root.dataset.edit, { method: "POST", body });
        if ((!answer.ok && answer.status !== 400) || answer.redirected) throw new Error(answer.status);
        const told = await answer.json();
        if (field.value !== text) continue; // written meanwhile: the same edit on the new text
        queue.shift();
        say(told.error || "");
        if (told.error) continue;
        if (!told.unreadable && told.text !== text) take(text, told.text, edit);
        show(told, edit);
      } catch {
        queue.length = 0;
        say("The server cannot be reached, so the rows do not follow now. Nothing is lost: the YAML is as you see it.");
      }
    }
    busy = false;
  }

  function take(before, text, edit) {
    const cell = edit.do === "set" ? `${edit.was} ${Object.keys(edit.cells)}` : `${edit.do} ${edit.key}`;
    if (cell !== lastCell || !["set", "head"].includes(edit.do)) earlier.push(before);
    lastCell = cell;
    put(text);
  }

  function put(text) {
    own = true;
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    own = false;
    undo.hidden = earlier.length === 0;
  }

  function say(text) {
    says.hidden = !text;
    says.textContent = text;
  }

  function show(told, edit) {
    shown = field.value;
    const settled = queue.length === 0;
    say(told.refused || (told.unreadable ? `The rows wait until the YAML can be read again. ${told.unreadable}` : ""));
    if (!told.unreadable) heads.forEach((head) => showHead(head, told, settled));
    document.dispatchEvent(new CustomEvent("verdict:form", { detail: { told, edit, settled } }));
  }

  function showHead(head, told, settled) {
    const value = told.head[head.dataset.head];
    if (settled && head !== document.activeElement && head.value !== value) head.value = value;
    const wrong = told.head_problems.filter((each) => each.cell === head.dataset.head && !each.unfinished);
    if (wrong.length) head.setAttribute("aria-invalid", "true");
    else head.removeAttribute("aria-invalid");
    const says = document.getElementById(head.getAttribute("aria-describedby"));
    says.textContent = wrong.map((each) => each.message).join("; ");
  }

  // Waits until writing pauses; leaving the cell ends the wait.
  function soon(control, make, milliseconds) {
    clearTimeout(timers.get(control)?.timer);
    const now = () => {
      timers.delete(control);
      send(make);
    };
    timers.set(control, { now, timer: setTimeout(now, milliseconds) });
  }

  function flush(control) {
    const waiting = timers.get(control);
    if (!waiting) return;
    clearTimeout(waiting.timer);
    waiting.now();
  }

  field.addEventListener("input", () => {
    if (own) return;
    lastCell = "";
    soon(field, () => ({}), 150);
  });
  const headEdit = (head) => () => ({ do: "head", key: head.dataset.head, value: head.value });
  heads.forEach((head) => head.addEventListener("input", () => soon(head, headEdit(head), 100)));
  root.addEventListener("change", (event) => flush(event.target));
  root.querySelectorAll("[data-preset]").forEach((button) => {
    button.addEventListener("click", () => {
      button.closest("details").open = false;
      send(() => ({ do: "preset", name: button.dataset.preset }));
    });
  });
  // A whole text from elsewhere takes the place of what was written.
  document.addEventListener("verdict:text", (event) => {
    earlier.push(field.value);
    lastCell = "";
    put(event.detail);
    send(() => ({}));
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-objective]");
    if (button) send(() => ({ do: "head", key: "objective", value: button.dataset.objective }));
  });
  undo.addEventListener("click", () => {
    if (!earlier.length) return;
    lastCell = "";
    put(earlier.pop());
    send(() => ({}));
    if (!earlier.length) root.querySelector("[data-do=add]").focus();
  });
  document.addEventListener("verdict:edit", (event) => {
    const { control, make } = event.detail;
    if (control) soon(control, make, 100);
    else send(make);
  });
  // A browser that comes back to the page may put an older text into the field.
  window.addEventListener("pageshow", () => field.value !== shown && send(() => ({})));
  document.addEventListener("DOMContentLoaded", () => {
    root.hidden = false;
    const state = JSON.parse(document.getElementById("form-state").textContent);
    show(state, {});
    shown = state.text;
  });
})();
