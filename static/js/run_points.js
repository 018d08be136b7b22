// Points, bars and lines that each stand for a run. What is under the pointer is named above its chart and
// marked on the other charts and in the table; a click opens the run, or the runs of a group. While runs go
// on, the axes stay as they are for as long as everything fits.
(function () {
  "use strict";
  const { named, overlay, markRow, words } = window.verdictHover;
  const charts = () => [...document.querySelectorAll("[data-run-points].js-plotly-plot")];
  const uprights = (element) => element.figure.layout.meta.axes?.length;
  const shown = (value) => (typeof value === "number" ? words(value) : value);

  // The run, or the group, of a point, as the traces of curves hold it.
  function owner(element, trace, number) {
    const place = trace.mode === "lines" ? Math.floor(number / (uprights(element) + 1)) : number;
    const trial = trace.meta.trials[place];
    return { place, trace, run: { meta: trial === null ? { mean: trace.meta.names[place] } : { trial } } };
  }

  function found(element, run) {
    for (const trace of element.data) {
      const { trials = [], names = [] } = trace.meta || {};
      const place = run.meta.mean ? names.findIndex((name, i) => trials[i] === null && name === run.meta.mean) : trials.indexOf(run.meta.trial);
      if (place >= 0) return { place, trace };
    }
    return null;
  }

  function line(element, { trace, place }) {
    const { xaxis, yaxis } = element._fullLayout;
    const count = uprights(element);
    const heights = trace.y.slice(place * (count + 1), place * (count + 1) + count);
    const corners = heights.map((y, i) => (y === null ? "" : `${xaxis._offset + xaxis.d2p(i)},${yaxis._offset + yaxis.d2p(y)}`));
    const holder = overlay(element, "hover-path");
    holder.hidden = false;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const path = document.createElementNS(svg.namespaceURI, "polyline");
    path.setAttribute("points", corners.filter(Boolean).join(" "));
    svg.append(path);
    holder.replaceChildren(svg);
  }

  function dot(element, { trace, place }) {
    const { xaxis, yaxis } = element._fullLayout;
    const mark = overlay(element, "hover-dot");
    const [left, down] = [xaxis.d2p(trace.x[place]), yaxis.d2p(trace.y[place])];
    mark.hidden = !(left >= 0 && left <= xaxis._length && down >= 0 && down <= yaxis._length);
    mark.style.left = `${xaxis._offset + left}px`;
    mark.style.top = `${yaxis._offset + down}px`;
    mark.style.background = hue(trace, place);
  }

  function hue(trace, place) {
    const colour = trace.marker?.color ?? trace.line?.color;
    return Array.isArray(colour) ? colour[place] : colour;
  }

  function readout(element, { trace, place }, run, isHere) {
    const holder = element.parentElement.querySelector("[data-readout]");
    const add = (tag, className, text) => holder.append(Object.assign(document.createElement(tag), { className, textContent: text }));
    const [name, apart] = named()[String(run.meta.trial)] || [run.meta.mean || "", ""];
    holder.replaceChildren();
    add("span", "swatch", "");
    holder.firstChild.style.background = hue(trace, place);
    add("b", "", name);
    add("span", "apart", isHere ? apart : "");
    holder.querySelector(".apart").title = apart;
    const titles = element.figure.layout.meta.titles;
    if (trace.meta.texts) add("span", "at", trace.meta.texts[place]);
    else if (titles) add("span", "at", `${titles[0]} ${shown(trace.x[place])}, ${titles[1]} ${shown(trace.y[place])}`);
  }

  function show(element, run, here) {
    const at = found(element, run);
    if (!at) return hide(element);
    if (at.trace.mode === "lines") line(element, at);
    else dot(element, at);
    readout(element, at, run, element === here);
  }

  function hide(element) {
    element.querySelectorAll(":scope > .hover-path, :scope > .hover-dot").forEach((each) => (each.hidden = true));
    element.parentElement.querySelector("[data-readout]")?.replaceChildren();
  }

  const tell = (run, from) => document.dispatchEvent(new CustomEvent("verdict:run", { detail: { run, from } }));

  document.addEventListener("verdict:run", ({ detail: { run, from } }) => {
    charts().forEach((each) => (run ? show(each, run, from) : hide(each)));
    if (!from?.matches("[data-learning-curves]")) markRow(run);
  });

  function open({ meta: { trial, mean } }, event) {
    const row = mean && document.querySelector(`[data-swatch][data-name="${CSS.escape(mean)}"]`)?.closest("tr");
    if (row) row.querySelector("[data-runs-link]")?.click();
    const links = JSON.parse(document.getElementById("runs-links").textContent);
    if (!links[trial]) return;
    if (event?.ctrlKey || event?.metaKey) window.open(links[trial]);
    else location.assign(links[trial]);
  }

  // An axis that shows every value keeps its range when its chart is drawn again.
  function held(element, figure) {
    const layout = { ...figure.layout };
    if (!element._fullLayout) return { data: figure.data, layout };
    for (const [name, part] of [["xaxis", "x"], ["yaxis", "y"]]) {
      const { type, range } = element._fullLayout[name];
      if (!["linear", "log"].includes(type) || layout[name].autorange === "reversed" || layout[name].type === "category") continue;
      const ends = type === "log" ? range.map((end) => 10 ** end) : range;
      const values = figure.data.flatMap((trace) => trace[part]).filter((value) => value !== null);
      if (values.every((value) => value >= ends[0] && value <= ends[1])) layout[name] = { ...layout[name], range: [...range] };
    }
    return { data: figure.data, layout };
  }

  function adopt() {
    document.querySelectorAll("[data-run-points]").forEach((each) => (each.prepare = (figure) => held(each, figure)));
  }

  document.addEventListener("verdict:drawn", ({ target: element }) => {
    if (!element.matches("[data-run-points]") || element.showsRuns) return;
    element.showsRuns = true;
    const of = (event) => {
      const point = event.points.find((each) => each.data.meta?.trials);
      return point && owner(element, point.data, point.pointNumber).run;
    };
    element.on("plotly_hover", (event) => of(event) && tell(of(event), element));
    element.on("plotly_unhover", () => tell(null, element));
    element.on("plotly_click", (event) => of(event) && open(of(event), event.event));
  });
  document.addEventListener("verdict:content", adopt);
  adopt();
})();
