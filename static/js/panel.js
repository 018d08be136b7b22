// Swaps the charts panel without loading the page: tabs, the choice of metric, picked trials, and
// "verdict:panel" from other scripts. The address keeps the state; back and forward work.
(function () {
  "use strict";
  const url = () => document.querySelector("[data-panel-url]").dataset.panelUrl;
  let latest = 0;

  async function show(query) {
    const ticket = ++latest;
    const answer = await fetch(`${url()}?${query}`, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) {
      location.search = query;
      return;
    }
    const html = await answer.text();
    if (ticket !== latest) return; // a later click was quicker
    const holder = document.querySelector("[data-part=charts]");
    const focused = document.activeElement?.dataset?.tabLink;
    const height = holder.offsetHeight;
    holder.style.minHeight = `${height}px`; // the page does not jump while charts draw
    holder.querySelectorAll(".js-plotly-plot").forEach((each) => Plotly.purge(each));
    holder.innerHTML = html;
    holder.dispatchEvent(new CustomEvent("verdict:content", { bubbles: true }));
    if (focused) holder.querySelector(`[data-tab-link="${focused}"]`)?.focus();
    requestAnimationFrame(() => (holder.style.minHeight = ""));
    const cursor = holder.querySelector("[data-panel]")?.dataset.cursor;
    if (cursor) document.dispatchEvent(new CustomEvent("verdict:cursor", { detail: cursor }));
  }

  function go(query) {
    history.pushState(null, "", (query ? `?${query}` : location.pathname) + location.hash);
    show(query);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-tab-link]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(new URL(link.href).searchParams.toString());
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-metric]")) {
      const query = new URLSearchParams(location.search);
      query.set("metric", event.target.value);
      go(query.toString());
    }
    const choice = event.target.closest("[data-panel-choice]");
    if (choice) {
      const query = new URLSearchParams(location.search);
      const many = choice.dataset.panelMany; // of this name there may be several, or none
      if (many) {
        query.delete(many);
        new FormData(choice).getAll(many).forEach((value) => query.append(many, value));
      } else new FormData(choice).forEach((value, key) => query.set(key, value));
      go(query.toString());
    }
  });
  document.addEventListener("verdict:pick", (event) => {
    const query = new URLSearchParams(location.search);
    query.delete("tab");
    if (event.detail) query.set("trials", event.detail);
    else query.delete("trials");
    history.replaceState(null, "", (query.size ? `?${query}` : location.pathname) + location.hash);
    show(query.toString());
  });
  document.addEventListener("verdict:panel", () => show(location.search.slice(1)));
  window.addEventListener("popstate", () => show(location.search.slice(1)));

  // Charts that have grown take their new points in place, so that zoom and settings stay.
  document.addEventListener("verdict:grown", async () => {
    const holder = document.querySelector("[data-part=charts]");
    if (!holder || !document.querySelector("[data-leads-charts]")) return;
    const answer = await fetch(`${url()}${location.search}`, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const ids = (tree) => [...tree.querySelectorAll("[data-figure]")].map((each) => each.dataset.figure + each.getAttribute("aria-label"));
    if (ids(fresh).join() !== ids(holder).join()) {
      document.dispatchEvent(new CustomEvent("verdict:panel"));
      return;
    }
    const renew = (old, found) => old && found && (old.textContent = found.textContent);
    ["runs-named", "runs-links"].forEach((id) => renew(document.getElementById(id), fresh.getElementById(id)));
    holder.querySelectorAll("[data-panel-note]").forEach((note, i) => renew(note, fresh.querySelectorAll("[data-panel-note]")[i]));
    holder.querySelectorAll("[data-figure]").forEach((element) => {
      const source = fresh.getElementById(element.dataset.figure);
      if (!source) return;
      element.figure = JSON.parse(source.textContent);
      document.getElementById(element.dataset.figure).textContent = source.textContent;
      if (element.dataset.drawn) element.dispatchEvent(new CustomEvent("verdict:redraw", { bubbles: true }));
    });
  });
})();
