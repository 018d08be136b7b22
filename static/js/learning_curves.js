// The controls of learning curves (logarithmic axes, x by step or time, smoothing) and the points
// that arrive while trials run: "verdict:curves" carries traces to add, to replace or to remove.
(function () {
  "use strict";
  const MOST_POINTS = 3000; // of one line; beyond it the trial is asked for again, thinned
  const HUES = Array.from({ length: 8 }, (_, i) => `var(--hue-${i + 1})`);
  const settings = { logX: false, x: "step", smooth: 0 }; // logY comes with each panel

  // Exponential moving average without the pull to zero at its start (as in Adam's moments).
  function smoothed(values, weight) {
    let sum = 0;
    let norm = 0;
    return values.map((value) => {
      if (value === null) return null;
      sum = weight * sum + (1 - weight) * value;
      norm = weight * norm + (1 - weight);
      return sum / norm;
    });
  }

  function prepare(figure) {
    const byTime = settings.x === "time";
    const placed = figure.data.map((trace) => (byTime ? { ...trace, x: trace.customdata } : trace));
    const data = settings.smooth ? placed.flatMap(withSmoothing) : placed;
    const layout = structuredClone(figure.layout);
    layout.xaxis.type = settings.logX ? "log" : "linear";
    layout.yaxis.type = settings.logY ? "log" : "linear";
    if (settings.logY) Object.assign(layout.yaxis, { dtick: "D2" });
    layout.xaxis.title.text = byTime ? "seconds since the trial began" : figure.layout.xaxis.title.text;
    layout.uirevision = JSON.stringify([settings.logX, settings.logY, settings.x]);
    if (byTime) Object.assign(layout, { shapes: [], annotations: [] });
    return { data, layout };
  }

  function withSmoothing(trace) {
    if (trace.meta.mark) return [trace];
    const raw = { ...trace, opacity: 0.22, showlegend: false, hoverinfo: "skip", hovertemplate: null };
    return [raw, { ...trace, y: smoothed(trace.y, settings.smooth) }];
  }

  function freeHue(figure) {
    const taken = new Set(figure.data.filter((trace) => trace.line).map((trace) => trace.line.color));
    return HUES.find((hue) => !taken.has(hue)) || HUES[figure.data.length % HUES.length];
  }

  function replace(figure, news) {
    const old = figure.data.find((trace) => trace.meta.trial === news.trial && trace.line);
    const hue = old ? old.line.color : freeHue(figure);
    figure.data = figure.data.filter((trace) => trace.meta.trial !== news.trial);
    news.figure.forEach((trace) => {
      if (trace.line) trace.line.color = hue;
      else trace.marker.color = hue;
      figure.data.push(trace);
    });
  }

  function extend(figure, news) {
    news.figure.forEach((added) => {
      const trace = figure.data.find((each) => each.meta.trial === news.trial && each.meta.series === added.meta.series);
      if (!trace) {
        const sibling = figure.data.find((each) => each.meta.trial === news.trial && each.line);
        if (sibling) added.line.color = sibling.line.color;
        figure.data.push(added);
        return;
      }
      for (const key of ["x", "y", "customdata"]) trace[key] = trace[key].concat(added[key]);
      trace.mode = trace.x.length > 1 ? "lines" : "lines+markers";
    });
  }

  function tooLong(figure) {
    return figure.data.some((trace) => trace.x.length > MOST_POINTS);
  }

  const chart = () => document.querySelector("[data-learning-curves]");
  const redraw = (element) => element.dispatchEvent(new CustomEvent("verdict:redraw", { bubbles: true }));

  document.addEventListener("verdict:curves", (event) => {
    const element = chart();
    if (!element || !element.figure) {
      document.dispatchEvent(new CustomEvent("verdict:panel")); // the first curves: fetch the chart
      return;
    }
    const gone = new Set(event.detail.gone);
    element.figure.data = element.figure.data.filter((trace) => !gone.has(trace.meta.trial));
    event.detail.traces.forEach((news) => (news.whole ? replace : extend)(element.figure, news));
    if (tooLong(element.figure)) document.dispatchEvent(new CustomEvent("verdict:panel"));
    else redraw(element);
  });

  function adopt() {
    const element = chart();
    if (element) element.prepare = prepare;
    document.querySelectorAll("[data-curve-setting]").forEach((field) => {
      if (field.dataset.curveSetting === "logY") {
        settings.logY = field.checked;
        return;
      }
      const value = settings[field.dataset.curveSetting];
      if (field.type === "checkbox") field.checked = value;
      else field.value = value;
    });
  }
  document.addEventListener("input", (event) => {
    const field = event.target.closest("[data-curve-setting]");
    if (!field) return;
    const number = field.type === "range" ? Number(field.value) : field.value;
    settings[field.dataset.curveSetting] = field.type === "checkbox" ? field.checked : number;
    if (chart()) redraw(chart());
  });
  document.addEventListener("verdict:content", adopt);
  adopt();
})();
