// Sends a file and counts its runs, or its studies' trials, while they come in: one line of JSON after each part.
(function () {
  "use strict";
  const form = document.querySelector("form[data-import]");
  const button = form.querySelector("button");
  const part = (name) => document.querySelector(`[data-import-${name}]`);
  const bar = part("state").querySelector("progress");
  button.disabled = false;

  function say(words, share) {
    part("state").hidden = false;
    part("words").textContent = words;
    if (share === null) bar.removeAttribute("value");
    else bar.value = share;
  }

  function list(holder, lines) {
    holder.replaceChildren(
      ...lines.map((line) => {
        const item = document.createElement("li");
        item.append(line);
        return item;
      }),
    );
    holder.hidden = !lines.length;
  }

  function refuse(message, problems) {
    part("state").hidden = true;
    list(part("problems"), [message, ...problems]);
  }

  function report(found) {
    say("Done.", 1);
    part("report").hidden = false;
    part("counts").textContent =
      `${found.added} added, ${found.updated} brought up to date, ${found.unchanged} unchanged.`;
    list(
      part("experiments"),
      found.experiments.map(({ name, url }) => {
        const link = document.createElement("a");
        link.href = url;
        link.textContent = name;
        return link;
      }),
    );
    list(part("left-out"), found.left_out.map((remark) => `Left out: ${remark}`));
  }

  function hear(line) {
    const news = JSON.parse(line);
    if (news.error) refuse(news.error, news.problems);
    else if (news.report) report(news.report);
    else say(`${news.done} of ${news.total}`, news.total ? news.done / news.total : null);
    return Boolean(news.error || news.report);
  }

  function finish(request, ended) {
    button.disabled = false;
    if (ended) return;
    let answer = {};
    try {
      answer = JSON.parse(request.responseText);
    } catch {
      // no answer of ours: the connection broke, or a proxy answered
    }
    const words = answer.error || answer.message;
    refuse(words || "The import broke off. What came in stays; import the file again to go on.",
      answer.problems || []);
  }

  function send(file) {
    const fields = new FormData(form);
    const query = new URLSearchParams({ name: file.name });
    for (const name of ["experiment", "metrics", "parameters"]) query.set(name, fields.get(name));
    const request = new XMLHttpRequest();
    let read = 0;
    let ended = false;
    request.open("PUT", `${form.dataset.import}?${query}`);
    request.setRequestHeader("X-CSRFToken", fields.get("csrfmiddlewaretoken"));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", ({ loaded, total }) =>
      say("Uploading", total ? loaded / total : null));
    request.upload.addEventListener("load", () => say("Reading the file", null));
    request.addEventListener("progress", () => {
      if (request.status !== 200) return;
      for (;;) {
        const end = request.responseText.indexOf("\n", read);
        if (end < 0) return;
        ended = hear(request.responseText.slice(read, end));
        read = end + 1;
      }
    });
    request.addEventListener("loadend", () => finish(request, ended));
    request.send(file);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [file] = form.querySelector("[type=file]").files;
    if (!file) return;
    part("report").hidden = true;
    if (file.size > form.dataset.megabytes * 2 ** 20) {
      refuse(`${file.name} is larger than ${form.dataset.megabytes} MB; import it by the command.`, []);
      return;
    }
    button.disabled = true;
    list(part("problems"), []);
    say("Uploading", 0);
    send(file);
  });
})();
