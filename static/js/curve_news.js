// Points that arrive while trials run ("verdict:curves" carries traces to add, to replace, to remove)
// and one pointer for all charts of a page: what is under it on one is shown on the others.
(function () {
  "use strict";
  const MOST_POINTS = 3000; // of one line; beyond it the trial is asked for again, thinned
  const HUES = Array.from({ length: 10 }, (_, i) => `var(--hue-${i + 1})`);
  const { chart, beside, redraw } = window.verdictCurves;

  function shareHover(element) {
    const others = () => [chart(), ...beside()].filter((each) => each && each !== element && each.layout);
    element.on("plotly_hover", (event) => {
      if (!event.event || !event.xvals) return; // an echo of ours
      others().forEach((each) => Plotly.Fx.hover(each, { xval: event.xvals[0] }, ["xy"]));
    });
    element.on("plotly_unhover", (event) => {
      if (event.event) others().forEach((each) => Plotly.Fx.unhover(each));
    });
  }

  function freeHue(figure) {
    const taken = new Set(figure.data.filter((trace) => trace.line).map((trace) => trace.line.color));
    return HUES.find((hue) => !taken.has(hue)) || HUES[figure.data.length % HUES.length];
  }

  function replace(figure, news) {
    if (!news.figure.length) return;
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
        if (added.line) added.line.color = sibling ? sibling.line.color : freeHue(figure);
        figure.data.push(added);
        return;
      }
      for (const part of ["x", "y", "customdata"]) trace[part] = trace[part].concat(added[part]);
      const both = trace.meta.epochs && added.meta.epochs;
      trace.meta.epochs = both ? trace.meta.epochs.concat(added.meta.epochs) : null;
      trace.mode = trace.x.length > 1 ? "lines" : "lines+markers";
    });
  }

  function besideNews(traces) {
    beside().forEach((element) => {
      if (!element.figure) return;
      const name = element.figure.data[0]?.meta.series;
      traces.forEach((news) => {
        const figure = news.beside?.[name];
        if (figure) (news.whole ? replace : extend)(element.figure, { trial: news.trial, figure });
      });
      redraw(element);
    });
  }

  function tooLong(figure) {
    return figure.data.some((trace) => trace.x.length > MOST_POINTS);
  }

  document.addEventListener("verdict:curves", (event) => {
    const element = chart();
    if (!element || !element.figure) {
      document.dispatchEvent(new CustomEvent("verdict:panel")); // the first curves: fetch the chart
      return;
    }
    const gone = new Set(event.detail.gone);
    element.figure.data = element.figure.data.filter((trace) => !gone.has(trace.meta.trial));
    event.detail.traces.forEach((news) => (news.whole ? replace : extend)(element.figure, news));
    besideNews(event.detail.traces);
    if (tooLong(element.figure)) document.dispatchEvent(new CustomEvent("verdict:panel"));
    else redraw(element);
  });

  document.addEventListener("verdict:drawn", (event) => {
    const element = event.target;
    if (element.hovers || !beside().length) return;
    element.hovers = true;
    shareHover(element);
  });
})();
