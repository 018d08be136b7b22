// Completion of a filter: fields, operators and known values, by the words before the cursor.
// Arrow keys choose, Enter or Tab takes, Escape closes; the choice is told to screen readers.
(function () {
  "use strict";
  const MOST = 12;
  const BARE = /^[A-Za-z_][\w/:-]*$/;
  const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
  let list = null;
  let input = null;
  let chosen = -1;

  const words = () => JSON.parse(document.getElementById(input.dataset.completes)?.textContent || "null");

  const written = (field) => {
    const dot = field.indexOf(".");
    const [head, name] = dot < 0 ? ["", field] : [field.slice(0, dot + 1), field.slice(dot + 1)];
    return BARE.test(name) ? field : `${head}\`${name}\``;
  };
  const quoted = (text) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;

  // What may stand at the cursor, and the part of the text that it replaces.
  function offered() {
    const known = words();
    if (!known) return null;
    const before = input.value.slice(0, input.selectionStart);
    const value = /(\S+)\s*(=|!=|<=?|>=?|\bI?LIKE|\bIN\s*\()\s*('[^']*|[^\s']*)$/i.exec(before);
    if (value) {
      const field = value[1].replaceAll("`", "").replaceAll('"', "");
      const typed = value[3].replace(/^'/, "").toLowerCase();
      const bySize = /^[<>]/.test(value[2]); // for numbers alone, which stand without quotes
      const found = (known.values[field] || []).filter((each) => each.toLowerCase().includes(typed) && (!bySize || NUMBER.test(each)));
      return { from: before.length - value[3].length, items: found.map((each) => ({ text: each, insert: bySize ? each : quoted(each) })) };
    }
    const operator = /(?:^|\b(?:and|or)\s+|\(\s*)((?:[\w/:.-]|`[^`]*`)+)\s+([A-Z!<>=]*)$/i.exec(before);
    if (operator && !/^(and|or)$/i.test(operator[1])) {
      const typed = operator[2].toUpperCase();
      const found = known.operators.filter((each) => each.startsWith(typed) && each !== typed);
      return { from: before.length - operator[2].length, items: found.map((each) => ({ text: each, insert: `${each} ` })) };
    }
    const joined = /(?:'|\d|\)|NULL)\s+([a-z]*)$/i.exec(before);
    if (joined) {
      const found = ["and", "or"].filter((each) => each.startsWith(joined[1].toLowerCase()));
      return { from: before.length - joined[1].length, items: found.map((each) => ({ text: each, insert: `${each} ` })) };
    }
    const field = /(?:[\w/:.-]|`[^`]*`?)*$/.exec(before)[0];
    const typed = field.replaceAll("`", "").toLowerCase();
    const starts = known.fields.filter((each) => each.toLowerCase().startsWith(typed));
    const holds = known.fields.filter((each) => !starts.includes(each) && each.toLowerCase().includes(typed));
    return { from: before.length - field.length, items: [...starts, ...holds].map((each) => ({ text: each, insert: `${written(each)} ` })) };
  }

  function close() {
    list?.remove();
    list = null;
    chosen = -1;
    input?.removeAttribute("aria-activedescendant");
    input?.setAttribute("aria-expanded", "false");
  }

  function open() {
    const found = offered();
    close();
    const items = found?.items.slice(0, MOST) || [];
    if (!items.length || document.activeElement !== input) return;
    list = document.createElement("ul");
    Object.assign(list, { className: "completions", role: "listbox", id: "completions" });
    list.setAttribute("aria-label", "Completions");
    items.forEach((item, index) => {
      const entry = document.createElement("li");
      Object.assign(entry, { id: `completion-${index}`, textContent: item.text, role: "option" });
      entry.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        take(item, found.from);
      });
      entry.item = item;
      entry.from = found.from;
      list.append(entry);
    });
    input.parentElement.append(list);
    input.setAttribute("aria-expanded", "true");
  }

  function take(item, from) {
    const end = input.selectionStart;
    input.setRangeText(item.insert, from, end, "end");
    open();
  }

  function choose(by) {
    const entries = [...list.children];
    chosen = (chosen + by + entries.length) % entries.length;
    entries.forEach((entry, index) => entry.setAttribute("aria-selected", String(index === chosen)));
    entries[chosen].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", entries[chosen].id);
  }

  function adopt() {
    const found = document.querySelector("[data-completes]");
    if (!found || found === input) return;
    input = found;
    Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "completions" })
      .forEach(([name, value]) => input.setAttribute(name, value));
    input.addEventListener("input", open);
    input.addEventListener("focus", open);
    input.addEventListener("click", open);
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      if (!list) {
        if (event.key === "ArrowDown") open();
        return;
      }
      const entry = list.children[chosen];
      if (event.key === "ArrowDown") choose(1);
      else if (event.key === "ArrowUp") choose(-1);
      else if ((event.key === "Enter" || event.key === "Tab") && entry) take(entry.item, entry.from);
      else if (event.key === "Escape") close();
      else return;
      event.preventDefault();
    });
  }

  // The values of a condition that is put together, by its field
  document.addEventListener("input", (event) => {
    if (event.target.id !== "runs-field") return;
    const known = JSON.parse(document.getElementById("runs-words")?.textContent || "null");
    const values = document.getElementById("runs-values");
    values.replaceChildren(...(known?.values[event.target.value] || []).map((value) => new Option("", value)));
  });

  document.addEventListener("verdict:content", adopt);
  adopt();
})();
