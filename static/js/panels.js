// The grid of charts beside a runs table: panels are added, removed, shown in the whole window, and
// moved and resized (panel_moves.js). The address keeps the layout, and so does a view that is saved of it.
(function () {
  "use strict";
  const NONE = "none";
  const FEWEST = { scatter: 2, bars: 1, parallel: 0 }; // columns
  const WIDER = { scatter: "", bars: "", parallel: "@2x1" };
  const WRONG = { curves: "Choose at least one metric.", scatter: "Choose a column for each axis.", bars: "Choose a column." };
  const grid = () => document.querySelector("[data-panels]");
  const panels = () => [...grid().querySelectorAll("[data-panel-what]")];
  const title = (panel) => panel.querySelector("h3").textContent;

  function say(words) {
    const place = document.querySelector("[data-panel-says]");
    if (place) place.textContent = words;
  }

  // The address

  function texts() {
    const found = panels().map((panel) => {
      const { panelWhat, width, height } = panel.dataset;
      return width === "1" && height === "1" ? panelWhat : `${panelWhat}@${width}x${height}`;
    });
    return found.length ? found : [NONE];
  }

  function address(layout) {
    const query = new URLSearchParams(location.search);
    query.delete("metric");
    query.delete("panel");
    layout.forEach((text) => query.append("panel", text));
    return (query.size ? `?${query}` : location.pathname) + location.hash;
  }

  const keep = () => history.replaceState(null, "", address(texts()));

  function go(layout) {
    history.pushState(null, "", address(layout));
    document.dispatchEvent(new CustomEvent("verdict:panel"));
  }

  function fit(panel) {
    const chart = panel.querySelector(".js-plotly-plot");
    if (chart) Plotly.Plots.resize(chart);
  }

  // The whole window: in the top layer, at its place in the page, so that it goes on living

  function full(panel) {
    if (panel.hasAttribute("popover")) {
      panel.hidePopover();
      return;
    }
    panel.setAttribute("popover", "auto");
    panel.showPopover();
    const around = outside(panel);
    around.forEach((each) => (each.inert = true));
    pressed(panel, true);
    fit(panel);
    panel.addEventListener("toggle", function closed(event) {
      if (event.newState !== "closed") return;
      panel.removeEventListener("toggle", closed);
      panel.removeAttribute("popover");
      around.forEach((each) => (each.inert = false));
      pressed(panel, false);
      fit(panel);
      panel.querySelector("[data-panel-full]").focus();
    });
  }

  function pressed(panel, on) {
    const button = panel.querySelector("[data-panel-full]");
    button.setAttribute("aria-pressed", on);
    button.title = on ? "Back to the page" : "Whole window";
  }

  // Everything that a panel which fills the window hides.
  function outside(panel) {
    const found = [];
    for (let inner = panel; inner !== document.body; inner = inner.parentElement) {
      found.push(...[...inner.parentElement.children].filter((each) => each !== inner && !each.inert));
    }
    return found;
  }

  function remove(panel) {
    const all = panels();
    const next = all[all.indexOf(panel) + 1] || all[all.indexOf(panel) - 1];
    if (panel.hasAttribute("popover")) panel.hidePopover();
    const name = title(panel);
    if (next) next.querySelector("[data-panel-remove]").focus();
    panel.querySelectorAll(".js-plotly-plot").forEach((each) => Plotly.purge(each));
    panel.remove();
    if (next) history.pushState(null, "", address(texts()));
    else go([NONE]);
    say(`${name} removed`);
  }

  // The form that adds panels

  function added(form) {
    const fields = new FormData(form);
    const kind = fields.get("kind");
    const keys = fields.getAll(kind).map((key) => key.trim()).filter(Boolean);
    const text = (names) => `${kind}:${names.map((name) => encodeURIComponent(name)).join(",")}`;
    if (kind !== "curves") return keys.length < FEWEST[kind] ? [] : [text(keys) + WIDER[kind]];
    if (fields.get("together") && keys.length) return [text(keys)];
    return keys.map((key) => text([key]));
  }

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-panel-add]");
    if (!form) return;
    event.preventDefault();
    const more = added(form);
    const wrong = form.querySelector("[data-panel-wrong]");
    wrong.hidden = more.length > 0;
    wrong.textContent = more.length ? "" : WRONG[form.elements.kind.value];
    if (more.length) go([...texts().filter((each) => each !== NONE), ...more]);
  });

  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-panel-kind]")) return;
    event.target.form.querySelectorAll("[data-of-kind]").forEach((part) => (part.hidden = part.dataset.ofKind !== event.target.value));
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const panel = button?.closest("[data-panel-what]");
    if (button?.matches("[data-panel-all]")) {
      button.form.querySelectorAll("[name=curves]").forEach((each) => (each.checked = !each.closest("label").querySelector(".small")));
    } else if (button?.matches("[data-panel-reset]")) go([]);
    else if (button?.matches("[data-panel-full]")) full(panel);
    else if (button?.matches("[data-panel-remove]")) remove(panel);
  });
  window.verdictPanels = { grid, panels, title, say, keep, fit };
})();
