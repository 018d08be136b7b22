// A closer look at learning curves: zooming fetches the points between two steps that the first view
// left out, and y fits what is then seen. The range is kept in the address as steps, whatever the x
// axis shows.
(function () {
  "use strict";
  const { settings, across, remember, chart, redraw } = window.verdictCurves;

  const key = (trace) => `${trace.meta.trial} ${trace.meta.series}`;

  // The figure with what a closer look has fetched in place of its thinned lines.
  function closer(element, traces) {
    if (!element.closer) return traces;
    const finer = new Map(element.closer.map((trace) => [key(trace), trace]));
    return traces.map((trace) => {
      const found = !trace.meta.mark && !trace.meta.mean && finer.get(key(trace));
      if (!found) return trace;
      const { x, y, customdata } = found;
      return { ...trace, x, y, customdata, meta: { ...trace.meta, epochs: found.meta.epochs } };
    });
  }

  // Steps are what is kept and asked for, whatever the axis shows. Pairs of (step, place) of all
  // lines turn one into the other: the widest reach of what lies in between.
  function reach(figure, low, high, from, to) {
    let first = Infinity;
    let last = -Infinity;
    figure.data.forEach((trace) => {
      const place = across(trace);
      if (!place || trace.meta.mark || trace.meta.mean) return;
      const [given, found] = from === "step" ? [trace.x, place] : [place, trace.x];
      given.forEach((value, i) => {
        const beside = i + 1 < given.length && given[i + 1] >= low && value <= high;
        if ((value >= low && value <= high) || beside) {
          first = Math.min(first, found[i]);
          last = Math.max(last, found[Math.min(i + (to === "step" ? 1 : 0), found.length - 1)]);
        }
      });
    });
    return first <= last ? [first, last] : null;
  }

  function shownRange(figure) {
    if (settings.from === null) return null;
    if (settings.x === "step") return [settings.from, settings.to];
    return reach(figure, settings.from, settings.to, "step", settings.x);
  }

  // From the lowest to the highest of what lies in a range of x, as the y axis counts (log: exponents).
  function fittedHeights(data, [low, high], log) {
    let bottom = Infinity;
    let top = -Infinity;
    data.forEach((trace) =>
      trace.x.forEach((at, i) => {
        const height = trace.y[i];
        if (at < low || at > high || !Number.isFinite(height) || (log && height <= 0)) return;
        bottom = Math.min(bottom, height);
        top = Math.max(top, height);
      }),
    );
    if (bottom > top) return undefined; // nothing there: the axis stays as it is
    const [from, to] = log ? [Math.log10(bottom), Math.log10(top)] : [bottom, top];
    const margin = 0.05 * (to - from) || 0.05 * Math.abs(from) || 0.05;
    return [from - margin, to + margin];
  }

  // What a person has framed by hand stays; else y fits what a zoom along x leaves to see.
  function heights(data, range) {
    return chart().framed || fittedHeights(data, range, settings.logY);
  }

  let ticket = 0;
  async function fetchCloser(element) {
    const mine = ++ticket;
    if (settings.from === null || !("thinned" in element.dataset)) {
      const was = element.closer;
      element.closer = null;
      say(element, null);
      if (was) redraw(element);
      return;
    }
    const query = new URLSearchParams({ from: settings.from, to: settings.to });
    if (element.dataset.of) query.set("of", element.dataset.of);
    else query.set("trials", new URLSearchParams(location.search).get("trials") || "");
    new Set(element.figure.data.map((trace) => trace.meta.series).filter(Boolean)).forEach((name) =>
      query.append("metric", name),
    );
    const answer = await fetch(`${element.dataset.closer}?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok || mine !== ticket) return;
    const found = await answer.json();
    element.closer = found.traces.flatMap((each) => each.figure);
    say(element, found.words);
    redraw(element);
  }

  function say(element, words) {
    const place = element.closest("figure").querySelector("[data-curve-words]");
    if (!place) return;
    if (!place.dataset.whole) place.dataset.whole = place.textContent;
    const rest = place.dataset.whole.replace(/^[^.]*\./, "");
    place.textContent = words ? `${words} between these steps.${rest}` : place.dataset.whole;
  }

  // The end of an axis as a number: the exponent of a logarithmic one, the time of one of dates.
  function numeric(end) {
    if (settings.x === "clock") return typeof end === "string" ? Date.parse(`${end.replace(" ", "T")}Z`) : end;
    return settings.logX ? 10 ** end : end;
  }

  function onRange(element, change) {
    const auto = change["xaxis.autorange"];
    const up = change["yaxis.range"] || [change["yaxis.range[0]"], change["yaxis.range[1]"]];
    const ends = change["xaxis.range"] || [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (!auto && (ends[0] === undefined || ends[1] === undefined)) return;
    if (auto) {
      settings.from = settings.to = null;
    } else {
      const [low, high] = ends.map(numeric);
      const steps = settings.x === "step" ? [low, high] : reach(element.figure, low, high, settings.x, "step");
      if (!steps) return;
      settings.from = Math.floor(steps[0]);
      settings.to = Math.ceil(steps[1]);
    }
    element.framed = auto || up[0] === undefined ? null : up;
    remember();
    redraw(element);
    fetchCloser(element);
  }

  document.addEventListener("verdict:drawn", (event) => {
    const element = event.target;
    if (element !== chart() || element.zooms) return;
    element.zooms = true;
    element.on("plotly_relayout", (change) => onRange(element, change));
    if (settings.from !== null) fetchCloser(element);
  });
  Object.assign(window.verdictCurves, { closer, shownRange, heights });
  if (settings.from !== null && chart()?.layout) redraw(chart());
})();
