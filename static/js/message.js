// Messages close by their button; one that only confirms goes by itself, unless it is being read.
(function () {
  "use strict";
  const SHOWN = 10000; // ms
  document.addEventListener("click", (event) => {
    event.target.closest("[data-message-close]")?.closest("[data-message]").remove();
  });
  document.querySelectorAll("[data-message].success").forEach((message) => {
    const leave = () => (message.matches(":hover, :focus-within") ? setTimeout(leave, SHOWN) : message.remove());
    setTimeout(leave, SHOWN);
  });
})();
