"""Servers to visit, and one visit in a fresh browser profile, timed from inside the page."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WINDOW = {"width": 1440, "height": 900}
# A plot is there once Plotly has drawn its frame and something in it.
WATCH = """
window.bench = { longest: 0, drawing: 0, visible: 0, frames: 0 };
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) {
    window.bench.longest = Math.max(window.bench.longest, duration);
  }
}).observe({ type: "longtask", buffered: true });
// Without the evaluation of scripts that are loaded: what drawing itself holds up.
new PerformanceObserver((list) => {
  for (const { scripts } of list.getEntries()) {
    for (const { invokerType, duration } of scripts) {
      if (invokerType === "classic-script") continue;
      window.bench.drawing = Math.max(window.bench.drawing, duration);
    }
  }
}).observe({ type: "long-animation-frame", buffered: true });
const drawn = ".scatterlayer .trace, .barlayer .trace, .heatmaplayer image, .contourlayer path, "
  + ".parcoords, .gl-canvas";
function look() {
  const plots = [...document.querySelectorAll("[data-figure], .js-plotly-plot")].filter((each) => {
    const box = each.getBoundingClientRect();
    return box.top < innerHeight && box.bottom > 0 && box.width;
  });
  if (plots.length && plots.every((each) => each.querySelector(drawn))) {
    window.bench.frames += 1;
    // At the second look one frame has been painted.
    if (window.bench.frames === 2) window.bench.visible = performance.now();
  }
  if (!window.bench.visible) requestAnimationFrame(look);
}
requestAnimationFrame(look);
"""


@dataclass(frozen=True, slots=True)
class Visit:
    """`seconds` until the charts within the window stood; infinite when they never did.

    `bytes` as sent, without what lay in the cache; `longest_block_ms` of the main thread, and
    `drawing_block_ms` without the evaluation of scripts.
    """

    seconds: float
    bytes: int
    longest_block_ms: float
    drawing_block_ms: float


@contextmanager
def browser() -> Iterator[Any]:
    """A Chromium without graphics hardware."""
    import os

    from playwright.sync_api import sync_playwright

    from tests.services_under_test.chromium import QUIET_FLAGS, find_chromium

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # as the tests' browser does
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(QUIET_FLAGS)
        )
        yield chromium
        chromium.close()


@contextmanager
def running(command: list[str], log: Path) -> Iterator[str]:
    """The address of a server that takes `--port`, once it answers."""
    from tests.services_under_test.ports import free_port

    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/login/", timeout=5).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(log.read_text()) from None
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def signed_in(chromium: Any, url: str, person: str, password: str) -> Any:
    """What a browser keeps of a person who has logged in."""
    context = chromium.new_context(base_url=url)
    page = context.new_page()
    page.goto("/login/")
    page.get_by_label("User name").fill(person)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")
    state = context.storage_state()
    context.close()
    return state


def visit(
    chromium: Any,
    address: str,
    *,
    warm_up: str,
    session: Any = None,
    limit: float = 60,
    picture: str = "",
) -> Visit:
    """Open an address after `warm_up` has filled the cache."""
    context = chromium.new_context(viewport=WINDOW, storage_state=session)
    try:
        first = context.new_page()
        first.goto(warm_up, wait_until="load")
        first.close()
        page = context.new_page()
        page.add_init_script(WATCH)
        wire = context.new_cdp_session(page)
        wire.send("Network.enable")
        sizes: list[int] = []
        wire.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        page.goto(address, wait_until="commit", timeout=1000 * limit)
        deadline = time.monotonic() + limit
        while not (visible := page.evaluate("window.bench.visible")):
            if time.monotonic() > deadline:
                visible = float("inf")
                break
            page.wait_for_timeout(30)
        page.wait_for_timeout(700)  # what follows must not block, either
        if picture:
            page.screenshot(path=picture)
        longest = float(page.evaluate("window.bench.longest"))
        drawing = float(page.evaluate("window.bench.drawing"))
        return Visit(visible / 1000, int(sum(sizes)), longest, drawing)
    finally:
        context.close()
