from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.design.metrics import Metric
from experiments.trials.series.logged_points import (
    InvalidPoints,
    LoggedPoints,
    official_values,
    read_points,
)

WORDS = {math.inf: "Infinity", -math.inf: "-Infinity"}


def read(points: list[Any], **declared: Metric) -> LoggedPoints:
    return read_points(points, declared, now_ms=99)


def point(step: int = 1, **metrics: Any) -> dict[str, Any]:
    return {"step": step, "metrics": metrics}


def as_json(value: float) -> Any:
    return "NaN" if math.isnan(value) else WORDS.get(value, value)


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.dictionaries(st.sampled_from(["loss", "acc", "lr"]), st.floats(allow_nan=True)),
        )
    )
)
def test_every_double_arrives_to_the_last_bit_through_json(
    calls: list[tuple[int, dict[str, float]]],
) -> None:
    sent = json.loads(
        json.dumps(
            [
                {
                    "step": step,
                    "metrics": {name: as_json(value) for name, value in metrics.items()},
                }
                for step, metrics in calls
            ]
        )
    )
    found = read_points(sent, {}, now_ms=5).calls
    assert [(step, time_ms) for step, time_ms, _ in found] == [
        (step, 5) for step, metrics in calls if metrics
    ]
    for (_, _, back), (_, given_values) in zip(found, [c for c in calls if c[1]], strict=True):
        assert list(back) == list(given_values)
        for name, value in given_values.items():
            same = struct.pack("<d", back[name]) == struct.pack("<d", value)
            assert same or (math.isnan(value) and math.isnan(back[name]))


@pytest.mark.parametrize("word", ["NaN", "nan", "Infinity", "-Infinity", "inf", "-inf"])
def test_words_stand_for_what_is_not_finite(word: str) -> None:
    (_, _, values) = read([point(loss=word)]).calls[0]
    assert str(values["loss"]) == str(float(word))


@pytest.mark.parametrize("value", ["0.5", None, [1.0], {"a": 1}, 10**400])
def test_a_bad_value_costs_itself_and_is_named_once(value: Any) -> None:
    found = read([point(1, bad=value, good=1.0), point(2, bad=value), point(3, good=2)])
    assert [(step, dict(values)) for step, _, values in found.calls] == [
        (1, {"good": 1.0}),
        (3, {"good": 2.0}),
    ]
    assert [problem.where for problem in found.skipped] == ["points.0.metrics.bad"]
    assert found.points == 2


@pytest.mark.parametrize("name", ["", "x" * 201, "a\0b", "\ud800"])
def test_a_name_that_no_database_can_hold_is_skipped(name: str) -> None:
    found = read([{"step": 1, "metrics": {name: 1.0, "train/λ": 2.0}}])
    assert [dict(values) for _, _, values in found.calls] == [{"train/λ": 2.0}]
    assert len(found.skipped) == 1


def test_test_scores_are_set_apart_and_in_no_call() -> None:
    found = read(
        [point(1, test_accuracy=0.5, held_out=0.25, loss=1.0), point(2, test_accuracy=0.75)],
        held_out=Metric("held_out", split="test"),
    )
    assert [dict(values) for _, _, values in found.calls] == [{"loss": 1.0}]
    assert found.sealed == {"test_accuracy": 0.75, "held_out": 0.25}
    assert found.points == 1


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        (5, "points.1"),
        ({"metrics": {}}, "points.1.step"),
        ({"step": math.inf, "metrics": {}}, "points.1.step"),
        ({"step": True, "metrics": {}}, "points.1.step"),
        ({"step": 2**63, "metrics": {}}, "points.1.step"),
        ({"step": 1}, "points.1.metrics"),
        ({"step": 1, "metrics": {}, "time_ms": "now"}, "points.1.time_ms"),
        ({"step": 1, "metrics": {}, "loss": 1}, "points.1.loss"),
    ],
)
def test_a_bad_call_costs_the_whole_batch_and_is_named(bad: Any, where: str) -> None:
    with pytest.raises(InvalidPoints) as refused:
        read([point(), bad])
    assert [problem.where for problem in refused.value.problems] == [where]


def test_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.trials.series.logged_points.MOST_POINTS", 3)
    assert read([point(a=1, b=2, c=3)]).points == 3
    with pytest.raises(InvalidPoints, match="none was stored"):
        read([point(a=1, b=2), point(a=1, b=2)])


def test_the_latest_official_value_is_the_last_that_was_logged() -> None:
    calls = read([point(1, acc=0.5), point(2, acc=0.25), point(3, loss=1.0)]).calls
    assert official_values(calls, "acc") == (0.25, 2)
    assert official_values(calls, "f1") is None


def test_steps_between_whole_numbers_are_kept_as_told() -> None:
    points = [{"step": step, "metrics": {"loss": 1.0}} for step in (0, 0.5, 1.0, 1.5)]
    calls = read(points).calls
    assert [step for step, _, _ in calls] == [0, 0.5, 1, 1.5]
    assert [type(step) for step, _, _ in calls] == [int, float, int, float]
