// The settings of learning curves (x, logarithmic axes, smoothing, the range shown), read from the address
// and kept in it: what the scripts that draw them share (window.verdictCurves).
(function () {
  "use strict";
  const address = new URLSearchParams(location.search);
  const settings = {
    x: ["epoch", "time", "clock"].includes(address.get("x")) ? address.get("x") : "step",
    logX: address.get("logx") === "1",
    logY: address.has("logy") ? address.get("logy") === "1" : null, // null: as the server thinks
    smooth: Math.min(0.99, Math.max(0, Number(address.get("smooth")) || 0)),
    from: address.get("from") === null ? null : Number(address.get("from")),
    to: address.get("to") === null ? null : Number(address.get("to")),
  };
  if (!Number.isFinite(settings.from) || !Number.isFinite(settings.to)) settings.from = settings.to = null;
  settings.logYChosen = address.has("logy");

  function remember() {
    const query = new URLSearchParams(location.search);
    const keep = (name, value) => (value ? query.set(name, value) : query.delete(name));
    keep("x", settings.x === "step" ? "" : settings.x);
    keep("logx", settings.logX ? "1" : "");
    if (settings.logYChosen) query.set("logy", settings.logY ? "1" : "0");
    keep("smooth", settings.smooth ? String(settings.smooth) : "");
    keep("from", settings.from === null ? "" : String(settings.from));
    keep("to", settings.to === null ? "" : String(settings.to));
    history.replaceState(null, "", (query.size ? `?${query}` : location.pathname) + location.hash);
    const carry = (selector, names) =>
      document.querySelectorAll(selector).forEach((link) => {
        const theirs = new URL(link.href);
        for (const name of names) {
          if (query.has(name)) theirs.searchParams.set(name, query.get(name));
          else theirs.searchParams.delete(name);
        }
        link.href = theirs;
      });
    carry("[data-tab-link]", ["x", "logx", "logy", "smooth", "from", "to"]);
    carry("[data-export]", ["from", "to"]);
  }

  window.verdictCurves = { settings, remember };
})();
