// Text that a narrow place cuts off stands whole in a title, as soon as it is pointed at or focused.
(function () {
  "use strict";
  const cuts = (style) => style.textOverflow === "ellipsis" || style.webkitLineClamp !== "none";
  function tell({ target }) {
    for (let each = target; each instanceof Element && each !== document.body; each = each.parentElement) {
      if (each.title) return;
      const cut = each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 1;
      if (each.clientWidth && cut && cuts(getComputedStyle(each))) {
        each.title = each.innerText.trim();
        return;
      }
    }
  }
  document.addEventListener("pointerover", tell);
  document.addEventListener("focusin", tell);
})();
