// Links that MLflow's clients print, /#/experiments/1/runs/0f.., lead to the pages of Verdict.
(function () {
  "use strict";
  const found = /^#\/experiments\/(\d+)(?:\/runs\/([0-9a-f]{32}))?$/.exec(location.hash);
  if (!found) return;
  const [, experiment, run] = found;
  const login = document.querySelector("form input[name=next]");
  const root = document.querySelector("script[data-open]").dataset.open.slice(0, -2); // without the 0/
  const address = `${root}${experiment}/` + (run ? `runs/${run}/` : "");
  if (login) login.value = address;
  else location.replace(address);
})();
