// A chosen image of a run goes into the note that is written, where the cursor stands.
document.addEventListener("change", (event) => {
  "use strict";
  const choice = event.target.closest("[data-insert-image]");
  if (!choice || !choice.value) return;
  const text = choice.form.querySelector("textarea");
  const title = choice.value.replace(/^.*\//, "").replace(/[\[\]\\]/g, "");
  const name = choice.value.replace(/[\\<>]/g, "\\$&");
  text.setRangeText(`![${title}](<file:${name}>)`, text.selectionStart, text.selectionEnd, "end");
  choice.value = "";
  text.focus();
});
