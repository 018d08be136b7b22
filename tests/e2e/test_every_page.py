"""Every page, wide and dark, narrow and light: it draws without complaint, fits, can be used.

That it can be used is axe-core's word: contrast, names, landmarks, headings, what the keyboard
reaches. A page that is new to the address book has to be added here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import resolve
from playwright.sync_api import Page

from experiments.decisions.services import sharing
from experiments.design.document.experiment_file import as_document, parse
from experiments.models import Experiment, ObjectiveCheck
from tests import cast
from tests.e2e.test_pages import SIZES, draw_all, sign_in
from tests.experiments.site.expected_answers import PAGES

pytestmark = pytest.mark.django_db(transaction=True)

# What answers with no page of its own: fragments, files, machines' addresses.
NO_PAGE = ("live/", "under-way/", "charts/", "curves/", "power/", "jump/", ".csv", ".jsonl", ".md",
           "series.", "files/", "media/", "image/", "healthz", "readyz", "metrics", "runs/table/",
           "runs/ids/", "reports/embedded/", "/file/", "edit/<str:field>/")  # fmt: skip
# MLflow's links: they lead on to the page of an experiment or a run.
LEADING_ON = "open/"
# Their links are in mails; they look as the login and the change of a password do.
BY_LINK = {"password/<uidb64>/<token>/", "password/sent/", "invitations/<str:token>/"}
BEFORE_LOGIN = ("/login/", "/password/")

# Elements whose text is cut off and stands whole nowhere, once they are pointed at.
CUT = """() => [...document.querySelectorAll("body *")].filter((each) => {
  const style = getComputedStyle(each);
  if (style.textOverflow !== "ellipsis" && style.webkitLineClamp === "none") return false;
  const cut = each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 1;
  if (!each.clientWidth || !cut) return false;
  each.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
  return !each.closest("[title]");
}).map((each) => each.outerHTML.slice(0, 160))"""


def pages() -> set[str]:
    """Routes that a member opens in a browser, after the table of who gets what."""
    opened = {route for route, row in PAGES.items() if row.GET and row.expected("GET", 5) != 403}
    return {
        address
        for address in opened - BY_LINK
        if not any(part in address for part in NO_PAGE) and not address.startswith(LEADING_ON)
    }


@pytest.fixture
def addresses() -> list[str]:
    """Of every page, those with charts in every tab."""
    cast.project()
    cast.project("speech", name="Nothing in it yet")
    cast.decided("wider", "adopt", "Twice the width pays.")
    done = cast.finished_search(trials_per_arm=6)
    cast.some_findings(done)
    cast.some_media(done.studies.get(arm_index=0).trials.get(number=0))
    cast.repeated(done, looks=(3, 6), done=3)
    moving = cast.running_search(done=3, trials_per_arm=6)
    fresh = cast.finished_search("fresh", trials_per_arm=4)
    new = cast.search("n" * 200, goal="Does it still fit? " * 30)
    _, secret = sharing.create(access=cast.access("ada"), experiment=done.name)
    _, of_decision = sharing.create(access=cast.access("ada"), decision=1)
    report, frozen = cast.frozen_report(_report(done))
    _, of_report = sharing.create(access=cast.access("ada"), frozen_report=frozen)
    shared = [f"/shared/{secret}/", f"/shared/{secret}/?tab=axes", f"/shared/{of_decision}/"]
    shared.append(f"/shared/{of_report}/")
    tried = f"/projects/digits/experiments/new/try/{_dry_run(done).pk}/"
    return [
        *_of_experiments(done, moving, fresh, new),
        *_of_projects(),
        *_of_reports(report, frozen),
        *_of_the_account(),
        tried,
        *shared,
    ]


def _dry_run(experiment: Experiment) -> ObjectiveCheck:
    """One trial of a file that was tried before a search, complete."""
    text = cast.LABEL_SMOOTHING.format(name="another", goal="Is it?", trials=2)
    series = {"validation_accuracy": [[1.0, 2.0], [0.5, 0.9]]}
    found = {"log": "epoch 1", "reason": "", "names": list(series), "series": series}
    return ObjectiveCheck.objects.create(
        project=experiment.project,
        asked_by=experiment.created_by,
        objective=experiment.objective,
        state="done",
        document=json.dumps({"text": text, "file": as_document(parse(text))}),
        answer=json.dumps({**found, "seconds": 3.1, "parameters": {"learning_rate": 0.1}}),
    )


def _of_experiments(
    done: Experiment, moving: Experiment, fresh: Experiment, new: Experiment
) -> Iterator[str]:
    tabs = ("axes", "isolation", "importance", "parallel", "contour", "history")
    for rest in ("", *(f"?tab={tab}" for tab in tabs), "?metric=accuracy", "trials/A0/"):
        yield cast.address(done, rest)
    yield from (cast.address(done, rest) for rest in ("seeds/", "decide/", "add/"))
    yield from (cast.address(moving, rest) for rest in ("", "control/"))
    yield cast.address(new)
    rests = ("seeds/", "decide/", "follow-ups/", "edit/", "delete/")
    yield from (cast.address(fresh, rest) for rest in rests)


def _of_projects() -> Iterator[str]:
    rests = ("", "baseline/", "members/", "decisions/", "champions/", "webhooks/", "settings/",
             "sharing/", "tokens/", "batch-sizes/", "experiments/new/", "import/")  # fmt: skip
    for slug in ("digits", "speech"):
        yield from (f"/projects/{slug}/{rest}" for rest in rests)
    yield "/projects/digits/decisions/1/"
    yield "/projects/digits/experiments/new/?extends=fresh&follow=run_longer"
    yield "/projects/digits/compare/?a=label-smoothing&b=fresh"
    yield "/projects/digits/compare/?experiment=label-smoothing&experiment=fresh&all=1"
    yield "/projects/digits/compare/"
    yield from (f"/projects/{slug}/runs/" for slug in ("digits", "speech"))
    yield "/projects/digits/runs/?experiments=label-smoothing&facets=1&filter=arm = 'A'"
    yield from (f"/projects/{slug}/studies/" for slug in ("digits", "speech"))
    study = cast.free_study()
    yield from (
        f"/projects/digits/studies/{study.pk}/?tab={tab}" for tab in ("history", "reports")
    )
    yield "/projects/digits/runs/?group=arm&group=params.hidden_units"


def _report(experiment: Experiment) -> str:
    """Words, and an address of each kind."""
    pages = ("?tab=history", "#trials", "trials/A0/", "trials/A99/")
    addresses = [cast.address(experiment, rest) for rest in pages]
    lines = ("# Found", "Some `words`, a list:", "- one", *addresses, "decisions/1/", "runs/")
    return "\n\n".join(lines)


def _of_reports(report: int, frozen: int) -> Iterator[str]:
    yield from (f"/projects/{slug}/reports/" for slug in ("digits", "speech"))
    yield "/projects/digits/reports/new/"
    yield from (f"/projects/digits/reports/{report}/{rest}" for rest in ("", "edit/", "history/"))
    yield f"/projects/digits/reports/frozen/{frozen}/"


def _of_the_account() -> Iterator[str]:
    yield from ("/", "/workers/", "/account/", "/account/password/", "/account/messages/")
    yield "/account/tokens/"
    yield from ("/docs/glossary/", "/docs/experiment_file/")


ALL, HALF, OTHER_HALF, NONE = slice(None), slice(0, None, 2), slice(1, None, 2), slice(0)
IN_ALL_WAYS = [
    pytest.param(size, theme, ALL, NONE, marks=pytest.mark.exhaustive)
    for size, theme in itertools.product(SIZES, ("light", "dark"))
]


@pytest.mark.parametrize(
    ("size", "theme", "used", "fitted"),
    [("desk", "dark", HALF, NONE), ("phone", "light", OTHER_HALF, HALF), *IN_ALL_WAYS],
)
def test_every_page_draws_fits_and_can_be_used(
    page: Page, addresses: list[str], size: str, theme: str, used: slice, fitted: slice
) -> None:
    """All of it of the pages `used`; of those `fitted`, that they draw and fit."""
    page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    wrong: list[str] = []
    for address in BEFORE_LOGIN[used]:
        wrong += look_at(page, address, SIZES[size]["width"])
    sign_in(page)
    for address in addresses[used]:
        wrong += look_at(page, address, SIZES[size]["width"])
    for address in addresses[fitted]:
        wrong += look_at(page, address, SIZES[size]["width"], audit=False)
    assert not wrong, "\n".join(wrong)
    visited = {resolve(urlsplit(link).path).route for link in (*BEFORE_LOGIN, *addresses)}
    assert pages() <= visited, "a page that nobody looked at"


def test_pages_that_refuse_can_be_used_as_well(page: Page, page_problems: list[str]) -> None:
    cast.project()
    sign_in(page)
    wrong = []
    for address, status in (("/projects/none/", 404), ("/new-project/", 403)):
        wrong += look_at(page, address, SIZES["desk"]["width"], status=status)
    page_problems.clear()  # a browser reports every answer of 400 and above
    assert not wrong, "\n".join(wrong)


def test_the_jump_box_and_the_keys_can_be_used(page: Page) -> None:
    cast.project()
    cast.search()
    sign_in(page)
    page.keyboard.press("Control+k")
    page.get_by_role("option").first.wait_for()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("option").first.wait_for(state="hidden")
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys").wait_for()
    assert violations(page) == []


def test_the_keys_are_shown_even_before_the_frame_after_the_jump_box(page: Page) -> None:
    cast.project()
    cast.search()
    sign_in(page)
    page.keyboard.press("Control+k")
    page.get_by_role("option").first.wait_for()
    page.evaluate("""() => {
      document.querySelector("[data-jump]").close();
      const key = new KeyboardEvent("keydown", { key: "?", bubbles: true, cancelable: true });
      document.activeElement.dispatchEvent(key);
    }""")
    page.get_by_role("heading", name="Keys").wait_for()


def test_the_first_tab_leads_past_the_bar(page: Page) -> None:
    cast.project()
    sign_in(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#content")
    page.keyboard.press("Tab")
    inside = page.evaluate("document.querySelector('main').contains(document.activeElement)")
    assert inside, "the next stop is within the page"


def look_at(
    page: Page, address: str, width: int, *, status: int = 200, audit: bool = True
) -> list[str]:
    """What is wrong with the page at an address; without an `audit`, whether it can be used
    is not asked."""
    answer = page.goto(address)
    if answer is None or answer.status != status:
        return [f"{address} answers {answer.status if answer else 'nothing'}"]
    draw_all(page)
    wide = int(page.evaluate("document.documentElement.scrollWidth"))
    wrong = [f"{address} is {wide} pixels wide"] if wide > width else []
    wrong += [f"{address} cuts off without a title: {problem}" for problem in page.evaluate(CUT)]
    if page.locator("h1").count() != 1:
        wrong.append(f"{address} has {page.locator('h1').count()} main headings")
    return wrong + [f"{address}: {problem}" for problem in (violations(page) if audit else ())]


def violations(page: Page) -> list[str]:
    """What axe-core finds: the rule, and the first element that breaks it.

    Targets under 24 pixels with others near them are a rule of its that has to be asked for.
    """
    options = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{violation['id']} ({len(violation['nodes'])}): {violation['nodes'][0]['html'][:160]}"
        for violation in found
    ]
