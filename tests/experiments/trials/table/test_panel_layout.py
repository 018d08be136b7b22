from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.trials.table.panel_layout import (
    MOST_PANELS,
    PanelSpec,
    panel_of,
    read_layout,
)

NAMES = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=20)


@given(st.lists(NAMES, min_size=1, max_size=6, unique=True), st.integers(1, 3), st.integers(1, 3))
def test_a_panel_is_read_as_it_was_written(keys: list[str], width: int, height: int) -> None:
    panel = PanelSpec("curves", tuple(keys), width, height)
    assert panel_of(str(panel)) == panel


@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_text_is_a_layout_or_said_to_be_none(texts: list[str]) -> None:
    layout = read_layout(texts)
    assert len(layout.panels) + len(layout.problems) <= len(texts)
    assert read_layout([str(panel) for panel in layout.panels]).panels == layout.panels


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pie:loss", "none of curves"),
        ("curves:", "names 0 columns or metrics; learning curves have 1 to 6"),
        ("curves:loss@2", "like 2x1"),
    ],
)
def test_a_panel_that_cannot_be_drawn_says_why(text: str, words: str) -> None:
    (problem,) = read_layout([text]).problems
    assert words in problem


def test_an_earlier_address_drew_curves_of_its_metrics() -> None:
    layout = read_layout([], ["loss", "accuracy", "loss"])
    assert [str(panel) for panel in layout.panels] == ["curves:loss", "curves:accuracy"]
    assert layout.chosen and not read_layout([]).chosen
    assert read_layout(["none"]).chosen and not read_layout(["none"]).panels


def test_a_page_has_so_many_panels_and_each_once() -> None:
    texts = [f"curves:metric{number}" for number in range(MOST_PANELS + 3)]
    layout = read_layout([*texts, texts[0]])
    assert len(layout.panels) == MOST_PANELS
    assert "24 panels; these are 27" in layout.problems[0]
