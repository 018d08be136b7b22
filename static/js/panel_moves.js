// Panels of a grid moved (dragged by their grip, or by arrow keys) and resized; panels.js holds the grid.
(function () {
  "use strict";
  const WIDEST = 3;
  const HIGHEST = 3;
  const { grid, panels, title, say, keep, fit } = window.verdictPanels;

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
