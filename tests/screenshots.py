"""Pictures of the pages, with the cast of the tests on a database of their own.

python -m tests.screenshots docs/images          # those of the README
python -m tests.screenshots --every FOLDER       # every page: wide and narrow, light and dark
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._page_visits import browser, running, signed_in

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
DIGITS = "/projects/digits"
SEARCH = f"{DIGITS}/experiments/label-smoothing"
README = {
    "experiment": (f"{DIGITS}/experiments/weight-decay/", {"width": 1440, "height": 1180}),
    "charts": (f"{SEARCH}/?tab=history", {"width": 1440, "height": 1180}),
    "decide": (f"{SEARCH}/decide/", {"width": 1440, "height": 1180}),
}
SPEECH = "/projects/speech-recognition"  # nothing in it yet
EVERY = {
    "projects": "/",
    "project": f"{DIGITS}/",
    "project-empty": f"{SPEECH}/",
    "running": f"{DIGITS}/experiments/weight-decay/",
    "experiment": f"{SEARCH}/",
    **{
        tab: f"{SEARCH}/?tab={tab}"
        for tab in ("axes", "isolation", "importance", "parallel", "contour", "history")
    },
    "large-axes": f"{DIGITS}/experiments/ten-thousand/?tab=axes",
    "large-history": f"{DIGITS}/experiments/ten-thousand/?tab=history",
    "just-created": f"{DIGITS}/experiments/just-created/?tab=contour",
    "compare": f"{DIGITS}/compare/?experiment=label-smoothing&experiment=cosine-schedule",
    "compare-searches": f"{DIGITS}/compare/?a=label-smoothing&b=cosine-schedule",
    "compare-nothing": f"{DIGITS}/compare/",
    "runs": f"{DIGITS}/runs/",
    "studies": f"{DIGITS}/studies/",
    "runs-of-one": f"{DIGITS}/runs/?experiments=label-smoothing&facets=1",
    "runs-grouped": f"{DIGITS}/runs/?group=params.hidden_units&group=experiment",
    "trial": f"{SEARCH}/trials/A0/",
    **{
        f"report{page}": f"{DIGITS}/reports/{rest}"
        for page, rest in (
            ("s", ""),
            ("", "1/"),
            ("-edit", "1/edit/"),
            ("-history", "1/history/"),
            ("-frozen", "frozen/1/"),
        )
    },
    "seeds": f"{SEARCH}/seeds/",
    "seeds-declare": f"{DIGITS}/experiments/batch-size/seeds/",
    "seeds-between": f"{DIGITS}/experiments/cosine-schedule/seeds/",
    "decide": f"{SEARCH}/decide/",
    "decide-no-seeds": f"{DIGITS}/experiments/batch-size/decide/",
    "decisions": f"{DIGITS}/decisions/",
    "decision": f"{DIGITS}/decisions/1/",
    "new": f"{DIGITS}/experiments/new/",
    "extend": f"{DIGITS}/experiments/new/?extends=label-smoothing&follow=extend",
    **{page: f"{SEARCH}/{page}/" for page in ("follow-ups", "add", "edit", "delete")},
    "control": f"{DIGITS}/experiments/weight-decay/control/",
    **{
        page: f"{DIGITS}/{page}/"
        for page in (
            "champions",
            "members",
            "settings",
            "webhooks",
            "sharing",
            "tokens",
            "batch-sizes",
        )
    },
    **{f"{page}-empty": f"{SPEECH}/{page}/" for page in ("baseline", "champions", "decisions")},
    "workers": "/workers/",
    "glossary": "/docs/glossary/",
    "account": "/account/",
    **{page: f"/account/{page}/" for page in ("tokens", "messages", "password")},
    "jump": f"{SEARCH}/",
    "keys": f"{SEARCH}/",
}
PRESSED = {"jump": "Control+k", "keys": "?"}  # before the picture


@contextmanager
def cast_on_stage() -> Iterator[str]:
    """The address of a server whose database holds the whole cast."""
    folder = Path(tempfile.mkdtemp(prefix="verdict-pictures-"))
    os.environ |= {
        "VERDICT_DATA": str(folder),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"sqlite:///{folder}/pictures.sqlite3",
    }
    import django

    django.setup()
    from django.core.management import call_command

    from config.static_files import collect_if_changed
    from experiments.models import Experiment
    from tests import cast
    from workers.node import importance

    try:
        call_command("migrate", verbosity=0)
        collect_if_changed()
        cast.everything()
        for experiment in Experiment.objects.filter(complete_count__gt=0):
            importance.compute(experiment.pk)
        command = [sys.executable, "-m", "config.web_server", "--lifespan", "off"]
        with running(command, folder / "web.log") as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def picture(
    chromium: Any,
    session: Any,
    address: str,
    file: Path,
    size: Any,
    *,
    dark: bool = False,
    whole: bool = False,
    key: str = "",
) -> None:
    """One page as it looks when everything on it is drawn."""
    context = chromium.new_context(
        viewport=size, storage_state=session, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    answer = page.goto(address, wait_until="load")
    if answer is None or answer.status != 200:
        raise SystemExit(f"{address} answers {answer.status if answer else 'nothing'}")
    height = int(page.evaluate("document.documentElement.scrollHeight")) if whole else 0
    for place in range(0, height, 600):
        page.evaluate(f"window.scrollTo(0, {place})")
        page.wait_for_timeout(80)
    page.evaluate("window.scrollTo(0, 0)")
    if key:
        page.keyboard.press(key)
    page.wait_for_timeout(600)
    file.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=file, full_page=whole)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", action="store_true", help="every page, four pictures of each")
    parser.add_argument("--only", nargs="*", default=[], help="names of the pages")
    options = parser.parse_args()
    with cast_on_stage() as url, browser() as chromium:
        session = signed_in(chromium, url, "ada", "correct horse")
        if not options.every:
            for name, (path, size) in README.items():
                file = options.folder / f"{name}.png"
                picture(chromium, session, url + path, file, size)
            return
        for name, path in EVERY.items():
            if options.only and name not in options.only:
                continue
            for look, size, dark in (
                ("wide-light", WIDE, False),
                ("wide-dark", WIDE, True),
                ("narrow-light", NARROW, False),
                ("narrow-dark", NARROW, True),
            ):
                file = options.folder / f"{name}-{look}.png"
                key = PRESSED.get(name, "")
                picture(
                    chromium, session, url + path, file, size, dark=dark, whole=not key, key=key
                )


if __name__ == "__main__":
    main()
