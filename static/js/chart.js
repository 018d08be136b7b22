// Draws every element with data-figure from the JSON it names. Colours in a figure are written
// var(--name) and taken from the page, so a change of theme draws again with the other values.
// A figure that other scripts change lives in element.figure; they ask with "verdict:redraw", and may
// set element.prepare (what is shown of the figure) and element.config (of Plotly).
(function () {
  "use strict";
  const CONFIG = {
    displaylogo: false,
    responsive: true,
    doubleClick: "reset+autosize",
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
    toImageButtonOptions: { format: "svg" },
  };
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);

  function palette() {
    const known = new Map();
    return (text) => {
      if (!known.has(text)) {
        const [name, alpha] = text.split(" / "); // "var(--hue-1) / 0.2" is that hue, a fifth of it
        probe.style.color = name;
        const found = getComputedStyle(probe).color;
        known.set(text, alpha ? found.replace("rgb(", "rgba(").replace(")", `, ${alpha})`) : found);
      }
      return known.get(text);
    };
  }

  function coloured(value, colour) {
    if (typeof value === "string") return value.startsWith("var(--") ? colour(value) : value;
    if (Array.isArray(value)) {
      const first = value[0];
      return typeof first === "number" || first === null ? value : value.map((each) => coloured(each, colour));
    }
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, coloured(each, colour)]));
    }
    return value;
  }

  function fitted(layout, element) {
    const narrow = element.clientWidth < 480;
    const font = { ...layout.font, family: getComputedStyle(document.body).fontFamily };
    const margin = narrow ? { ...layout.margin, l: Math.min(layout.margin.l, 84), r: 8 } : layout.margin;
    const fit = { ...layout, font, margin, autosize: true };
    if (narrow && layout.xaxis.title) {
      const text = layout.xaxis.title.text.replace(/, /, ",<br>");
      const fewer = layout.xaxis.tickvals ? {} : { nticks: 4 };
      fit.xaxis = { ...layout.xaxis, ...fewer, title: { ...layout.xaxis.title, text } };
    }
    return fit;
  }

  function draw(element) {
    const source = document.getElementById(element.dataset.figure);
    if (!element.figure && source) element.figure = JSON.parse(source.textContent);
    if (!element.figure || !element.isConnected || !window.Plotly) return;
    const shown = element.prepare ? element.prepare(element.figure) : element.figure;
    const colour = palette();
    const layout = fitted(coloured(shown.layout, colour), element);
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: colour("var(--ink-3)"), activecolor: colour("var(--ink)") };
    Plotly.react(element, coloured(shown.data, colour), layout, { ...CONFIG, ...element.config });
    element.dispatchEvent(new CustomEvent("verdict:drawn", { bubbles: true }));
  }

  // Charts further down are drawn when they come near, so that the first ones are there at once.
  // One at a time, the next in an idle moment, so that the page answers to clicks in between.
  const idle = window.requestIdleCallback || ((work) => setTimeout(work, 0));
  const queue = [];
  function next() {
    try {
      draw(queue.shift());
    } finally {
      if (queue.length) idle(next, { timeout: 200 }); // one that cannot be drawn holds up no other
    }
  }
  const near = new IntersectionObserver(
    (entries) => {
      const resting = queue.length === 0;
      entries
        .filter((entry) => entry.isIntersecting)
        .forEach((entry) => {
          near.unobserve(entry.target);
          entry.target.dataset.drawn = "yes";
          queue.push(entry.target);
        });
      if (resting && queue.length) next();
    },
    { rootMargin: "300px" },
  );
  const watch = (root) => root.querySelectorAll("[data-figure]:not([data-drawn])").forEach((each) => near.observe(each));
  const drawn = () => document.querySelectorAll("[data-figure][data-drawn]");

  // Plotly is evaluated when the page has been painted; a page that is one file holds it already. Not before
  // the other scripts listen to what is drawn: all of them have run at DOMContentLoaded.
  function start() {
    if (window.Plotly) return watch(document);
    const script = document.createElement("script");
    script.src = document.querySelector("link[data-plotly]").href;
    script.addEventListener("load", () => watch(document));
    document.head.append(script);
  }
  document.addEventListener("DOMContentLoaded", () => requestAnimationFrame(() => setTimeout(start)));
  document.addEventListener("verdict:content", (event) => window.Plotly && watch(event.target));
  document.addEventListener("verdict:redraw", (event) => draw(event.target));
  document.addEventListener("verdict:theme", () => all(drawn()));

  // Paper is light whatever the screen is, and needs the charts further down as well.
  window.addEventListener("beforeprint", () => {
    document.documentElement.dataset.printing = "yes";
    all(document.querySelectorAll("[data-figure]"));
  });
  window.addEventListener("afterprint", () => {
    delete document.documentElement.dataset.printing;
    all(drawn());
  });

  function all(elements) {
    elements.forEach((each) => {
      try {
        draw(each);
      } catch (error) {
        reportError(error);
      }
    });
  }
})();
