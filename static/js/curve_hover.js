// One pointer for all panels of curves: what is under it on one, its run and its step, is marked on
// the others and in the table. Above each chart stands the value there, and above the one under the
// pointer which run it is and what tells it apart: no label covers a curve.
(function () {
  "use strict";
  const { settings, across } = window.verdictCurves;
  const charts = () => [...document.querySelectorAll("[data-learning-curves].js-plotly-plot")];
  const rounded = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, useGrouping: false });
  let named = {};

  const owner = (trace) => String(trace.meta?.trial ?? `mean ${trace.meta?.mean}`);
  const same = (one, other) => owner(one) === owner(other);
  const isLine = (trace) => trace.meta && !trace.meta.mark && trace.line?.width > 0 && trace.hoverinfo !== "skip";

  function words(value) {
    if (typeof value !== "number") return "not finite";
    const size = Math.abs(value);
    return size && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : rounded.format(value);
  }

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

  function overlay(element, kind) {
    let found = element.querySelector(`:scope > .${kind}`);
    if (!found) {
      found = Object.assign(document.createElement("div"), { className: kind });
      element.append(found);
    }
    return found;
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
    const [name, apart] = named[String(run.meta.trial).split(" ")[0]] || [run.meta.mean || run.name, ""];
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

  // The run's row in a table, or the head of its column.
  function markRow(run) {
    document.querySelectorAll(":is(tr, th).hovered").forEach((each) => each.classList.remove("hovered"));
    if (!run) return;
    const places = [...document.querySelectorAll("[data-swatch]")];
    const own = places.filter((each) => each.dataset.swatch === String(run.meta.trial) || (run.meta.mean && each.dataset.name === run.meta.mean));
    own.forEach((each) => each.closest("tbody tr, th")?.classList.add("hovered"));
  }

  function onHover(element, event) {
    const point = event.points.find((each) => each.data.meta);
    const from = point && source(element, point.data);
    if (!from) return;
    const step = point.data.meta.mark ? from.x[nearest(across(from) || from.x, point.x)] : from.x[point.pointNumber];
    charts().forEach((each) => show(each, point.data, step, element));
    markRow(point.data);
  }

  function leave() {
    charts().forEach(hide);
    markRow(null);
  }

  function adopt() {
    const words = document.getElementById("runs-named");
    named = words ? JSON.parse(words.textContent) : {};
  }

  document.addEventListener("verdict:drawn", (event) => {
    const element = event.target;
    if (!element.matches("[data-learning-curves]") || element.showsHover) return;
    element.showsHover = true;
    element.on("plotly_hover", (hover) => onHover(element, hover));
    element.on("plotly_unhover", leave);
  });
  document.addEventListener("verdict:content", adopt);
  adopt();
})();
