// Light or dark: as the system says until the switch is used; then as the cookie says, which the
// server writes into the page so that nothing flashes. Charts redraw on "verdict:theme".
(function () {
  "use strict";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const announce = () => document.dispatchEvent(new CustomEvent("verdict:theme"));

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const now = root.dataset.theme || (system.matches ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    const home = document.querySelector("a.brand").pathname;
    document.cookie = `theme=${next}; Path=${home}; Max-Age=31536000; SameSite=Lax${secure}`;
    announce();
  });
  system.addEventListener("change", announce);

  // A menu closes when one clicks beside it or presses Escape.
  const closeMenus = (except) =>
    document.querySelectorAll("[data-menu][open]").forEach((menu) => {
      if (menu !== except) menu.open = false;
    });
  document.addEventListener("click", (event) => closeMenus(event.target.closest("[data-menu]")));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeMenus(null);
  });
})();
