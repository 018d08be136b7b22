// A choice in a filter takes effect at once; the button stays for those without scripts.
(function () {
  "use strict";
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-autosubmit]")) event.target.form.requestSubmit();
  });
})();
