// Columns of a runs table: their order in the menu, their widths by their edges, and those that
// stay while the table scrolls.
(function () {
  "use strict";
  const root = document.querySelector("[data-runs]");
  if (!root) return;
  const SLIMMEST = 40;
  const WIDEST = 900;

  // Order, by dragging and by buttons

  let dragged = null;
  root.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.("[data-column-order] li") || null;
  });
  root.addEventListener("dragover", (event) => {
    const over = event.target.closest?.("[data-column-order] li");
    if (!dragged || !over || over === dragged) return;
    event.preventDefault();
    const box = over.getBoundingClientRect();
    over[event.clientY < box.top + box.height / 2 ? "before" : "after"](dragged);
  });
  root.addEventListener("dragend", () => (dragged = null));
  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-move]");
    if (!button) return;
    const item = button.closest("li");
    if (button.dataset.move === "-1") item.previousElementSibling?.before(item);
    else item.nextElementSibling?.after(item);
    button.focus();
  });

  // Widths: a handle at each head's edge; the arrow keys move it as well

  const table = () => root.querySelector("[data-runs-table]");

  function setWidth(head, width) {
    const pixels = Math.round(Math.min(WIDEST, Math.max(SLIMMEST, width)));
    head.style.width = head.style.minWidth = head.style.maxWidth = `${pixels}px`;
    const index = [...head.parentElement.children].indexOf(head);
    table().querySelectorAll("tbody tr").forEach((row) => {
      const cell = row.children[index];
      if (cell) cell.style.maxWidth = `${pixels}px`;
    });
    head.dataset.width = pixels;
    return pixels;
  }

  function keep() {
    const heads = [...table().querySelectorAll("th[data-col]")].filter((head) => head.dataset.col !== "number");
    const query = new URLSearchParams(location.search);
    query.delete("col");
    heads.forEach((head) => {
      query.append("col", head.dataset.width ? `${head.dataset.col}@${head.dataset.width}` : head.dataset.col);
    });
    history.replaceState(null, "", `?${query}${location.hash}`);
    root.querySelectorAll("[data-runs-link], [data-runs-form]").forEach((each) => carry(each, query.getAll("col")));
    pin();
  }

  // Links and forms of the table were written before the width changed.
  function carry(each, columns) {
    if (each.tagName === "FORM") {
      if (each.matches("[data-columns]")) return;
      each.querySelectorAll('input[type="hidden"][name="col"]').forEach((field) => field.remove());
      columns.forEach((value) => {
        const field = Object.assign(document.createElement("input"), { type: "hidden", name: "col", value });
        each.append(field);
      });
      return;
    }
    const url = new URL(each.href);
    url.searchParams.delete("col");
    columns.forEach((value) => url.searchParams.append("col", value));
    each.href = url;
  }

  function handles() {
    if (!table() || table().hasAttribute("data-groups")) return;
    table().querySelectorAll("th[data-col]").forEach((head) => {
      if (head.dataset.width) setWidth(head, Number(head.dataset.width));
      if (head.dataset.col === "number" || head.querySelector(".resize")) return;
      const handle = document.createElement("span");
      handle.className = "resize";
      handle.tabIndex = -1;
      head.append(handle);
    });
    pin();
  }

  root.addEventListener("pointerdown", (event) => {
    if (!event.target.matches(".resize")) return;
    event.preventDefault();
    const head = event.target.closest("th");
    const start = event.clientX;
    const width = head.offsetWidth;
    const move = (moved) => setWidth(head, width + moved.clientX - start);
    const end = () => {
      document.removeEventListener("pointermove", move);
      keep();
    };
    document.addEventListener("pointermove", move);
    document.addEventListener("pointerup", end, { once: true });
  });
  root.addEventListener("keydown", (event) => {
    const head = event.target.closest?.("th[data-col]");
    if (!head || !event.altKey || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    if (head.dataset.col === "number") return;
    event.preventDefault();
    setWidth(head, head.offsetWidth + (event.key === "ArrowLeft" ? -20 : 20));
    keep();
  });

  // The first columns stay at their place

  function pin() {
    if (!table()) return;
    let left = 0;
    [...table().querySelectorAll("thead th")].forEach((head, index) => {
      if (!head.hasAttribute("data-pinned")) return;
      const cells = [head, ...[...table().querySelectorAll("tbody tr")].map((row) => row.children[index])];
      cells.forEach((cell) => {
        if (!cell) return;
        cell.classList.add("pinned");
        cell.style.left = `${left}px`;
      });
      left += head.offsetWidth;
    });
    table().closest(".runs-scroll").style.scrollPaddingLeft = `${left}px`; // what has the focus stays in sight
  }

  // Tab leaves alone what is half in sight.
  document.addEventListener("focusin", ({ target }) => {
    const inTable = target.closest(".runs-scroll th, .runs-scroll td");
    if (inTable && target.matches(":focus-visible")) target.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  document.addEventListener("verdict:content", handles);
  window.addEventListener("resize", pin);
  handles();
})();
