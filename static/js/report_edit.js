// A report while it is written: the preview follows the text, what was typed is not left unsaved
// without a question, Ctrl+S saves. The tab keeps it until a report is shown, also over a login.
(function () {
  "use strict";
  const form = document.querySelector("[data-report-form]");
  if (!form) return;
  const text = form.querySelector("[name=text]");
  const title = form.querySelector("[name=title]");
  const preview = document.querySelector("[data-report-preview]");
  const version = form.querySelector("[name=version]");
  const says = form.querySelector("[data-report-says]");
  const KEY = `verdict-report ${location.pathname}`;
  const saved = () => text.value === text.defaultValue && title.value === title.defaultValue;
  const unsaved = () => "unsaved" in form.dataset || !saved();
  let latest = 0;
  let timer = 0;
  let leaving = false;

  async function show() {
    const ticket = ++latest;
    const body = new FormData(form);
    try {
      const answer = await fetch(form.dataset.preview, { method: "POST", body, headers: { Accept: "text/html" } });
      if (!answer.ok || answer.redirected) throw new Error(answer.status);
      const html = await answer.text();
      if (ticket === latest) swap(html);
    } catch {
      if (ticket === latest) says.textContent = "No preview: the server did not answer. Your text is still here.";
    }
  }

  // Charts that are drawn already stay where their address is still in its place.
  function swap(html) {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    const had = new Map([...preview.querySelectorAll("[data-came]")].map((part) => [part.dataset.came, part]));
    fresh.content.querySelectorAll("[data-embedded]").forEach((place) => {
      const part = had.get(place.dataset.embedded);
      if (part) place.replaceWith(part);
    });
    preview.replaceChildren(fresh.content);
    preview.dispatchEvent(new CustomEvent("verdict:content", { bubbles: true }));
  }

  function tell() {
    says.textContent = unsaved() ? "Not saved yet" : "";
  }

  function keep() {
    const fields = [title, text, version].map((field) => field?.value);
    sessionStorage.setItem(KEY, JSON.stringify(fields));
  }

  // Under the version that it was written upon: who has saved since is not overwritten.
  function bringBack() {
    const fields = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    if (!fields || "unsaved" in form.dataset) return;
    [title, text, version].forEach((field, place) => field && (field.value = fields[place]));
    if (saved()) return;
    tell();
    says.textContent = "Your unsaved text is back";
  }

  form.addEventListener("input", () => {
    tell();
    try {
      keep();
    } catch {
      // Private windows may have no room: the question on leaving is left.
    }
    clearTimeout(timer);
    timer = setTimeout(show, 350);
  });
  form.addEventListener("submit", (event) => {
    if (leaving) event.preventDefault();
    leaving = true;
  });
  window.addEventListener("pageshow", () => {
    leaving = false;
    tell();
    bringBack();
    if (!saved()) show(); // brought back, or typed before this script ran
  });
  window.addEventListener("beforeunload", (event) => {
    if (!leaving && unsaved()) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") {
      event.preventDefault();
      form.requestSubmit();
    }
  });
})();
