// The controls of learning curves (logarithmic axes, x by step, epoch, relative or wall time, smoothing) and
// what they draw. curve_settings.js keeps what they say; the scripts beside this one share the rest.
(function () {
  "use strict";
  // Two clicks, or the button, show all again, also where the address has named a part.
  const WHOLE = { doubleClick: "autosize", modeBarButtons: [["zoom2d", "pan2d", "autoScale2d", "toImage"]] };
  const TITLES = { time: "seconds since the trial began", epoch: "epoch", clock: "time" };
  const MINUTE = 60_000;
  const curves = window.verdictCurves;
  const { settings, remember } = curves;

  // curve_zoom.js puts its own in place of the last three.
  const whole = { closer: (_, traces) => traces, shownRange: () => null, heights: () => undefined };
  Object.assign(curves, { across, ...whole });

  const charts = () => [...document.querySelectorAll("[data-learning-curves]")];
  const chart = () => charts()[0];
  const beside = () => [...document.querySelectorAll("[data-beside-curves]")];
  const redraw = (element) => element.dispatchEvent(new CustomEvent("verdict:redraw", { bubbles: true }));
  Object.assign(curves, { chart, beside, redraw });
  const redrawAll = () => [...charts(), ...beside()].forEach(redraw);

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

  // A trace's place on the chosen x axis; null for one that has none, such as a mean by time.
  function across(trace) {
    if (settings.x === "step") return trace.x;
    if (trace.meta.mean) return null;
    if (settings.x === "clock") return onClock(trace);
    return settings.x === "time" ? trace.customdata : trace.meta.epochs;
  }

  // Milliseconds of the reader's clock, which an axis of dates shows as they are.
  function onClock(trace) {
    if (trace.meta.started === null) return null; // nobody knows when it began
    const started = trace.meta.started - MINUTE * new Date(trace.meta.started).getTimezoneOffset();
    return trace.customdata.map((seconds) => started + 1000 * seconds);
  }

  function placed(trace) {
    const x = across(trace);
    return x ? [{ ...trace, x }] : [];
  }

  function withSmoothing(trace) {
    if (trace.meta.mark || trace.meta.mean) return [trace];
    const raw = { ...trace, opacity: 0.22, showlegend: false, hoverinfo: "skip", hovertemplate: null };
    return [raw, { ...trace, y: smoothed(trace.y, settings.smooth) }];
  }

  function prepare(figure) {
    const traces = curves.closer(chart(), figure.data).flatMap(placed);
    const data = settings.smooth ? traces.flatMap(withSmoothing) : traces;
    const layout = axes(figure);
    layout.yaxis.type = settings.logY ? "log" : "linear";
    if (settings.logY) Object.assign(layout.yaxis, { dtick: "D2", tickformat: "~g" });
    layout.uirevision = JSON.stringify([settings.logX, settings.logY, settings.x]);
    if (settings.x !== "step") Object.assign(layout, { shapes: [], annotations: [] });
    const range = curves.shownRange(figure);
    if (range) {
      layout.xaxis.range = layout.xaxis.type === "log" ? range.map((end) => Math.log10(Math.max(end, 1e-3))) : range;
      layout.yaxis.range = curves.heights(data, range);
    }
    layout.yaxis.uirevision = JSON.stringify([layout.uirevision, layout.yaxis.range]);
    return { data, layout };
  }

  // A chart with a line above it writes what is under the pointer there: no label covers a curve.
  function unlabelled(figure) {
    const { data, layout } = prepare(figure);
    const silent = ({ hovertemplate, ...trace }) => (hovertemplate ? { ...trace, hoverinfo: "none" } : trace);
    return { data: data.map(silent), layout: { ...layout, hovermode: "closest", hoverdistance: 40 } };
  }
  const hasReadout = (element) => element.parentElement.querySelector("[data-readout]");

  // Charts of the machine follow the x axis of the curves above them.
  function prepareBeside(figure) {
    const layout = axes(figure);
    layout.yaxis.rangemode = "tozero";
    layout.uirevision = JSON.stringify([settings.logX, settings.x]);
    return { data: figure.data.flatMap(placed), layout };
  }

  function axes(figure) {
    const layout = structuredClone(figure.layout);
    layout.xaxis.type = settings.x === "clock" ? "date" : settings.logX ? "log" : "linear";
    layout.xaxis.title.text = TITLES[settings.x] || figure.layout.xaxis.title.text;
    return layout;
  }

  // The controls

  function adopt() {
    charts().forEach((each) => Object.assign(each, { prepare: hasReadout(each) ? unlabelled : prepare, config: WHOLE }));
    beside().forEach((each) => (each.prepare = prepareBeside));
    document.querySelectorAll("[data-curve-setting]").forEach((field) => {
      const name = field.dataset.curveSetting;
      if (name === "logY" && !settings.logYChosen) {
        settings.logY = field.checked;
        return;
      }
      if (name === "x" && ![...field.options].some((option) => option.value === settings.x)) settings.x = "step";
      if (field.type === "checkbox") field.checked = settings[name];
      else field.value = settings[name];
    });
    tellSmoothing();
    remember();
  }
  function tellSmoothing() {
    document.querySelectorAll("[data-curve-smooth]").forEach((each) => {
      each.textContent = settings.smooth ? settings.smooth.toFixed(2) : "off";
    });
  }
  document.addEventListener("input", (event) => {
    const field = event.target.closest("[data-curve-setting]");
    if (!field) return;
    const name = field.dataset.curveSetting;
    const value = field.type === "range" ? Number(field.value) : field.value;
    settings[name] = field.type === "checkbox" ? field.checked : value;
    if (name === "logY") settings.logYChosen = true;
    tellSmoothing();
    remember();
    redrawAll();
  });
  document.addEventListener("verdict:content", adopt);
  adopt();
})();
