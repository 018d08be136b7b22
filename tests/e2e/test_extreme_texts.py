"""Long names, scripts from right to left and without spaces, none and one of everything; paper."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from experiments.models import Experiment, Project
from tests import cast
from tests.e2e.test_every_page import look_at
from tests.e2e.test_pages import SIZES, draw_all, sign_in

pytestmark = pytest.mark.django_db(transaction=True)

ARABIC = "هل يرفع تنعيم التسميات دقة التحقق؟"
HEBREW = "החלקת תוויות"
CHINESE = "标签平滑是否能提高验证准确率"
LONG_NAME = "n" * 200
LONG_WORD = "学习率" * 66  # without a space to break at


def _fill() -> list[str]:
    """Addresses of a project whose every text is extreme; it holds one of each thing."""
    cast.project("none", name="Nothing yet")
    cast.project(name=f"{HEBREW} {CHINESE * 12}"[:200])
    one = cast.search(f"{HEBREW} {'א' * 187}", goal=f"{ARABIC} {CHINESE}", trials_per_arm=1)
    cast.finish_search(one, count=1)
    texts = {"notes": f"{ARABIC}\n\n{LONG_WORD}", "tags": [HEBREW, LONG_WORD[:60]]}
    Experiment.objects.filter(pk=one.pk).update(notes=texts["notes"])
    for tag in texts["tags"]:
        one.tags.create(name=tag)
    cast.search(LONG_NAME, goal=LONG_WORD)
    cast.decided("wider", "adopt", f"{ARABIC} {LONG_WORD}")
    return [
        "/",
        *(cast.address(one, rest) for rest in ("", "edit/", "seeds/", "trials/A0/")),
        *(f"/projects/digits/{rest}" for rest in ("", "runs/", "decisions/", "decisions/1/")),
        cast.address(Experiment.objects.get(name=LONG_NAME)),
        *(f"/projects/none/{rest}" for rest in ("", "runs/", "decisions/", "champions/")),
    ]


@pytest.mark.parametrize("size", ["desk", "phone"])
def test_extreme_texts_fit_are_whole_and_can_be_used(page: Page, size: str) -> None:
    addresses = _fill()
    page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
    sign_in(page)
    wrong: list[str] = []
    for address in addresses:
        wrong += look_at(page, address, SIZES[size]["width"], audit=size == "phone")
    assert not wrong, "\n".join(wrong)


def test_a_text_runs_in_its_own_direction_and_turns_no_other(page: Page) -> None:
    cast.project()
    experiment = cast.search("rtl", goal=ARABIC)
    sign_in(page)
    page.goto(cast.address(experiment))
    goal = page.get_by_text(ARABIC).first
    right = goal.evaluate("""(each) => {
      const words = document.createRange();
      words.selectNodeContents(each);
      return each.getBoundingClientRect().right - words.getBoundingClientRect().right;
    }""")
    assert abs(right) < 2, "a goal from right to left begins at the right"
    Project.objects.update(name=HEBREW)
    page.goto("/projects/digits/")
    crumbs = page.locator(".crumbs").inner_text().split("\n")
    assert crumbs[0].startswith("Projects")


# What paper shows: bars, grounds that are not light, links that are not dark.
ON_PAPER = """() => {
  const all = [...document.querySelectorAll("body, body *")];
  const shown = all.filter((each) => each.getClientRects().length);
  const light = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\\d.]+/g).map(Number);
    const part = (each) => (each / 255) ** 2.2;
    const lightness = 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
    return alpha * lightness + 1 - alpha;
  };
  const named = (each, why) => `${why}: ${each.outerHTML.slice(0, 100)}`;
  const ground = (each) =>
    light(getComputedStyle(each).backgroundColor) < 0.6 && each.innerText?.trim();
  const link = (each) => each.matches("a[href]") && light(getComputedStyle(each).color) > 0.18;
  const bar = (each) => each.matches(".bar, .modebar, .tabs, form");
  return [
    ...shown.filter(bar).map((each) => named(each, "a bar")),
    ...shown.filter(ground).map((each) => named(each, "a dark ground")),
    ...shown.filter(link).map((each) => named(each, "a pale link")),
  ];
}"""


def test_pages_print_without_bars_dark_grounds_or_pale_links(page: Page) -> None:
    cast.project()
    done = cast.finished_search(trials_per_arm=4)
    cast.some_findings(done)
    cast.decided("wider", "adopt", "Twice the width pays.")
    page.emulate_media(color_scheme="dark")
    sign_in(page)
    wrong: list[str] = []
    addresses = [
        "/",
        "/projects/digits/",
        "/projects/digits/decisions/1/",
        "/projects/digits/runs/",
    ]
    for address in (*addresses, cast.address(done), cast.address(done, "trials/A0/")):
        page.goto(address)
        draw_all(page)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print", color_scheme="dark")
        expect(page.locator(".bar")).to_be_hidden()
        wrong += [f"{address}: {problem}" for problem in page.evaluate(ON_PAPER)]
        page.emulate_media(media="screen", color_scheme="dark")
    assert not wrong, "\n".join(wrong)
