// A runs table changes in place: its links and forms fetch the table alone, the address keeps the
// state. What belongs to the page around (charts, tabs, the width of the table) stays as it is.
(function () {
  "use strict";
  const root = document.querySelector("[data-runs]");
  if (!root) return;
  const OWN = ("experiments filter sort col pin group page rows archived only differ facets field operator value " +
    "state arm order down view between low high in").split(" ");
  const part = () => root.querySelector("[data-part=trials]");
  let latest = 0;
  let shown = location.search;

  // The table's own part of an address, with the rest as the page has it now.
  function merged(query) {
    const found = new URLSearchParams(query);
    const now = new URLSearchParams(location.search);
    [...found.keys()].filter((key) => !OWN.includes(key)).forEach((key) => found.delete(key));
    now.forEach((value, key) => {
      if (!OWN.includes(key)) found.append(key, value);
    });
    return found;
  }

  function asked(query) {
    const found = new URLSearchParams(query);
    new URLSearchParams(root.dataset.scope || "").forEach((value, key) => found.append(key, value));
    return found;
  }

  async function show(query, { push = true, charts = true } = {}) {
    const edits = []; // an edit is saved first; one that was refused stays
    document.dispatchEvent(new CustomEvent("verdict:leaving", { detail: edits }));
    if ((await Promise.all(edits)).includes(false)) return;
    const ticket = ++latest;
    const answer = await fetch(`${root.dataset.runs}?${asked(query)}`, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) {
      location.assign(`?${query}#trials`);
      return;
    }
    const html = await answer.text();
    if (ticket !== latest) return; // a later click was quicker
    swap(html);
    const canonical = merged(part().querySelector("[data-query]")?.dataset.query ?? query);
    const address = (canonical.size ? `?${canonical}` : location.pathname) + location.hash;
    if (push) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
    shown = location.search;
    if (charts && (root.hasAttribute("data-leads-charts") || document.querySelector("[data-brush]"))) document.dispatchEvent(new CustomEvent("verdict:panel"));
  }

  function swap(html) {
    const holder = part();
    const focused = holder.contains(document.activeElement) ? document.activeElement : null;
    const id = focused?.id;
    const column = focused?.closest("th")?.dataset.col;
    const left = holder.querySelector("[data-scroll]")?.scrollLeft ?? 0;
    holder.innerHTML = html;
    const scroll = holder.querySelector("[data-scroll]");
    if (scroll) scroll.scrollLeft = left;
    holder.dispatchEvent(new CustomEvent("verdict:content", { bubbles: true }));
    if (id) document.getElementById(id)?.focus();
    else if (column) holder.querySelector(`th[data-col="${CSS.escape(column)}"] a`)?.focus();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-runs-link]");
    if (!link || !root.contains(link) || event.metaKey || event.ctrlKey || event.button) return;
    event.preventDefault();
    const more = event.shiftKey && link.dataset.more ? new URL(link.dataset.more, location.href) : new URL(link.href);
    show(merged(more.search).toString());
  });
  root.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-runs-form]");
    if (!form) return;
    event.preventDefault();
    const query = new URLSearchParams(new FormData(form, event.submitter));
    show(merged(query).toString());
  });
  document.addEventListener("verdict:table", (event) => {
    show(merged(event.detail).toString());
  });
  window.addEventListener("popstate", () => {
    if (location.search === shown) return; // another place on the page
    show(location.search.slice(1), { push: false, charts: false });
  });

  // A menu closes when something beside it is pressed, and with Escape.
  document.addEventListener("click", (event) => {
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = event.target.closest?.("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
})();
