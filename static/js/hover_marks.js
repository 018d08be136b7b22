// The scripts of charts that mark the run under the pointer share this: names of runs, marks upon charts, the
// run's row in a table.
(function () {
  "use strict";
  const rounded = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, useGrouping: false });
  let read = "";
  let names = {};

  function named() {
    const text = document.getElementById("runs-named")?.textContent || "{}";
    if (text !== read) [read, names] = [text, JSON.parse(text)];
    return names;
  }

  function words(value) {
    if (typeof value !== "number") return "not finite";
    const size = Math.abs(value);
    return size && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : rounded.format(value);
  }

  function overlay(element, kind) {
    let found = element.querySelector(`:scope > .${kind}`);
    if (!found) {
      found = Object.assign(document.createElement("div"), { className: kind });
      element.append(found);
    }
    return found;
  }

  // The run's row in a table, or the head of its column.
  function markRow(run) {
    document.querySelectorAll(":is(tr, th).hovered").forEach((each) => each.classList.remove("hovered"));
    if (!run) return;
    const places = [...document.querySelectorAll("[data-swatch]")];
    const own = places.filter((each) => each.dataset.swatch === String(run.meta.trial) || (run.meta.mean && each.dataset.name === run.meta.mean));
    own.forEach((each) => each.closest("tbody tr, th")?.classList.add("hovered"));
  }

  window.verdictHover = { named, overlay, markRow, words };
})();
