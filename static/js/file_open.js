// A file chosen or dropped becomes the text of the form.
(function () {
  "use strict";
  const LARGEST = 200000; // bytes
  const field = document.querySelector("form[data-check] textarea");
  const says = document.querySelector("[data-form-says]");

  async function open(file) {
    if (!file) return;
    if (file.size > LARGEST) {
      says.hidden = false;
      says.textContent = `${file.name} is larger than ${LARGEST / 1000} kB.`;
      return;
    }
    const text = (await file.text()).replaceAll("\r\n", "\n");
    document.dispatchEvent(new CustomEvent("verdict:text", { detail: text }));
  }

  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-open-file]")) return;
    open(event.target.files[0]);
    event.target.value = "";
  });
  field.addEventListener("dragover", (event) => {
    if (event.dataTransfer.types.includes("Files")) event.preventDefault();
  });
  field.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    open(event.dataTransfer.files[0]);
  });
})();
