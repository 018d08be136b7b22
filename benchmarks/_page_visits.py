"""One visit of a page in a fresh browser profile, timed from inside the page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

WINDOW = {"width": 1440, "height": 900}
# A plot is there once Plotly has drawn its frame and something in it.
WATCH = """
window.bench = { longest: 0, visible: 0, frames: 0 };
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) {
    window.bench.longest = Math.max(window.bench.longest, duration);
  }
}).observe({ type: "longtask", buffered: true });
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

    `bytes` as sent, without what lay in the cache; `longest_block_ms` of the main thread.
    """

    seconds: float
    bytes: int
    longest_block_ms: float


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
        wire.on("Network.loadingFinished", lambda each: sizes.append(each["encodedDataLength"]))
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
        return Visit(visible / 1000, int(sum(sizes)), longest)
    finally:
        context.close()
