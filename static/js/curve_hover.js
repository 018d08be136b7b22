// One pointer for all panels of curves: what is under it on one, its run and its step, is marked on
// the others and in the table. Above each chart stands the value there, and above the one under the
// pointer which run it is and what tells it apart: no label covers a curve.
(function () {
  "use strict";
  const { settings, across } = window.verdictCurves;
  const charts = () => [...document.querySelectorAll("[data-learning-curves].js-plotly-plot")];
  const { named, overlay, markRow, words } = window.verdictHover;
  const LAST = 1e15; // a step beyond all others
  const owner = (trace) => String(trace.meta?.trial ?? `mean ${trace.meta?.mean}`);
  const same = (one, other) => owner(one) === owner(other);
  const isLine = (trace) => trace.meta && !trace.meta.mark && trace.line?.width > 0 && trace.hoverinfo !== "skip";

  function nearest(steps, step) {
    let best = 0;
    steps.forEach((each, i) => {
      if (Math.abs(each - step) < Math.abs(steps[best] - step)) best = i;
    });
    return best;
  }

  // The trace of the figure, with its steps, that a drawn trace shows.
  function source(element, drawn) {
    return element.figure.data.find((trace) => isLine(trace) && same(trace, drawn) && trace.meta.series === drawn.meta.series);
  }

  // Of a run's lines in a chart the one under the pointer, else the first, and its point at a step.
  function pointAt(element, run, step) {
    const drawn = element.data.find((trace) => isLine(trace) && same(trace, run) && trace.meta.series === run.meta.series)
      || element.data.find((trace) => isLine(trace) && same(trace, run));
    const from = drawn && source(element, drawn);
    if (!from?.x.length) return null;
    const at = nearest(from.x, step);
    return { trace: drawn, at, step: from.x[at], x: across(from)?.[at], y: drawn.y[at] };
  }

  function place(element, x, y, hue) {
    const { xaxis, yaxis } = element._fullLayout;
    const left = xaxis.d2p(x);
    const line = overlay(element, "hover-line");
    const dot = overlay(element, "hover-dot");
    line.hidden = !(left >= 0 && left <= xaxis._length);
    line.style.left = `${xaxis._offset + left}px`;
    line.style.top = `${yaxis._offset}px`;
    line.style.height = `${yaxis._length}px`;
    const down = typeof y === "number" ? yaxis.d2p(y) : NaN;
    dot.hidden = line.hidden || !(down >= 0 && down <= yaxis._length);
    dot.style.left = line.style.left;
    dot.style.top = `${yaxis._offset + down}px`;
    dot.style.background = hue || "";
  }

  function readout(element, run, point, isHere) {
    const line = element.parentElement.querySelector("[data-readout]");
    if (!line) return;
    line.replaceChildren();
    const add = (tag, className, text) => line.append(Object.assign(document.createElement(tag), { className, textContent: text }));
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = point.trace.line.color;
    line.append(swatch);
    const [name, apart] = named()[String(run.meta.trial).split(" ")[0]] || [run.meta.mean || run.name, ""];
    add("b", "", run.meta.mean ? `${name}, mean of ${point.trace.customdata[point.at]} ${run.meta.members}` : name);
    add("span", "apart", isHere ? apart : "");
    line.querySelector(".apart").title = apart;
    add("span", "at", `${point.trace.meta.train ? "train, " : ""}step ${words(point.step)}: ${words(point.y)}`);
  }

  function show(element, run, step, here) {
    const point = pointAt(element, run, step);
    if (!point) {
      hide(element);
      if (settings.x === "step") place(element, step, null);
      return;
    }
    if (point.x !== undefined && point.x !== null) place(element, point.x, point.y, point.trace.line.color);
    readout(element, run, point, element === here);
    element.classList.add("hovered");
    element.querySelectorAll(".scatterlayer .trace").forEach((node) => {
      const trace = node.__data__?.[0]?.trace;
      node.classList.toggle("same", Boolean(trace?.meta) && same(trace, run));
    });
  }

  function hide(element) {
    element.classList.remove("hovered");
    element.querySelectorAll(":scope > .hover-line, :scope > .hover-dot").forEach((each) => (each.hidden = true));
    element.parentElement.querySelector("[data-readout]")?.replaceChildren();
  }

  function onHover(element, event) {
    const point = event.points.find((each) => each.data.meta);
    const from = point && source(element, point.data);
    if (!from) return;
    const step = point.data.meta.mark ? from.x[nearest(across(from) || from.x, point.x)] : from.x[point.pointNumber];
    charts().forEach((each) => show(each, point.data, step, element));
    tell(point.data, element);
  }

  function tell(run, from) {
    markRow(run);
    document.dispatchEvent(new CustomEvent("verdict:run", { detail: { run, from } }));
  }

  function leave(element) {
    charts().forEach(hide);
    tell(null, element);
  }

  // A run under the pointer on a chart of points: its curves are marked at their ends.
  document.addEventListener("verdict:run", ({ detail: { run, from } }) => {
    if (from?.matches("[data-learning-curves]")) return;
    charts().forEach((each) => (run ? show(each, run, LAST, from) : hide(each)));
  });

  document.addEventListener("verdict:drawn", (event) => {
    const element = event.target;
    if (!element.matches("[data-learning-curves]") || element.showsHover) return;
    element.showsHover = true;
    element.on("plotly_hover", (hover) => onHover(element, hover));
    element.on("plotly_unhover", () => leave(element));
  });
})();
