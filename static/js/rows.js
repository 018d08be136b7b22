// Rows of the trials table: a tick overlays the trial's curves; j and k walk, Enter opens, x ticks.
(function () {
  "use strict";
  const ticks = () => [...document.querySelectorAll("[data-pick]")];
  const picked = new Set(new URLSearchParams(location.search).get("trials")?.split(",").filter((each) => /^\d+$/.test(each)) || []);
  const most = () => Number(document.querySelector("[data-most]")?.dataset.most);
  let place = -1;
  let full = false; // one more was wanted than can be drawn

  function mark() {
    ticks().forEach((tick) => {
      tick.checked = picked.has(tick.value);
      tick.closest("tr").classList.toggle("picked", tick.checked);
    });
    const count = document.querySelector("[data-picked]");
    if (count) {
      count.hidden = picked.size === 0;
      count.querySelector("[data-count]").textContent = picked.size;
      count.querySelector("[data-full]").hidden = !full;
    }
  }

  document.addEventListener("change", (event) => {
    const tick = event.target.closest("[data-pick]");
    if (!tick) return;
    full = tick.checked && picked.size >= most();
    if (tick.checked && !full) picked.add(tick.value);
    else if (!full) picked.delete(tick.value);
    mark();
    if (full) return;
    document.dispatchEvent(new CustomEvent("verdict:pick", { detail: [...picked].join(",") }));
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-unpick]")) return;
    picked.clear();
    full = false;
    mark();
    document.dispatchEvent(new CustomEvent("verdict:pick", { detail: "" }));
  });

  function walk(by) {
    const rows = [...document.querySelectorAll("[data-rows] tbody tr")];
    if (!rows.length) return;
    place = Math.min(rows.length - 1, Math.max(0, place + by));
    rows.forEach((row, index) => row.classList.toggle("at", index === place));
    rows[place].querySelector("a")?.focus({ preventScroll: true });
    rows[place].scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) return;
    if (event.key === "j") walk(1);
    else if (event.key === "k") walk(-1);
    else if (event.key === "x") document.querySelector("tr.at [data-pick]")?.click();
    else return;
    event.preventDefault();
  });
  document.addEventListener("verdict:content", mark);
  mark();
})();
