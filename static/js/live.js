// An open page asks for what it has not got, once a second while it is looked at. The server
// says when to stop. A lost connection is said on the page and tried again, ever more slowly.
(function () {
  "use strict";
  const root = document.querySelector("[data-live]");
  if (!root) return;
  const EVERY = 1000;
  const SLOWEST = 30000;
  const notice = document.querySelector("[data-stale]");
  let cursor = root.dataset.cursor;
  let running = true;
  let failures = 0;
  let timer = 0;
  let charts = "";
  const waiting = new Map(); // parts that were in use when their news came

  function address() {
    const query = new URLSearchParams(location.search);
    query.set("since", cursor);
    const panel = document.querySelector("[data-panel]");
    if (panel) {
      query.set("tab", panel.dataset.tab);
      if (panel.dataset.group) query.set("metric", panel.dataset.group);
    }
    return `${root.dataset.live}?${query}`;
  }

  function swap(name, html) {
    const part = document.querySelector(`[data-part="${name}"]`);
    if (!part || part.dataset.html === html) return;
    // Nobody loses what they are typing or the keyboard's place.
    const typing = part.contains(document.activeElement) && document.activeElement.matches("input:not([type=checkbox]), textarea, select");
    // A menu or an edit of the part is in use, too: what is new waits for its end.
    if (typing || part.querySelector("details.menu[open], [data-edit-form]")) {
      waiting.set(name, html);
      return;
    }
    waiting.delete(name);
    const open = [...part.querySelectorAll("details[open][data-key]")].map((each) => each.dataset.key);
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    const scrolled = [...part.querySelectorAll("[data-scroll]")].map((each) => [each.dataset.scroll, each.scrollLeft, each.scrollTop]);
    part.innerHTML = html;
    part.dataset.html = html;
    scrolled.forEach(([name, left, top]) => {
      const again = part.querySelector(`[data-scroll="${CSS.escape(name)}"]`);
      if (again) Object.assign(again, { scrollLeft: left, scrollTop: top });
    });
    open.forEach((key) => {
      const again = part.querySelector(`details[data-key="${CSS.escape(key)}"]`);
      if (again) again.open = true;
    });
    if (focused) document.getElementById(focused)?.focus();
    part.dispatchEvent(new CustomEvent("verdict:content", { bubbles: true }));
  }

  function take(news) {
    cursor = news.since;
    running = news.again;
    if (news.reload) location.reload();
    Object.entries(news.parts || {}).forEach(([name, html]) => swap(name, html));
    if (news.grown) document.dispatchEvent(new CustomEvent("verdict:grown"));
    if (news.curves) document.dispatchEvent(new CustomEvent("verdict:curves", { detail: news.curves }));
    if (news.charts && news.charts !== charts) {
      charts = news.charts;
      const panel = document.querySelector("[data-panel]");
      if (panel && panel.dataset.tab !== "curves") document.dispatchEvent(new CustomEvent("verdict:panel"));
    }
  }

  function stale(since) {
    if (!notice) return;
    notice.hidden = since === null;
    if (since !== null) notice.textContent = `Connection lost: this page may be out of date. Trying again in ${since} s.`;
  }

  async function ask() {
    try {
      const answer = await fetch(address(), { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.redirected || answer.status === 403 || answer.status === 404) {
        location.reload(); // logged out meanwhile, or gone
        return;
      }
      if (!answer.ok) throw new Error(answer.status);
      if (answer.status !== 204) take(await answer.json());
      failures = 0;
      stale(null);
    } catch {
      failures += 1;
    }
    plan();
  }

  function plan() {
    clearTimeout(timer);
    if (!running || document.hidden) return;
    const wait = Math.min(SLOWEST, EVERY * 2 ** failures);
    if (failures > 1) stale(Math.round(wait / 1000));
    timer = setTimeout(ask, wait);
  }

  function catchUp() {
    setTimeout(() => waiting.forEach((html, name) => swap(name, html)));
  }

  document.addEventListener("focusout", catchUp);
  document.addEventListener("toggle", catchUp, true);
  document.addEventListener("verdict:edited", () => {
    // What waited was read before the edit: the table is asked for again.
    if (waiting.delete("trials")) document.dispatchEvent(new CustomEvent("verdict:table", { detail: location.search }));
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden && running) ask();
  });
  document.addEventListener("verdict:cursor", (event) => {
    cursor = event.detail;
    if (running) plan();
  });
  plan();
})();
