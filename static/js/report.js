// Charts and tables of a report are fetched when they come near; the Print button fetches the rest
// first. A frozen copy (data-embedded-all) fetches all of its own accord, one after the other.
(function () {
  "use strict";
  const PLACES = "[data-embedded]";

  async function fetched(place) {
    const answer = await fetch(place.dataset.embedded, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) throw new Error(answer.status);
    return answer.text();
  }

  function load(place) {
    place.loading ??= (async () => {
      near.unobserve(place);
      try {
        const holder = document.createElement("template");
        holder.innerHTML = await fetched(place);
        const part = holder.content.firstElementChild;
        part.dataset.came = place.dataset.embedded;
        place.replaceWith(part);
        part.dispatchEvent(new CustomEvent("verdict:content", { bubbles: true }));
      } catch {
        place.loading = undefined;
        place.querySelector("[data-failed]")?.remove();
        const says = document.createElement("p");
        says.className = "small";
        says.dataset.failed = "";
        says.textContent = "The server did not answer. Reload the page to try again.";
        place.append(says);
      }
    })();
    return place.loading;
  }

  async function loadAll() {
    for (const place of document.querySelectorAll(PLACES)) await load(place);
  }

  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => load(entry.target)),
    { rootMargin: "500px" },
  );
  const watch = (root) => root.querySelectorAll(PLACES).forEach((place) => near.observe(place));
  watch(document);
  document.addEventListener("verdict:content", (event) => watch(event.target));
  if (document.querySelector("[data-embedded-all]")) window.addEventListener("load", loadAll);

  const button = document.querySelector("[data-print]");
  if (button) {
    // A report is shown: what the editor kept was saved, or left after a question.
    Object.keys(sessionStorage).filter((key) => key.startsWith("verdict-report ")).forEach((key) => sessionStorage.removeItem(key));
    button.hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      await loadAll();
      button.disabled = false;
      window.print();
    });
  }
})();
