from __future__ import annotations

import json
import math
from typing import Any

import pytest

from experiments.verdict.panels.evidence_view import evidence_page


def document(**more: Any) -> dict[str, Any]:
    def runs(level: float) -> list[dict[str, Any]]:
        return [
            {"pair": i, "train_seed": i, "split_seed": 10 + i, "score": level + 0.001 * i}
            for i in range(4)
        ]

    made: dict[str, Any] = {
        "metric": "validation_accuracy",
        "direction": "maximize",
        "margin": 0.001,
        "looks": [4, 8],
        "look": 1,
        "candidate": {"parameters": {"width": 64, "optimizer": "adam"}},
        "baseline": {"parameters": {"width": 32, "optimizer": "adam"}},
        "replicates": {"candidate": runs(0.97), "baseline": runs(0.96)},
        "verdict": {"outcome": "adopt", "gain": 0.01, "lower": 0.008, "upper": 0.012,
                    "margin": 0.001, "sentence": "x"},
        "selection": {"tuning_score": 0.99, "fresh_mean": 0.97, "deviations_above": 3.4},
        "costs": {"candidate": {"seconds": 11.3}, "baseline": {"seconds": 11.2}},
        "sources_of_variance": {"measured": [], "not_measured": ["training seed"], "text": ""},
        "bounds": {"optimizer": "adam"},
    }  # fmt: skip
    return made | more


def test_a_page_of_a_look_shows_what_decides() -> None:
    page = evidence_page(document())
    assert page.outcome == "adopt" and page.look_words == "look 1 of 2, 4 pairs"
    assert page.interval is not None and page.interval.figure()["data"][0]["x"] == [0.008, 0.012]
    assert page.pairs[1].gain == pytest.approx(0.01)
    assert "3.4 SD better than the mean of its fresh seeds" in page.luck
    assert page.bounds == "optimizer adam"
    json.dumps(page.seeds.figure(), allow_nan=False)


def test_a_lower_loss_than_its_seeds_is_better_not_above() -> None:
    lucky = document(
        direction="minimize",
        selection={"tuning_score": 49.87, "fresh_mean": 51.0, "deviations_above": 2.2},
    )
    assert "2.2 SD better" in evidence_page(lucky).luck
    assert "above" not in evidence_page(lucky).luck


def test_between_looks_nothing_is_derived_from_the_scores() -> None:
    page = evidence_page(document(), judged=False)
    assert page.outcome == "" and page.interval is None and page.luck == ""
    assert page.seeds is not None and len(page.seeds.figure()["data"]) == 2
    assert [row.value for row in page.sources] == ["not measured"]
    assert page.document["verdict"] is None and page.document["selection"] is None


def test_gains_are_turned_when_the_metric_is_minimised() -> None:
    page = evidence_page(document(direction="minimize"))
    assert page.pairs[0].gain == pytest.approx(-0.01)


def test_only_what_differs_is_listed_as_changed() -> None:
    assert [(row.name, row.before, row.after) for row in evidence_page(document()).changes] == [
        ("width", "32", "64")
    ]
    grown = document(candidate={"parameters": {"width": 32, "optimizer": "adam", "decay": 0.1}})
    (change,) = evidence_page(grown).changes
    assert (change.name, change.before, change.after) == ("decay", "absent", "0.1")


def test_a_replicate_without_a_finite_score_has_a_row_but_no_dot() -> None:
    made = document()
    made["replicates"]["candidate"][2]["score"] = "nan"
    page = evidence_page(made)
    assert math.isnan(page.pairs[2].candidate or 0)
    assert page.seeds is not None
    json.dumps(page.seeds.figure(), allow_nan=False)
    assert max(len(trace["x"]) for trace in page.seeds.figure()["data"]) == 4


def test_an_open_replicate_is_not_a_failed_one() -> None:
    made = document()
    made["replicates"]["candidate"][3]["score"] = None
    assert evidence_page(made, judged=False).pairs[3].candidate is None


@pytest.mark.parametrize("nothing", [{}, {"verdict": None}, {"replicates": {}, "costs": {}}])
def test_evidence_of_a_drop_without_seeds_has_a_page(nothing: dict[str, Any]) -> None:
    page = evidence_page(nothing)
    assert page.outcome == "" and page.seeds is None and page.interval is None


def test_guards_of_earlier_records_keep_their_word_and_later_ones_name_their_bound() -> None:
    earlier = {"name": "latency", "mean": 12.0, "limit": 10.0, "bound": "at most", "measured": 4,
               "replicates": 4, "broken": False, "text": "x", "baseline_mean": 9.0}  # fmt: skip
    later = earlier | {"status": "not shown", "shown": 13.5, "level": 0.025, "mean": 3.0,
                       "bound": "rise at most", "candidate_mean": 12.0}  # fmt: skip
    old, new = evidence_page(document(guards=[earlier, later])).guards
    assert (old.value, old.status, old.note) == ("9 → 12", "kept", "")
    assert (new.value, new.status, new.note) == ("9 → 12", "not shown", "97.5 % bound 13.5")


def test_what_makes_a_comparison_invalid_offers_its_replicates_for_repetition() -> None:
    invalid = [{"kind": "code", "text": "x", "repair": "y", "repeat": [3, 4]},
               {"kind": "hardware", "text": "x", "repair": "y", "repeat": [4, 5]}]  # fmt: skip
    verdict = {"outcome": "none", "reason": "x", "invalid": invalid}
    assert evidence_page(document(verdict=verdict)).to_repeat == 3
    assert evidence_page(document()).to_repeat == 0
