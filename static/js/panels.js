// The grid of charts beside a runs table: panels are added, moved (dragged by their grip, or by arrow
// keys), resized, removed, and shown in the whole window. The address keeps the layout, and so does a
// view that is saved of it.
(function () {
  "use strict";
  const WIDEST = 3;
  const HIGHEST = 3;
  const NONE = "none";
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

  // Moving

  function move(panel, to) {
    const all = panels();
    const place = all.indexOf(panel);
    const target = Math.min(all.length - 1, Math.max(0, to));
    if (target !== place) {
      all[target][target > place ? "after" : "before"](panel);
      keep();
    }
    say(`${title(panel)}: place ${target + 1} of ${all.length}`);
  }

  function drag(grip, event) {
    const panel = grip.closest("[data-panel-what]");
    let over = null;
    const mark = (next, after) => {
      over?.classList.remove("drop-before", "drop-after");
      over = next;
      over?.classList.add(after ? "drop-after" : "drop-before");
    };
    panel.classList.add("dragged");
    follow(
      event,
      (moved) => {
        const found = document.elementFromPoint(moved.clientX, moved.clientY)?.closest("[data-panel-what]");
        const box = found?.getBoundingClientRect();
        if (!found || found === panel || !grid().contains(found)) mark(null);
        else mark(found, onFarSide(moved, box));
      },
      (dropped) => {
        panel.classList.remove("dragged");
        const target = over;
        const after = target?.classList.contains("drop-after");
        mark(null);
        if (!target || !dropped) return;
        const rest = panels().filter((each) => each !== panel);
        move(panel, rest.indexOf(target) + (after ? 1 : 0));
        grip.focus();
      },
    );
  }

  // Panels beside one another part at their middle, panels below one another at half their height.
  function onFarSide(at, box) {
    const single = box.width > 0.75 * grid().clientWidth;
    return single ? at.clientY > box.top + box.height / 2 : at.clientX > box.left + box.width / 2;
  }

  // A drag from its first press to its end; `end` is told whether it ended well.
  function follow(event, step, end) {
    event.preventDefault();
    const finish = (ended) => {
      document.removeEventListener("pointermove", step);
      document.removeEventListener("pointerup", finish);
      document.removeEventListener("pointercancel", finish);
      end(ended.type === "pointerup");
    };
    document.addEventListener("pointermove", step);
    document.addEventListener("pointerup", finish);
    document.addEventListener("pointercancel", finish);
  }

  // Sizes

  function resize(panel, width, height) {
    const size = [Math.min(WIDEST, Math.max(1, width)), Math.min(HIGHEST, Math.max(1, height))];
    if (panel.dataset.width !== String(size[0]) || panel.dataset.height !== String(size[1])) {
      [panel.dataset.width, panel.dataset.height] = size;
      fit(panel);
    }
    const handle = panel.querySelector("[data-panel-size]");
    handle.setAttribute("aria-label", `Size of ${title(panel)}: ${size.join(" by ")}`);
  }

  function fit(panel) {
    const chart = panel.querySelector(".js-plotly-plot");
    if (chart) Plotly.Plots.resize(chart);
  }

  const sayssize = (panel) => say(`${title(panel)}: ${panel.dataset.width} wide, ${panel.dataset.height} high`);

  function dragSize(handle, event) {
    const panel = handle.closest("[data-panel-what]");
    const [width, height] = [Number(panel.dataset.width), Number(panel.dataset.height)];
    const column = panel.offsetWidth / width;
    const row = panel.querySelector(".chart, .chart-empty").offsetHeight / height;
    follow(
      event,
      (moved) => {
        const across = Math.round((moved.clientX - event.clientX) / column);
        const down = Math.round((moved.clientY - event.clientY) / row);
        resize(panel, width + across, height + down);
      },
      () => {
        keep();
        sayssize(panel);
      },
    );
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
    const keys = fields.getAll(kind).filter(Boolean);
    const text = (names) => `${kind}:${names.map((name) => encodeURIComponent(name)).join(",")}`;
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
    wrong.textContent = more.length ? "" : "Choose at least one metric.";
    if (more.length) go([...texts().filter((each) => each !== NONE), ...more]);
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
  document.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const grip = event.target.closest("[data-panel-grip]");
    const handle = event.target.closest("[data-panel-size]");
    if (grip) drag(grip, event);
    else if (handle) dragSize(handle, event);
  });
  document.addEventListener("keydown", (event) => {
    const button = event.target.closest?.("[data-panel-grip], [data-panel-size]");
    if (!button || event.altKey || event.ctrlKey || event.metaKey) return;
    const panel = button.closest("[data-panel-what]");
    const place = panels().indexOf(panel);
    const [width, height] = [Number(panel.dataset.width), Number(panel.dataset.height)];
    const moves = { ArrowLeft: place - 1, ArrowUp: place - 1, ArrowRight: place + 1, ArrowDown: place + 1, Home: 0, End: Infinity };
    const sizes = { ArrowLeft: [width - 1, height], ArrowRight: [width + 1, height], ArrowUp: [width, height - 1], ArrowDown: [width, height + 1] };
    const moving = button.matches("[data-panel-grip]");
    if (!(event.key in (moving ? moves : sizes))) return;
    event.preventDefault();
    if (moving) {
      move(panel, moves[event.key]);
      button.focus();
      panel.scrollIntoView({ block: "nearest" });
    } else {
      resize(panel, ...sizes[event.key]);
      keep();
      sayssize(panel);
    }
  });
})();
