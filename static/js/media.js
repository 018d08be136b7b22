// Shows the files that a program logged when they come near, and the one of another step when its
// slider moves. The server sends each as a piece of the page.
(function () {
  "use strict";
  const shown = new WeakMap();

  async function show(figure) {
    const slider = figure.querySelector("[data-media-steps]");
    const versions = figure.querySelectorAll("data");
    const version = versions[slider ? slider.value : versions.length - 1];
    const step = figure.querySelector("[data-media-step]");
    if (step) step.textContent = version.dataset.step;
    slider?.setAttribute("aria-valuetext", `step ${version.dataset.step}`);
    shown.set(figure, version.value);
    const body = figure.querySelector("[data-media-body]");
    try {
      const answer = await fetch(version.value);
      if (!answer.ok || answer.redirected) throw new Error(answer.status);
      const html = await answer.text();
      if (shown.get(figure) !== version.value) return; // the slider has moved on
      const height = body.offsetHeight;
      body.style.minHeight = `${height}px`; // the page does not jump from step to step
      body.querySelectorAll(".js-plotly-plot").forEach((each) => Plotly.purge(each));
      body.innerHTML = html;
      body.dispatchEvent(new CustomEvent("verdict:content", { bubbles: true }));
    } catch {
      if (shown.get(figure) === version.value) body.textContent = "This file cannot be shown now.";
    }
  }

  const near = new IntersectionObserver(
    (entries) => {
      entries
        .filter((entry) => entry.isIntersecting)
        .forEach((entry) => {
          near.unobserve(entry.target);
          show(entry.target);
        });
    },
    { rootMargin: "300px" },
  );
  document.querySelectorAll("[data-media]").forEach((each) => near.observe(each));
  document.addEventListener("input", (event) => {
    const figure = event.target.matches("[data-media-steps]") && event.target.closest("[data-media]");
    if (figure) show(figure);
  });
})();
