// Brushing parallel coordinates: a drag along an axis filters the table beside the chart by the values
// under it, a click takes that off again. The filter, a chip of the table, holds it, and so does the
// address.
(function () {
  "use strict";
  const CLICK = 4; // pixels that a press may move and still be a click
  const DIGITS = 4;

  const clamped = (place) => Math.min(1, Math.max(0, place));
  const frame = (chart) => chart._fullLayout.yaxis;
  const down = (chart, place) => frame(chart)._offset + frame(chart).d2p(place);
  const placeOf = (chart, event) => clamped(frame(chart).p2d(event.clientY - chart.getBoundingClientRect().top - frame(chart)._offset));

  // A number as a filter holds it, rounded away from the middle so that the ends stay in.
  function rounded(value, up) {
    if (!value) return 0;
    const unit = 10 ** (Math.floor(Math.log10(Math.abs(value))) - DIGITS + 1);
    const whole = up ? Math.ceil(value / unit - 1e-9) : Math.floor(value / unit + 1e-9);
    return Number((whole * unit).toPrecision(DIGITS));
  }

  function valueAt(axis, place) {
    const { low, high, log, shift } = axis;
    return log ? low * (high / low) ** place - shift : low + place * (high - low);
  }

  // Ask for what lies between two places of an axis; for nothing in particular without them.
  function filter(axis, ends) {
    const query = new URLSearchParams(location.search);
    ["between", "low", "high", "in"].forEach((name) => query.delete(name));
    query.set("between", axis.key);
    if (ends && axis.words.length) {
      const count = axis.words.length;
      const under = axis.words.filter((_, i) => (i + 1) / count > ends[0] && i / count < ends[1]);
      under.forEach((word) => query.append("in", word));
    } else if (ends) {
      query.set("low", rounded(valueAt(axis, ends[0]), false));
      query.set("high", rounded(valueAt(axis, ends[1]), true));
    }
    document.dispatchEvent(new CustomEvent("verdict:table", { detail: query.toString() }));
  }

  function span(chart, brush, ends) {
    brush.hidden = !ends;
    if (!ends) return;
    const [top, bottom] = [down(chart, Math.max(...ends)), down(chart, Math.min(...ends))];
    brush.style.top = `${top - Number(brush.parentElement.dataset.top)}px`;
    brush.style.height = `${Math.max(2, bottom - top)}px`;
  }

  function press(chart, axis, strip, event) {
    event.preventDefault();
    const brush = strip.firstElementChild;
    const start = placeOf(chart, event);
    const between = (moved) => [start, placeOf(chart, moved)].sort((one, other) => one - other);
    const move = (moved) => span(chart, brush, between(moved));
    const end = (last) => {
      document.removeEventListener("pointermove", move);
      document.removeEventListener("pointerup", end);
      document.removeEventListener("pointercancel", end);
      const far = Math.abs(last.clientY - event.clientY) > CLICK;
      if (last.type === "pointercancel") span(chart, brush, axis.chosen);
      else if (far) filter(axis, between(last));
      else if (axis.chosen) filter(axis, null);
    };
    document.addEventListener("pointermove", move);
    document.addEventListener("pointerup", end);
    document.addEventListener("pointercancel", end);
  }

  function lay(chart) {
    chart.querySelectorAll(":scope > .brush-axis").forEach((each) => each.remove());
    const { xaxis } = chart._fullLayout;
    (chart.figure.layout.meta?.axes || []).forEach((axis, i) => {
      if (!axis) return;
      const strip = Object.assign(document.createElement("div"), { className: "brush-axis", title: `${axis.name}: drag to filter` });
      const top = down(chart, 1);
      strip.dataset.axis = axis.key;
      strip.dataset.top = top;
      strip.style.left = `${xaxis._offset + xaxis.d2p(i)}px`;
      strip.style.top = `${top}px`;
      strip.style.height = `${down(chart, 0) - top}px`;
      strip.append(document.createElement("span"));
      chart.append(strip);
      span(chart, strip.firstElementChild, axis.chosen);
      strip.addEventListener("pointerdown", (event) => event.button || press(chart, axis, strip, event));
    });
  }

  document.addEventListener("verdict:drawn", (event) => {
    const chart = event.target;
    if (!chart.matches("[data-brush]")) return;
    lay(chart);
    if (chart.brushes) return;
    chart.brushes = true;
    chart.on("plotly_afterplot", () => lay(chart)); // another width
  });
})();
