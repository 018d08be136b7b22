// The border between a table and its charts: dragged, or moved by the arrow keys; the address keeps it.
(function () {
  "use strict";
  const bar = document.querySelector("[data-splitter]");
  const split = document.querySelector("[data-split]");
  if (!bar || !split) return;
  const [LEAST, MOST] = [Number(bar.getAttribute("aria-valuemin")), Number(bar.getAttribute("aria-valuemax"))];
  const start = Number(split.dataset.split);
  let now = start;

  function move(to) {
    now = Math.round(Math.min(MOST, Math.max(LEAST, to)));
    split.style.setProperty("--split", `${now}%`);
    bar.setAttribute("aria-valuenow", now);
  }

  function keep() {
    const query = new URLSearchParams(location.search);
    query.set("split", now);
    history.replaceState(null, "", `?${query}${location.hash}`);
    window.dispatchEvent(new Event("resize")); // charts fit their new width
  }

  bar.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    bar.setPointerCapture(event.pointerId);
    const box = split.getBoundingClientRect();
    const drag = (moved) => move((100 * (moved.clientX - box.left)) / box.width);
    bar.addEventListener("pointermove", drag);
    bar.addEventListener(
      "pointerup",
      () => {
        bar.removeEventListener("pointermove", drag);
        keep();
      },
      { once: true },
    );
  });
  bar.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: now - 2, ArrowRight: now + 2, PageUp: now - 10, PageDown: now + 10, Home: LEAST, End: MOST };
    if (!(event.key in steps)) return;
    event.preventDefault();
    move(steps[event.key]);
    keep();
  });
  bar.addEventListener("dblclick", () => {
    move(58);
    keep();
  });
  move(start);
})();
