// The meaning of a term, beside the term: on hover, tap, Enter or Space. Escape, a tap elsewhere or
// leaving it with the pointer closes it. Without this script it opens in the middle of the window.
(function () {
  "use strict";
  const AFTER = 300; // ms
  const EDGE = 8; // pixels
  let timer = 0;

  const show = (note) => note.matches(":popover-open") || note.showPopover();
  const noteOf = (term) => document.getElementById(term.getAttribute("popovertarget"));

  function place(note) {
    const term = document.querySelector(`[popovertarget="${CSS.escape(note.id)}"]`);
    if (!term) return;
    const at = term.getBoundingClientRect();
    const right = innerWidth - note.offsetWidth - EDGE;
    const below = at.bottom + 4 + note.offsetHeight < innerHeight;
    note.style.margin = "0";
    note.style.inset = "auto";
    note.style.left = `${Math.max(EDGE, Math.min(at.left, right))}px`;
    note.style.top = `${below ? at.bottom + 4 : Math.max(EDGE, at.top - note.offsetHeight - 4)}px`;
  }

  document.addEventListener(
    "toggle",
    (event) => {
      if (event.newState === "open" && event.target.matches(".term-note")) place(event.target);
    },
    true,
  );

  document.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "mouse") return;
    const term = event.target.closest(".term");
    const open = document.querySelector(".term-note:popover-open");
    if (!term && (!open || open.contains(event.target))) return clearTimeout(timer);
    clearTimeout(timer);
    timer = setTimeout(() => (term ? show(noteOf(term)) : open.hidePopover()), AFTER);
  });

  const follow = () => document.querySelectorAll(".term-note:popover-open").forEach(place);
  document.addEventListener("scroll", follow, { passive: true, capture: true });
  addEventListener("resize", follow);
})();
