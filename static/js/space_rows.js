// The rows of the search space: draws them, and turns typing, buttons and keys into edits.
(function () {
  "use strict";
  const root = document.querySelector("[data-form]");
  const list = root.querySelector("[data-rows-list]");
  const fields = root.querySelector("[data-fields]");
  const template = root.querySelector("[data-row-template]");
  const declared = root.querySelector("[data-declared]");
  const conditions = document.getElementById("conditions");
  const LABELS = { low: "from", high: "to", choices: "among", numbers: "numbers", natural: "hard bound", when: "only when" };
  let made = 0;
  let focusAfter = null; // called with the rows once a row was added, moved or removed

  const tell = (make, control) =>
    document.dispatchEvent(new CustomEvent("verdict:edit", { detail: { make, control } }));
  const cellsOf = (item) => [...item.querySelectorAll("[data-cell]")];
  const read = (control) => (control.type === "checkbox" ? control.checked : control.value);

  function draw() {
    const item = template.content.firstElementChild.cloneNode(true);
    item.querySelector("[data-errors]").id = `row-errors-${++made}`;
    list.append(item);
  }

  function fill(item, row, settled) {
    item.dataset.was = row.was;
    item.setAttribute("aria-label", row.name);
    if (!settled) return;
    for (const control of cellsOf(item)) {
      const value = row[control.dataset.cell];
      if (control.type === "checkbox") control.checked = value;
      else if (control.tagName === "SELECT" || control !== document.activeElement) {
        if (control.value !== value) control.value = value;
      }
    }
    item.querySelectorAll("[data-kind]").forEach((part) => (part.hidden = part.dataset.kind !== row.kind));
    const edges = row.kind === "range" || (row.kind === "choices" && row.ordered);
    item.querySelector("[data-natural]").hidden = !edges;
    item.querySelector("[data-more]").textContent = summary(row, edges) || "more";
    item.querySelectorAll("[data-do]").forEach((button) => {
      button.setAttribute("aria-label", `${button.title.split(" (")[0]}: ${row.name}`);
    });
  }

  function summary(row, edges) {
    const limits = edges && ["low", "high"].filter((edge) => row[`natural_${edge}`]).join(" and ");
    return [
      row.kind === "range" && row.step && `step ${row.step}`,
      row.kind === "range" && { int: "whole numbers", float: "all numbers" }[row.numbers],
      limits && `${limits} is a hard bound`.replace("low and high is a hard bound", "low and high are hard bounds"),
      row.when && `only when ${row.when}`,
    ].filter(Boolean).join(" · ");
  }

  function complain(item, problems) {
    const errors = item.querySelector("[data-errors]");
    errors.classList.toggle("unfinished", problems.every((each) => each.unfinished));
    errors.replaceChildren(
      ...problems.map((problem) => {
        const line = document.createElement("li");
        const label = LABELS[problem.cell] || problem.cell;
        line.textContent = label ? `${label}: ${problem.message}` : problem.message;
        return line;
      })
    );
    for (const control of cellsOf(item)) {
      const name = control.dataset.cell.replace(/^natural_.*/, "natural");
      const wrong = problems.some((problem) => problem.cell === name && !problem.unfinished);
      for (const [attribute, value] of [["aria-invalid", "true"], ["aria-describedby", errors.id]]) {
        if (wrong) control.setAttribute(attribute, value);
        else control.removeAttribute(attribute);
      }
    }
    const more = item.querySelector("details");
    if (more.querySelector("[aria-invalid]")) more.open = true;
  }

  function show({ told, edit, settled }) {
    fields.disabled = Boolean(told.unreadable);
    if (told.unreadable) return;
    const structural = ["add", "remove", "move"].includes(edit.do);
    if (structural) document.activeElement?.blur();
    while (list.children.length < told.rows.length) draw();
    while (list.children.length > told.rows.length) list.lastElementChild.remove();
    [...list.children].forEach((item, index) => {
      fill(item, told.rows[index], settled);
      const refused = edit.was === item.dataset.was ? told.refused_cells || [] : [];
      complain(item, [...told.problems.filter((each) => each.row === index), ...refused]);
    });
    declared.hidden = !told.declared.length;
    declared.replaceChildren(new Option("Declared by the objective…", ""), ...told.declared.map((each) => new Option(each, each)));
    conditions.replaceChildren(...told.conditions.map((each) => new Option(each, each)));
    if (structural && focusAfter) focusAfter([...list.children]);
    if (structural) focusAfter = null;
  }

  function move(item, by, selector) {
    const to = [...list.children].indexOf(item) + by;
    if (to < 0 || to >= list.children.length) return;
    focusAfter = (items) => items[to]?.querySelector(selector)?.focus();
    tell(() => ({ do: "move", was: item.dataset.was, by }));
  }

  function press(button) {
    const item = button.closest(".space-row");
    const act = button.dataset.do;
    if (act === "add") {
      focusAfter = (items) => items.at(-1)?.querySelector("[data-cell=name]").select();
      tell(() => ({ do: "add" }));
    } else if (act === "remove") {
      const place = [...list.children].indexOf(item);
      focusAfter = (items) =>
        (items[Math.min(place, items.length - 1)]?.querySelector("[data-do=remove]") || fields.querySelector("[data-do=add]")).focus();
      tell(() => ({ do: "remove", was: item.dataset.was }));
    } else move(item, act === "up" ? -1 : 1, `[data-do=${act}]`);
  }

  list.addEventListener("input", (event) => {
    const control = event.target.closest("[data-cell]");
    const item = control.closest(".space-row");
    const cells = { [control.dataset.cell]: read(control) };
    tell(() => ({ do: "set", was: item.dataset.was, cells }), control);
  });
  declared.addEventListener("change", () => {
    const name = declared.value;
    if (!name) return;
    focusAfter = (items) => items.at(-1)?.querySelector("[data-cell=role]").focus();
    tell(() => ({ do: "add", name }));
  });
  fields.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) press(button);
  });
  list.addEventListener("keydown", (event) => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const control = event.target.closest("[data-cell], [data-do]");
    if (!event.altKey || !by || !control) return;
    event.preventDefault();
    const { cell, do: act } = control.dataset;
    move(control.closest(".space-row"), by, cell ? `[data-cell=${cell}]` : `[data-do=${act}]`);
  });
  document.addEventListener("verdict:form", (event) => show(event.detail));
})();
