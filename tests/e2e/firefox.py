"""Every page in Debian's Firefox: `make test-firefox`, which needs firefox-esr.

Firefox is spoken to over Marionette, its own protocol: JSON over a socket, no driver between.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_every_page import addresses  # noqa: F401
from tests.services_under_test.ports import free_port
from tests.services_under_test.web_server import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 60.0  # for one answer
PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "ui.systemUsesDarkTheme": 0,
}
# Errors and failed requests that Firefox notes of a page, by the page's own address.
ERRORS = """
const [origin] = arguments;
const found = Services.console.getMessageArray()
  .filter((each) => each instanceof Ci.nsIScriptError && each.sourceName.startsWith(origin))
  .filter((each) => !(each.flags & Ci.nsIScriptError.warningFlag))
  .map((each) => `${each.errorMessage} (${each.sourceName}:${each.lineNumber})`);
Services.console.reset();
return found;
"""
FORBIDDEN = """
document.body.append(Object.assign(document.createElement("script"), { textContent: "1" }));
"""
STATE = """
const charts = [...document.querySelectorAll("[data-figure]")].filter((each) => each.clientWidth);
const missing = charts.find((each) => !each.querySelector("svg.main-svg"));
if (missing) missing.scrollIntoView();
return {
  status: performance.getEntriesByType("navigation")[0].responseStatus,
  wide: document.documentElement.scrollWidth - innerWidth,
  charts: charts.length,
  drawn: !missing,
};
"""


class Firefox:
    """A session of Marionette in a headless Firefox."""

    def __init__(self, port: int) -> None:
        self._socket = _connect(port)
        self._stream = self._socket.makefile("rb")
        self._number = 0
        self._read()  # the greeting
        self.say("WebDriver:NewSession", capabilities={"alwaysMatch": {}})
        self.say("WebDriver:SetWindowRect", width=1440, height=1000)

    def say(self, command: str, **arguments: Any) -> Any:
        self._number += 1
        told = json.dumps([0, self._number, command, arguments]).encode()
        self._socket.sendall(f"{len(told)}:".encode() + told)
        _, _, error, answer = self._read()
        assert not error, f"{command}: {error}"
        return answer

    def go(self, url: str) -> None:
        self.say("WebDriver:Navigate", url=url)

    def evaluate(self, script: str, *arguments: object, chrome: bool = False) -> Any:
        self.say("Marionette:SetContext", value="chrome" if chrome else "content")
        answer = self.say("WebDriver:ExecuteScript", script=script, args=list(arguments))
        self.say("Marionette:SetContext", value="content")
        return answer["value"]

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def _read(self) -> Any:
        length = b""
        while (digit := self._stream.read(1)) != b":":
            assert digit, "Firefox has gone"
            length += digit
        return json.loads(self._stream.read(int(length)))


def _connect(port: int) -> socket.socket:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), SECONDS)
        except OSError:
            assert time.monotonic() < deadline, "Firefox does not listen"
            time.sleep(0.2)


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Firefox]:
    executable = os.environ.get("FIREFOX") or shutil.which("firefox-esr")
    if executable is None:
        pytest.fail("no Firefox found; install firefox-esr or name one with FIREFOX")
    port = free_port()
    preferences = {**PREFERENCES, "marionette.port": port}
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
             for name, value in preferences.items())  # fmt: skip
    (tmp_path / "user.js").write_text("".join(lines))
    process = subprocess.Popen(
        [executable, "--headless", "--marionette", "--remote-allow-system-access",
         "--no-remote", "--profile", str(tmp_path)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(tmp_path), "MOZ_HEADLESS_WIDTH": "1440"},
    )  # fmt: skip
    try:
        with closing(Firefox(port)) as session:
            yield session
    finally:
        process.terminate()
        process.wait()


def test_every_page_draws_and_fits_in_firefox_without_an_error(
    firefox: Firefox,
    web_server: WebServer,
    addresses: list[str],  # noqa: F811
) -> None:
    firefox.go(f"{web_server.url}/login/")
    firefox.evaluate(FORBIDDEN)
    noticed = firefox.evaluate(ERRORS, web_server.url, chrome=True)
    assert len(noticed) == 1, "an error would be noticed"
    firefox.evaluate("""
      document.querySelector("[name=username]").value = "ada";
      document.querySelector("[name=password]").value = "correct horse";
      document.querySelector("main form").requestSubmit();
    """)
    deadline = time.monotonic() + SECONDS
    while "/login/" in firefox.say("WebDriver:GetCurrentURL")["value"]:
        assert time.monotonic() < deadline, "nobody is logged in"
        time.sleep(0.1)
    wrong: list[str] = []
    charts = 0
    for address in addresses:
        firefox.go(web_server.url + address)
        state = firefox.evaluate(STATE)
        deadline = time.monotonic() + SECONDS
        while not state["drawn"] and time.monotonic() < deadline:
            time.sleep(0.1)
            state = firefox.evaluate(STATE)
        charts += state["charts"]
        if state["status"] != 200 or not state["drawn"] or state["wide"] > 0:
            wrong.append(f"{address}: {state}")
        found = firefox.evaluate(ERRORS, web_server.url, chrome=True)
        wrong += [f"{address}: {problem}" for problem in found]
    print(f"{len(addresses)} pages, {charts} charts")
    assert not wrong, "\n".join(wrong)
    assert charts > 20
