// Opens the drawer that holds what the address points to.
(function () {
  "use strict";
  function open() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const drawer = target && target.closest("details[data-drawer]");
    if (!drawer || drawer.open) return;
    drawer.open = true;
    target.scrollIntoView();
  }
  window.addEventListener("hashchange", open);
  open();
})();
