// Ticks of a runs table: they draw curves and take part in what the bar of actions does, and stay
// through sorting, filtering and paging. Shift ticks a range; j and k walk, Enter opens, x ticks.
(function () {
  "use strict";
  const root = document.querySelector("[data-runs]");
  if (!root) return;
  const IN_ADDRESS = 500; // beyond it the address holds some of them, and the session all
  const SOME = 200;
  const store = `verdict-ticks ${location.pathname}`;
  const ticks = () => [...root.querySelectorAll("[data-pick]")];
  const picked = new Set(remembered());
  let place = -1;
  let last = null;

  function remembered() {
    const query = new URLSearchParams(location.search);
    const ids = (query.get("trials") || "").split(",").filter((each) => /^\d+$/.test(each));
    if (!query.get("of")) return ids;
    const all = (sessionStorage.getItem(store) || "").split(",");
    return all.length === Number(query.get("of")) ? all : ids;
  }

  function mark() {
    ticks().forEach((tick) => {
      tick.checked = picked.has(tick.value);
      tick.closest("tr").classList.toggle("picked", tick.checked);
    });
    const page = root.querySelector("[data-pick-page]");
    if (page) {
      const ticked = ticks().filter((tick) => tick.checked).length;
      page.checked = ticked > 0 && ticked === ticks().length;
      page.indeterminate = ticked > 0 && !page.checked;
    }
    const bar = root.querySelector("[data-bulk]");
    if (!bar) return;
    bar.classList.toggle("on", picked.size > 0);
    bar.querySelector("[data-count]").textContent = picked.size.toLocaleString("en");
    root.querySelectorAll("[data-ids]").forEach((field) => (field.value = [...picked].join(",")));
    bar.querySelectorAll("[data-most]").forEach((each) => (each.disabled = picked.size > Number(each.dataset.most)));
    bar.querySelectorAll("[data-one-only]").forEach((each) => (each.hidden = picked.size !== 1));
  }

  function tell() {
    mark();
    const query = new URLSearchParams(location.search);
    const ids = [...picked];
    let shown = ids;
    if (ids.length > IN_ADDRESS) {
      const step = Math.ceil(ids.length / SOME);
      shown = ids.filter((_, index) => index % step === 0);
      query.set("of", ids.length);
      try {
        sessionStorage.setItem(store, ids.join(","));
      } catch {
        // a full store forgets them at the next load, which the count then says
      }
    } else query.delete("of");
    history.replaceState(null, "", (query.size ? `?${query}` : location.pathname) + location.hash);
    document.dispatchEvent(new CustomEvent("verdict:pick", { detail: shown.join(",") }));
  }

  const set = (tick, on) => (on ? picked.add(tick.value) : picked.delete(tick.value));

  // Parts of the page are swapped, so that a form learns where it stands when it is sent.
  root.addEventListener("submit", (event) => {
    const query = location.search.slice(1);
    event.target.querySelectorAll("[data-back]").forEach((field) => (field.value = `${location.pathname}${location.search}`));
    event.target.querySelectorAll("[data-view-query]").forEach((field) => (field.value = query));
  }, true);
  root.addEventListener("click", (event) => {
    const tick = event.target.closest("[data-pick]");
    if (!tick) return;
    const all = ticks();
    const here = all.indexOf(tick);
    if (event.shiftKey && last !== null) {
      const [from, to] = [Math.min(last, here), Math.max(last, here)];
      all.slice(from, to + 1).forEach((each) => set(each, tick.checked));
    } else set(tick, tick.checked);
    last = here;
    tell();
  });
  root.addEventListener("change", (event) => {
    const page = event.target.closest("[data-pick-page]");
    if (!page) return;
    ticks().forEach((tick) => set(tick, page.checked));
    tell();
  });
  root.addEventListener("click", async (event) => {
    if (event.target.closest("[data-unpick]")) {
      picked.clear();
      tell();
      return;
    }
    const every = event.target.closest("[data-pick-all]");
    if (!every) return;
    event.preventDefault();
    const answer = await fetch(every.href);
    if (!answer.ok) return;
    (await answer.text()).split(",").filter(Boolean).forEach((id) => picked.add(id));
    tell();
  });

  function walk(by) {
    const rows = [...root.querySelectorAll("[data-rows] tbody tr")];
    if (!rows.length) return;
    place = Math.min(rows.length - 1, Math.max(0, place + by));
    rows.forEach((row, index) => row.classList.toggle("at", index === place));
    rows[place].querySelector("a")?.focus({ preventScroll: true });
    rows[place].scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select, [role=separator]")) return;
    if (event.key === "j") walk(1);
    else if (event.key === "k") walk(-1);
    else if (event.key === "x") root.querySelector("tr.at [data-pick]")?.click();
    else return;
    event.preventDefault();
  });

  // The colour of a run's curve stands beside its name.
  function colour() {
    const given = document.getElementById("runs-hues"); // of points and bars
    const hues = new Map(given ? Object.entries(JSON.parse(given.textContent)) : []);
    document.querySelectorAll("[data-learning-curves]").forEach((element) => {
      const source = document.getElementById(element.dataset.figure);
      const figure = element.figure || (source && JSON.parse(source.textContent));
      (figure?.data || []).forEach((trace) => {
        if (trace.line?.color && trace.meta?.trial) hues.set(String(trace.meta.trial), trace.line.color);
        if (trace.line?.color && trace.meta?.mean) hues.set(`mean ${trace.meta.mean}`, trace.line.color);
      });
    });
    root.querySelectorAll("[data-swatch]").forEach((swatch) => {
      swatch.style.background = hues.get(swatch.dataset.swatch) || hues.get(`mean ${swatch.dataset.name}`) || "";
    });
  }

  document.addEventListener("verdict:content", () => {
    last = null;
    mark();
    colour();
  });
  mark();
  colour();
})();
