from __future__ import annotations

from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from experiments.trials.table.brushes import Brush, brushed, brushes_in, chips_of
from experiments.trials.table.filter_language import condition_text, field_of, parse
from experiments.trials.table.runs_state import read_state

RATE = "params.learning_rate"
ENDS = st.floats(-1e6, 1e6).map(lambda value: float(f"{value:.4g}"))


@given(ENDS, ENDS)
def test_a_brush_is_read_from_the_filter_that_it_made(low: float, high: float) -> None:
    text = condition_text(brushed(parse("arm = 'A' and score > 2"), RATE, Brush(low, high)))
    assert brushes_in(parse(text)) == {field_of(RATE): Brush(low, high)}


def test_another_brush_of_an_axis_takes_the_place_of_the_first() -> None:
    address = f"filter=arm = 'A'&between={RATE}&low=0.01&high=0.1&page=3"
    state = read_state(QueryDict(address))
    assert state.filter == (
        "arm = 'A' and params.learning_rate >= 0.01 and params.learning_rate <= 0.1"
    )
    assert state.page == 1
    again = QueryDict(f"{state.query()}&between={RATE}&low=0.05")
    assert read_state(again).filter == "arm = 'A' and params.learning_rate >= 0.05"
    off = QueryDict(f"{state.query()}&between={RATE}")
    assert read_state(off).filter == "arm = 'A'"


def test_words_of_an_axis_are_brushed_as_a_list() -> None:
    state = read_state(QueryDict("between=params.optimizer&in=adam&in=sgd"))
    assert state.filter == "params.optimizer IN ('adam', 'sgd')"


def test_what_no_brush_can_be_made_of_leaves_the_filter_as_it_is() -> None:
    for rest in ("between=nonsense.x&low=1", "between=params.&low=1", "between=params.x&low=nan"):
        assert read_state(QueryDict(f"filter=score > 2&{rest}")).filter == "score > 2"
    broken = read_state(QueryDict("filter=(((&between=params.x&low=1"))
    assert broken.filter == "(((", "the filter itself says what is wrong"


def test_both_ends_of_a_range_are_one_chip() -> None:
    filter_ = "arm = 'A' and params.x >= 1 and params.x <= 2 and params.y >= 3"
    chips = {text: condition_text(rest) for text, rest in chips_of(parse(filter_))}
    assert chips == {
        "arm = 'A'": "params.x >= 1 and params.x <= 2 and params.y >= 3",
        "params.x 1 to 2": "arm = 'A' and params.y >= 3",
        "params.y >= 3": "arm = 'A' and params.x >= 1 and params.x <= 2",
    }
