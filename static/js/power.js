// Shows what a schedule can show while it is chosen, before anything is queued.
(function () {
  "use strict";
  const form = document.querySelector("[data-power]");
  const shown = document.querySelector("[data-power-shown]");
  if (!form || !shown) return;
  let timer = 0;
  let latest = 0;

  function address() {
    const told = new FormData(form);
    const first = told.get("candidate");
    const further = told.getAll("further").filter((each) => each !== first);
    const query = new URLSearchParams({
      looks: told.get("looks"),
      margin: told.get("margin"),
      candidates: 1 + further.length,
    });
    return `${form.dataset.power}?${query}`;
  }

  async function ask() {
    const ticket = ++latest;
    shown.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address());
      if (!answer.ok || answer.redirected) throw new Error(answer.status);
      const text = await answer.text();
      if (ticket === latest) shown.innerHTML = text;
    } catch {
      if (ticket === latest) shown.textContent = "What this schedule can show cannot be told now.";
    }
    if (ticket === latest) shown.removeAttribute("aria-busy");
  }

  form.addEventListener("input", (event) => {
    if (!["looks", "margin", "candidate", "further"].includes(event.target.name)) return;
    clearTimeout(timer);
    timer = setTimeout(ask, 350);
  });
})();
