// Shows the files that programs logged when they come near, and those of another step when a slider
// moves: its own for a figure, one for all figures of a row. The server sends each as a piece of the
// page. The step of a row is kept in the address, and a slider at its end follows new steps.
(function () {
  "use strict";
  const MOST_CACHED = 200;
  const shown = new WeakMap();
  const begun = new WeakSet();
  const pieces = new Map(); // a swapped gallery shows at once what it has shown before
  const stayed = new Map(); // steps at which somebody left sliders, by the names of their figures

  // The version of a figure that its slider asks for; of a row the newest one up to the step.
  function chosen(figure) {
    const versions = [...figure.querySelectorAll("data")];
    const row = figure.closest("[data-media-row]")?.querySelector("[data-row-steps]");
    if (row) {
      const step = steps(row)[row.value];
      return versions.filter((each) => !each.dataset.at || Number(each.dataset.at) <= step).pop();
    }
    const slider = figure.querySelector("[data-media-steps]");
    return versions[slider ? slider.value : versions.length - 1];
  }

  const steps = (slider) => slider.dataset.rowSteps.split(" ").map(Number);

  async function show(figure) {
    const body = figure.querySelector("[data-media-body]");
    if (!body) return;
    const version = chosen(figure);
    const step = figure.querySelector("[data-media-step]");
    if (step) step.textContent = version?.dataset.step ?? "";
    figure.querySelector("[data-media-steps]")?.setAttribute("aria-valuetext", `step ${version?.dataset.step}`);
    const address = version?.value ?? "";
    if (shown.get(figure) === address) return;
    shown.set(figure, address);
    if (!version) {
      body.textContent = "Nothing up to this step.";
      return;
    }
    try {
      const html = pieces.get(address) ?? (await piece(address));
      if (shown.get(figure) !== address) return; // the slider has moved on
      const height = body.offsetHeight;
      body.style.minHeight = `${height}px`; // the page does not jump from step to step
      body.querySelectorAll(".js-plotly-plot").forEach((each) => Plotly.purge(each));
      body.innerHTML = html;
      body.dispatchEvent(new CustomEvent("verdict:content", { bubbles: true }));
    } catch {
      if (shown.get(figure) === address) body.textContent = "This file cannot be shown now.";
    }
  }

  async function piece(address) {
    const answer = await fetch(address);
    if (!answer.ok || answer.redirected) throw new Error(answer.status);
    const html = await answer.text();
    if (pieces.size >= MOST_CACHED) pieces.delete(pieces.keys().next().value);
    pieces.set(address, html);
    return html;
  }

  const near = new IntersectionObserver(
    (entries) => {
      entries
        .filter((entry) => entry.isIntersecting)
        .forEach((entry) => {
          near.unobserve(entry.target);
          begun.add(entry.target);
          show(entry.target);
        });
    },
    { rootMargin: "300px" },
  );

  // Sliders of rows stand at the step of the address; without one at the newest.
  function place() {
    const at = new URLSearchParams(location.search).get("at");
    document.querySelectorAll("[data-row-steps]").forEach((slider) => {
      const known = steps(slider);
      const before = at === null ? known : known.filter((step) => step <= Number(at));
      slider.value = Math.max(0, before.length - 1);
      tell(slider);
    });
    document.querySelectorAll("[data-media-steps]").forEach((slider) => {
      const figure = slider.closest("[data-media]");
      const place = [...figure.querySelectorAll("data")].findIndex((each) => each.dataset.step === stayed.get(figure.dataset.media));
      if (place >= 0) slider.value = place;
    });
  }

  function tell(slider) {
    const step = steps(slider)[slider.value];
    slider.closest("[data-media-row]").querySelector("[data-row-step]").textContent = step;
    slider.setAttribute("aria-valuetext", `step ${step}`);
  }

  function watch() {
    place();
    document.querySelectorAll("[data-media]").forEach((each) => {
      if (!begun.has(each)) near.observe(each);
    });
  }

  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-media-steps]")) {
      const figure = event.target.closest("[data-media]");
      if (event.target.value === event.target.max) stayed.delete(figure.dataset.media);
      else stayed.set(figure.dataset.media, figure.querySelectorAll("data")[event.target.value].dataset.step);
      show(figure);
    }
    if (!event.target.matches("[data-row-steps]")) return;
    const known = steps(event.target);
    const query = new URLSearchParams(location.search);
    if (Number(event.target.value) === known.length - 1) query.delete("at");
    else query.set("at", known[event.target.value]);
    history.replaceState(null, "", (query.size ? `?${query}` : location.pathname) + location.hash);
    place();
    document.querySelectorAll("[data-media-row] [data-media]").forEach((each) => begun.has(each) && show(each));
  });
  document.addEventListener("verdict:content", (event) => {
    if (event.target.querySelector("[data-media]")) watch();
  });
  watch();
})();
