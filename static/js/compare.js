// A comparison of runs: its links and forms keep what the charts have put into the address, and the
// colour of a run's curve stands beside its name.
(function () {
  "use strict";
  const OWN = ["run", "experiment", "baseline", "all", "values", "diff", "with", "media"];

  // An address of the page with what is not its own as it is now.
  function merged(query) {
    const found = new URLSearchParams(query);
    [...found.keys()].filter((key) => !OWN.includes(key)).forEach((key) => found.delete(key));
    new URLSearchParams(location.search).forEach((value, key) => {
      if (!OWN.includes(key)) found.append(key, value);
    });
    return found;
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-compare-link]");
    if (link) link.search = merged(link.search);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-compare-form]");
    if (!form) return;
    event.preventDefault();
    const hash = new URL(form.action, location.href).hash;
    location.assign(`${location.pathname}?${merged(new URLSearchParams(new FormData(form)))}${hash}`);
  });

  function colour() {
    const given = document.getElementById("runs-hues"); // of points and bars
    const hues = new Map(given ? Object.entries(JSON.parse(given.textContent)) : []);
    document.querySelectorAll("[data-learning-curves]").forEach((element) => {
      const source = document.getElementById(element.dataset.figure);
      const figure = element.figure || (source && JSON.parse(source.textContent));
      (figure?.data || []).forEach((trace) => {
        if (trace.line?.color && trace.meta?.trial) hues.set(String(trace.meta.trial), trace.line.color);
      });
    });
    document.querySelectorAll("[data-swatch]").forEach((swatch) => {
      swatch.style.background = hues.get(swatch.dataset.swatch) || "";
    });
  }

  // A menu closes when something beside it is pressed, and with Escape.
  document.addEventListener("click", (event) => {
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && event.target.closest?.("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  document.addEventListener("verdict:content", colour);
  colour();
})();
