from __future__ import annotations

from dataclasses import fields
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from experiments.analysis.seeds.comparison import paired_t, welch_t
from experiments.analysis.seeds.looks import DEFAULT, Schedule, plan
from experiments.analysis.seeds.verdict import Guard, Verdict, judge

TEN = plan([10])


def arms(gain: float, n: int = 10, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shared = 0.97 + 0.004 * rng.normal(size=n)
    noise = 0.001 * rng.normal(size=(2, n))
    return shared + noise[0] + gain, shared + noise[1]


def verdict(candidate: Any, baseline: Any, **asked: Any) -> Verdict:
    question: dict[str, Any] = {"direction": "maximize", "schedule": TEN} | asked
    return judge(candidate, baseline, **question)


# The three outcomes


def test_a_gain_well_above_the_margin_is_adopted() -> None:
    said = verdict(*arms(0.005), margin=0.001)
    assert said.outcome == "adopt"
    assert said.lower is not None
    assert said.lower > 0.001


def test_a_gain_below_the_margin_is_rejected_although_it_is_a_gain() -> None:
    said = verdict(*arms(0.002), margin=0.01)
    assert said.outcome == "reject"
    assert said.gain is not None
    assert 0 < said.gain < 0.01


def test_a_gain_within_the_noise_is_undecided_and_the_schedule_goes_on() -> None:
    candidate, baseline = arms(0.0)
    said = verdict(candidate, baseline, schedule=DEFAULT)
    assert said.outcome == "undecided"
    assert said.may_continue
    assert "the next look is at 20 pairs" in said.sentence


def test_undecided_at_the_last_look_leaves_the_baseline_in_place() -> None:
    said = verdict(*arms(0.0))
    assert said.outcome == "undecided"
    assert said.is_last_look
    assert not said.may_continue
    assert said.sentence.startswith("Not shown, the baseline stays: ")


# The interval that decides


def test_the_bounds_that_decide_are_the_skew_corrected_ones_at_the_looks_level() -> None:
    candidate, baseline = arms(0.002)
    said = verdict(candidate, baseline, margin=0.001, schedule=DEFAULT)
    found = paired_t(candidate - baseline, margin=0.001, level=0.0221)
    assert (said.deciding_lower, said.deciding_upper) == (found.lower[0], found.upper[0])
    assert (said.p_adopt, said.p_reject) == (found.p_adopt[0], found.p_reject[0])


def test_one_look_shows_the_interval_that_decides_and_says_so() -> None:
    said = verdict(*arms(0.005))
    assert said.interval_name == "90 % CI"
    assert said.lower == pytest.approx(said.deciding_lower)
    assert said.upper == pytest.approx(said.deciding_upper)
    assert said.gain == said.mean_gain
    assert "(90 % CI 0.00" in said.sentence


def test_several_looks_show_the_estimate_of_the_sequential_design_and_name_the_naive_mean() -> (
    None
):
    candidate, baseline = arms(0.0006, n=20)
    said = verdict(candidate, baseline, schedule=DEFAULT, look_index=1)
    assert said.interval_name == "95 % CI"
    assert said.gain is not None and said.mean_gain is not None
    assert 0 < said.gain < said.mean_gain
    assert any(
        f"Naive mean of the pairs, not adjusted: {said.mean_gain:+.4g}"[:45] in note
        for note in said.notes
    )
    assert "level 0.0221 at each of 3 looks" in said.sentence


def test_an_interval_that_includes_zero_says_so() -> None:
    said = verdict(*arms(0.0), schedule=DEFAULT)
    assert ", includes 0)" in said.sentence
    assert "includes 0" not in verdict(*arms(0.005)).sentence


def test_of_a_metric_that_is_minimised_a_gain_is_called_lower_and_a_loss_higher() -> None:
    better, worse = (
        verdict(*arms(gain), direction="minimize", metric_name="RMSE").sentence
        for gain in (-0.005, 0.005)
    )
    assert better.startswith("Adopt: RMSE 0.00") and " lower (90 % CI 0.00" in better
    assert worse.startswith("Reject: RMSE 0.00") and " higher (90 % CI 0.00" in worse


def test_several_candidates_share_the_level_and_the_interval_shown_is_the_one_that_decides() -> (
    None
):
    alone, among_three = verdict(*arms(0.005)), verdict(*arms(0.005), candidates=3)
    assert among_three.level == pytest.approx(0.05 / 3)
    assert alone.lower is not None
    assert among_three.lower is not None
    assert among_three.lower == pytest.approx(among_three.deciding_lower)
    assert among_three.lower < alone.lower
    assert "shared by 3 candidates" in among_three.sentence


def test_unpaired_runs_are_compared_by_welch_as_scipy_computes_it() -> None:
    a = [0.71, 0.72, 0.735, 0.728, 0.741]
    b = [0.70, 0.715, 0.722, 0.719, 0.725]
    said = verdict(a, b, paired=False, schedule=Schedule((5,), 0.025, "one look"))
    found = welch_t(a, b, margin=0.0, level=0.025)
    assert (said.lower, said.upper, said.p_adopt) == (
        found.lower[0], found.upper[0], found.p_adopt[0],
    )  # fmt: skip
    assert said.won_share == pytest.approx(19 / 25)
    assert said.pairs_won is None
    assert "share no seeds" in said.notes[-1]


def test_unpaired_arms_may_differ_in_size() -> None:
    said = verdict([1.0, 1.1, 1.2, 1.3], [0.0, 0.1, 0.2], paired=False, schedule=plan([3]))
    assert said.outcome == "adopt"
    assert "4 candidate runs and 3 baseline runs" in said.sentence


# What is said


def test_the_sentence_names_the_gain_its_bound_the_margin_and_the_pairs_won() -> None:
    differences = np.array([0.004, 0.005, 0.006, 0.005, -0.001, 0.004, 0.005, 0.006, 0.004, 0.005])
    said = verdict(differences, np.zeros(10), margin=0.001, metric_name="validation_accuracy")
    assert said.sentence == (
        "Adopt: validation_accuracy 0.0043 higher (90 % CI 0.00198 to 0.0053) over 10 pairs of "
        "fresh seeds and splits, winning 9 of 10 pairs; one-sided p = 0.014 for a gain above the "
        "margin of 0.001, level 0.05."
    )


def test_without_a_split_seed_every_sentence_begins_with_the_split() -> None:
    for gain in (0.005, 0.0, -0.005):
        said = verdict(*arms(gain), on_this_split=True)
        assert said.sentence.startswith("On this split, ")
        assert "and splits" not in said.sentence
    assert verdict([1.0], [2.0], on_this_split=True).sentence.startswith(
        "On this split, no verdict"
    )


def test_the_gain_is_also_said_in_validation_examples() -> None:
    said = verdict(*arms(0.005), resolution=1 / 360)
    assert said.gain is not None
    assert said.gain_in_resolutions == pytest.approx(said.gain * 360)
    assert any("validation examples" in note for note in said.notes)


def test_ties_count_half_in_the_share_of_pairs_won() -> None:
    said = verdict([1, 1, 1, 0], [0, 0, 1, 1], schedule=plan([4]))
    assert (said.pairs_won, said.pairs_tied, said.won_share) == (2, 1, 0.625)
    assert "winning 2 of 4 pairs and tying 1" in said.sentence


def test_a_long_tail_of_bad_seeds_is_pointed_out_as_a_danger_to_adopts() -> None:
    gains = 1 - np.random.default_rng(3).exponential(size=30)
    said = verdict(gains, np.zeros(30), schedule=plan([30]))
    assert said.skew is not None
    assert said.skew.flagged
    assert any("skewed" in note and "an adopt can still err" in note for note in said.notes)


def test_few_pairs_are_said_to_be_too_few_to_see_skew() -> None:
    said = verdict(*arms(0.005, n=5), schedule=plan([5]))
    assert said.skew is not None
    assert said.skew.flagged is None
    assert any("too few" in note for note in said.notes)


def test_a_verdict_is_made_of_plain_values_that_a_record_can_freeze() -> None:
    said = verdict(*arms(0.005), guards=[Guard("latency", (1.0,), 2.0)], resolution=0.01)
    for field in fields(said):
        value = getattr(said, field.name)
        assert not isinstance(value, np.generic | np.ndarray), field.name


# Looks


def test_an_incomplete_look_shows_nothing_but_how_many_pairs_are_in() -> None:
    said = verdict(*arms(0.005, n=9))
    assert said.outcome == "none"
    assert said.gain is said.lower is said.upper is said.p_adopt is None
    assert "9 of the 10 pairs" in said.reason


def test_pairs_beyond_the_look_do_not_change_what_it_says() -> None:
    candidate, baseline = arms(0.002, n=20)
    at_ten = verdict(candidate[:10], baseline[:10], schedule=DEFAULT)
    assert verdict(candidate, baseline, schedule=DEFAULT) == at_ten


def test_seeds_after_the_last_look_are_labelled_with_the_error_rate_they_have() -> None:
    said = verdict(*arms(0.0, n=25), schedule=plan([10, 20]), extra_looks=[25])
    assert said.pairs == 25
    assert said.peeking_error is not None
    assert 0.05 < said.peeking_error < 0.08
    assert said.sentence.startswith("After peeking (equal arms are adopted in ")


def test_after_peeking_each_of_several_candidates_has_its_own_error_rate() -> None:
    asked = {"schedule": plan([10, 20]), "extra_looks": [25]}
    alone = verdict(*arms(0.0, n=25), **asked)
    shared = verdict(*arms(0.0, n=25), **asked, candidates=4)
    assert alone.peeking_error is not None and shared.peeking_error is not None
    assert alone.peeking_error / 4 < shared.peeking_error < alone.peeking_error / 3
    rate = f"{100 * shared.peeking_error:.4g} %"
    together = f"{400 * shared.peeking_error:.4g} %"
    assert f"a candidate that is no better is adopted in {rate} of cases" in shared.sentence
    assert f"one of 4 such in up to {together}, not 5 %" in shared.sentence


# Failures, guards


def test_a_pair_counts_only_when_both_arms_are_finite() -> None:
    candidate, baseline = arms(0.005)
    candidate[0], baseline[1] = nan, inf
    said = verdict(candidate, baseline)
    assert said.outcome == "adopt"
    assert (said.finite_pairs, said.candidate_failures, said.baseline_failures) == (8, 1, 1)
    assert any("8 pairs that are finite" in note for note in said.notes)


def test_a_candidate_that_fails_more_often_than_the_baseline_is_not_adopted() -> None:
    candidate, baseline = arms(0.005)
    candidate[4] = nan
    said = verdict(candidate, baseline)
    assert (said.outcome, said.tested) == ("undecided", "adopt")
    assert "1 of 10 candidate runs" in said.blocked_by[0]
    assert "adopting is blocked" in said.sentence


def test_a_candidate_that_fails_more_often_may_still_be_rejected() -> None:
    candidate, baseline = arms(-0.005)
    candidate[4] = nan
    assert verdict(candidate, baseline).outcome == "reject"


def test_a_score_of_astronomic_size_is_a_failure_not_a_crash() -> None:
    candidate, baseline = arms(0.005)
    candidate[0] = 1e300
    assert verdict(candidate, baseline).candidate_failures == 1


def test_a_guard_that_is_not_shown_to_hold_blocks_adopting_as_a_broken_one_does() -> None:
    broken = Guard("latency_ms", (11.0, 12.0, 13.0), 8.0)
    open_ = Guard("recall_rare", (0.9, 0.8, 0.85), 0.84, "at least")
    said = verdict(*arms(0.005), guards=[broken, open_])
    assert (said.outcome, said.tested) == ("undecided", "adopt")
    assert [guard.status for guard in said.guards] == ["broken", "not shown"]
    assert said.blocked_by[0].startswith("latency_ms at most 8 is broken (mean 12, 97.5 % bound")
    assert said.blocked_by[1].startswith("recall_rare at least 0.84 is not shown (mean 0.85")


def test_passed_guards_block_nothing_and_share_the_level_of_the_look() -> None:
    guards = [Guard("memory", (5.0, 5.1, 5.2), 6.0), Guard("latency", (1.0, 1.0, 1.0), 2.0)]
    said = verdict(*arms(0.005), guards=guards, schedule=DEFAULT)
    assert said.outcome == "adopt"
    assert [guard.level for guard in said.guards] == [0.0221 / 2] * 2


# Bad input: a reason, never an exception


@pytest.mark.parametrize(
    ("candidate", "baseline", "asked", "reason"),
    [
        ([], [], {}, "at least 3 pairs; there are 0"),
        ([1.0, 2.0], [0.0, 1.0], {"schedule": plan([3])}, "there are 2"),
        ([1.0] * 10, [0.0] * 9, {}, "10 replicates and the baseline 9"),
        (
            [1.0, 2.0, nan, nan],
            [0.0, 0.5, 1.0, inf],
            {"schedule": plan([4])},
            "Only 2 pairs are finite in both arms",
        ),
        ([nan] * 10, [nan] * 10, {}, "10 of 10 candidate runs"),
        ([0.3] * 10, [0.2] * 10, {}, "All 10 differences are equal"),
        ([0.2] * 10, [0.2] * 10, {}, "All 10 differences are equal"),
        ([0.3] * 10, [0.2] * 10, {"paired": False}, "no spread"),
        ([nan, 1.0, 2.0], [1.0, 2.0, 3.0], {"paired": False, "schedule": plan([3])}, "one arm"),
        (
            np.arange(10.0),
            np.zeros(10),
            {"candidate_evaluations": [50] * 10, "baseline_evaluations": [60] * 10},
            "not evaluated equally often",
        ),
    ],
)
def test_material_that_cannot_be_judged_gives_no_verdict_and_the_reason(
    candidate: Any, baseline: Any, asked: dict[str, Any], reason: str
) -> None:
    said = verdict(candidate, baseline, **asked)
    assert said.outcome == "none"
    assert reason in said.reason
    assert said.gain is None
    assert said.sentence.startswith("No verdict: ")


def test_rounding_noise_is_not_taken_for_a_perfectly_sure_gain() -> None:
    baseline = 0.9 + np.random.default_rng(0).uniform(size=10) / 10
    assert verdict(baseline + 0.001, baseline).outcome == "none"


@pytest.mark.parametrize(
    "asked",
    [
        {"direction": "up"},
        {"margin": -0.1},
        {"margin": nan},
        {"look_index": 1},
        {"candidates": 0},
        {"resolution": 0.0},
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        verdict(*arms(0.0), **asked)


# Rules that hold for all data

scores = st.integers(-10_000, 10_000).map(lambda step: step / 1_000)
samples = st.lists(st.tuples(scores, scores), min_size=3, max_size=12)
FLIPPED = {"adopt": "reject", "reject": "adopt", "undecided": "undecided", "none": "none"}


def split(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float], Schedule]:
    return [c for c, _ in pairs], [b for _, b in pairs], plan([len(pairs)])


@given(samples, st.booleans())
def test_swapping_the_arms_flips_the_verdict(
    pairs: list[tuple[float, float]], paired: bool
) -> None:
    candidate, baseline, schedule = split(pairs)
    said = verdict(candidate, baseline, schedule=schedule, paired=paired)
    swapped = verdict(baseline, candidate, schedule=schedule, paired=paired)
    assert swapped.outcome == FLIPPED[said.outcome]


@given(samples, st.floats(0, 2))
def test_minimising_is_maximising_the_negative(
    pairs: list[tuple[float, float]], margin: float
) -> None:
    candidate, baseline, schedule = split(pairs)
    down = verdict(candidate, baseline, schedule=schedule, margin=margin, direction="minimize")
    up = verdict(np.negative(candidate), np.negative(baseline), schedule=schedule, margin=margin)
    assert (down.outcome, down.gain, down.lower, down.upper) == (
        up.outcome,
        up.gain,
        up.lower,
        up.upper,
    )


@given(samples, st.randoms(use_true_random=False), st.floats(0, 2))
def test_the_order_of_the_pairs_does_not_matter(
    pairs: list[tuple[float, float]], random: Any, margin: float
) -> None:
    candidate, baseline, schedule = split(pairs)
    shuffled = list(pairs)
    random.shuffle(shuffled)
    first = verdict(candidate, baseline, schedule=schedule, margin=margin)
    second = verdict(*split(shuffled)[:2], schedule=schedule, margin=margin)
    if first.lower is None:
        assert second.lower is None
        return
    assert second.lower == pytest.approx(first.lower, abs=1e-9)
    assume(abs(first.lower - margin) > 1e-9)
    assert (second.outcome == "adopt") == (first.outcome == "adopt")


@given(samples, st.floats(0, 2), st.integers(1, 4))
def test_adopt_means_that_the_lower_bound_is_above_the_margin_and_reject_the_upper_below(
    pairs: list[tuple[float, float]], margin: float, candidates: int
) -> None:
    candidate, baseline, schedule = split(pairs)
    said = verdict(candidate, baseline, schedule=schedule, margin=margin, candidates=candidates)
    if said.outcome == "none":
        return
    assert said.lower is not None
    assert said.upper is not None
    assert said.p_adopt is not None
    assert (said.outcome == "adopt") == (said.lower > margin)
    assert (said.outcome == "reject") == (said.upper < margin)
    assert said.lower == pytest.approx(said.deciding_lower)
    assert said.upper == pytest.approx(said.deciding_upper)
    assume(abs(said.p_adopt - said.level) > 1e-9)
    assert (said.outcome == "adopt") == (said.p_adopt < said.level)


anything = st.lists(st.floats(width=64), max_size=12)


@given(anything, anything, st.booleans(), st.sampled_from(["maximize", "minimize"]))
def test_no_data_whatever_raise(
    candidate: list[float], baseline: list[float], paired: bool, direction: str
) -> None:
    said = verdict(candidate, baseline, schedule=plan([3]), paired=paired, direction=direction)
    assert said.sentence
    assert (said.outcome == "none") == (said.lower is None)


def test_an_adopt_also_says_the_gain_that_allows_for_its_selection() -> None:
    adopted = verdict(*arms(0.001, n=20), schedule=DEFAULT, look_index=1)
    assert adopted.tested == "adopt"
    assert adopted.gain is not None and adopted.gain_given_adopt is not None
    assert adopted.gain_given_adopt <= adopted.gain
    assert any(note.startswith("Of small gains only the lucky") for note in adopted.notes)
    undecided = verdict(*arms(0.0), schedule=DEFAULT)
    assert undecided.gain_given_adopt is None
    assert not any("lucky" in note for note in undecided.notes)
