// Checks the experiment file while it is written and lists every problem with its key. A worker
// imports the objective meanwhile: only what it has found is said to run.
(function () {
  "use strict";
  const form = document.querySelector("[data-check]");
  const field = form.querySelector("textarea");
  const part = (name) => document.querySelector(`[data-check-${name}]`);
  let timer = 0;
  let latest = 0;
  let asked = new AbortController();

  function item(problem) {
    const line = document.createElement("li");
    const where = document.createElement("code");
    const message = document.createElement("span");
    if (problem.unfinished) line.className = "unfinished";
    where.textContent = problem.where;
    message.textContent = problem.message;
    line.append(where, message);
    return line;
  }

  function sentence(text) {
    const line = document.createElement("li");
    line.textContent = text;
    return line;
  }

  function show(answer) {
    part("rest").hidden = true;
    part("title").textContent = answer.title;
    part("title").closest("section").dataset.verdict = answer.verdict;
    part("problems").replaceChildren(...(answer.problems || []).map(item));
    part("design").replaceChildren(...(answer.design || []).map(sentence));
    if (part("difference")) part("difference").replaceChildren(...(answer.difference || []).map(sentence));
    showMarkup("checks", answer.checks);
    showMarkup("objective", answer.objective);
    part("price").textContent = answer.price;
    form.toggleAttribute("data-sound", answer.verdict === "passed");
    if (answer.verdict === "pending") timer = setTimeout(check, 700);
    form.dispatchEvent(new CustomEvent("file-checked", { detail: answer, bubbles: true }));
  }

  // The server's own markup, so that the page looks the same with and without this script.
  function showMarkup(name, markup) {
    const panel = part(name);
    if (!panel || markup === undefined || panel.dataset.shown === markup) return;
    const open = [...panel.querySelectorAll("details[open]")].map((each) => each.dataset.key);
    panel.innerHTML = markup;
    panel.dataset.shown = markup;
    for (const each of panel.querySelectorAll("details")) each.open = open.includes(each.dataset.key);
  }

  async function check() {
    const ticket = ++latest;
    asked.abort(); // nobody waits for the answer on an older text
    asked = new AbortController();
    const { signal } = asked;
    try {
      const answer = await fetch(form.dataset.check, { method: "POST", body: new FormData(form), signal });
      if (!answer.ok || answer.redirected) throw new Error(answer.status);
      const told = await answer.json();
      if (ticket === latest) show(told);
    } catch {
      if (ticket !== latest) return;
      part("rest").hidden = false;
      part("rest").textContent = "The file cannot be checked now; it is checked when you start it.";
    }
  }

  // Writing is waited for; what another script has put there (it has waited) is checked at once.
  field.addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(check, event.isTrusted ? 120 : 0);
  });
  if (!part("problems").children.length) check();
})();
