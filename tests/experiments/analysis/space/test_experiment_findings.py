from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.curves.trial_reading import LOSS_OVERFITTING
from experiments.analysis.diagnosis import Diagnosis, Severity, Status
from experiments.analysis.rules import RULES, CheckState, checklist
from experiments.analysis.space.axis import Axis
from experiments.analysis.space.experiment_findings import best_of_arms, diagnose_experiment
from experiments.analysis.space.search_trials import ExperimentView, TrialSummary

FIRED, PASSED = Status.FIRED, Status.PASSED
UNIT = np.linspace(0, 1, 40)


def view(best: float = 0.5, **other: object) -> ExperimentView:
    """Forty trials of two arms along one learning rate; scores are minimised."""
    scores = (UNIT - best) ** 2 + 0.001 * (np.arange(40) % 2)
    rates = 1e-4 * 1000**UNIT
    trials = [
        TrialSummary(
            number=number,
            score=float(scores[number]),
            feasible=True,
            arm=number % 2,
            rules={"overfitting": PASSED, "still_improving": PASSED, "saturated": FIRED},
            best_step_share=0.6,
            rate=float(rates[number]),
            fit=0.01,
        )
        for number in range(40)
    ]
    axis = Axis(
        "learning_rate",
        UNIT,
        scores,
        np.ones(40, bool),
        low=1e-4,
        high=1e-1,
        log=True,
        arm=np.arange(40) % 2,
    )
    known = ExperimentView(
        axes=[axis],
        trials=trials,
        direction=Direction.MINIMIZE,
        arms={0: "label_smoothing = 0", 1: "label_smoothing = 0.1"},
        rate_axis="learning_rate",
        max_train_steps=10_000,
    )
    return replace(known, **other)  # type: ignore[arg-type]


def found(about: ExperimentView) -> dict[tuple[str, str], Diagnosis]:
    diagnoses = diagnose_experiment(about)
    named = {(d.rule, d.subject): d for d in diagnoses}
    assert len(named) == len(diagnoses)
    assert {d.rule for d in diagnoses} <= RULES.keys()
    return named


def test_a_sound_experiment_has_no_warning() -> None:
    warnings = [d for d in found(view()).values() if d.fired and d.severity is not Severity.NOTICE]
    assert warnings == []


def test_a_crowded_edge_is_told_once_and_keeps_the_experiment_exploring() -> None:
    named = found(view(best=0.0))
    assert named["boundary", "learning_rate:low"].fired
    assert ("edge_slope", "learning_rate:low") not in named
    waits = named["ready_to_exploit", ""]
    assert waits.status is Status.NOT_CHECKABLE and "boundary" in waits.detail


def test_the_best_trial_of_every_arm_is_looked_at() -> None:
    about = view()
    assert [trial.arm for trial in best_of_arms(about)] == [0, 1]


def overfitting_in(about: ExperimentView, arms: set[int]) -> ExperimentView:
    trials = [
        replace(trial, rules={**(trial.rules or {}), "overfitting": FIRED})
        if trial.arm in arms
        else trial
        for trial in about.trials
    ]
    return replace(about, trials=trials)


def test_overfitting_of_the_best_trials_is_told_with_their_arms() -> None:
    diagnosis = found(overfitting_in(view(), {1}))["overfitting", ""]
    assert diagnosis.severity is Severity.WARNING
    assert diagnosis.title == "Validation error rises in the best trials of 1 of 2 arms"
    assert "label_smoothing = 0.1" in diagnosis.detail


def test_where_a_regulariser_is_scientific_overfitting_is_expected() -> None:
    about = replace(overfitting_in(view(), {0}), regulariser_is_scientific=True)
    assert found(about)["overfitting", ""].severity is Severity.NOTICE


def test_overfitting_at_every_rate_points_to_the_data() -> None:
    named = found(overfitting_in(view(), {0, 1}))
    assert named["data_set_too_small", ""].fired


def by_loss(trial: TrialSummary) -> TrialSummary:
    return replace(trial, rules={**(trial.rules or {}), LOSS_OVERFITTING: FIRED})


def test_a_loss_that_rises_at_every_rate_points_to_the_data_whatever_the_metric_does() -> None:
    about = view()
    trials = [by_loss(trial) for trial in about.trials]
    named = found(replace(about, trials=trials))
    assert named["data_set_too_small", ""].fired
    assert not named["overfitting", ""].fired


def test_trials_that_are_still_on_their_way_do_not_clear_the_data() -> None:
    about = view()
    trials = [
        replace(trial, rules={**(trial.rules or {}), "still_improving": FIRED})
        if trial.rate < 1e-3
        else by_loss(trial)
        for trial in about.trials
    ]
    assert found(replace(about, trials=trials))["data_set_too_small", ""].fired


def test_a_metric_that_does_not_move_is_said_and_nothing_is_read_into_it() -> None:
    about = view()
    trials = [replace(trial, score=0.5, best_step_share=0.0) for trial in about.trials]
    axes = [replace(axis, scores=np.full(40, 0.5)) for axis in about.axes]
    named = found(replace(about, trials=trials, axes=axes))
    assert named["tied_scores", ""].title == "The metric does not move"
    for rule in ("density", "best_step", "budget_pays"):
        assert named[rule, ""].status is Status.NOT_CHECKABLE
        assert "All 40 trials score 0.5." in named[rule, ""].detail


def repeating(scores: np.ndarray, configurations: list[str]) -> ExperimentView:
    about = view()
    trials = [
        replace(trial, score=float(score), configuration=configuration)
        for trial, score, configuration in zip(about.trials, scores, configurations, strict=True)
    ]
    return replace(about, trials=trials, axes=[replace(about.axes[0], scores=scores)])


def test_a_configuration_that_was_tried_five_times_is_one_point_near_the_best() -> None:
    scores = np.array([trial.score for trial in view().trials])
    # Five trials of one arm are the same configuration, alone near the best.
    same = [10, 12, 14, 16, 18]
    scores = np.where(np.isin(np.arange(40), same), -1 + 1e-6 * np.arange(40), scores)
    names = ["same" if number in same else str(number) for number in range(40)]
    named = found(repeating(scores, names))
    assert named["repeated_configurations", ""].title == "40 trials tried only 36 configurations"
    assert named["density", ""].fired
    assert named["density", ""].evidence["trials"] == 36
    # Their spread is that of the seeds.
    assert named["budget_pays", ""].evidence["trial_sd"] is not None


def test_failing_trials_next_to_the_best_are_instability_and_ask_for_warm_up() -> None:
    about = view(best=0.7)
    failing = UNIT > 0.8
    axis = replace(
        about.axes[0], feasible=~failing, scores=np.where(failing, math.nan, about.axes[0].scores)
    )
    trials = [
        replace(trial, feasible=not bad, score=math.nan if bad else trial.score)
        for trial, bad in zip(about.trials, failing, strict=True)
    ]
    named = found(replace(about, axes=[axis], trials=trials))
    assert named["instability_edge", "learning_rate"].fired
    assert named["warmup", ""].fired
    assert not any(d.fired for (rule, _), d in named.items() if rule == "boundary")


def test_pruned_trials_are_in_no_count() -> None:
    about = view()
    trials = [replace(t, pruned=True) if t.arm == 0 else t for t in about.trials]
    named = found(replace(about, trials=trials))
    assert named["fair_comparison", ""].evidence["trials"] == [0, 20]


def test_arms_are_not_called_unequal_while_trials_are_to_come() -> None:
    about = view()
    few = [trial for trial in about.trials if trial.arm == 0]
    few += [trial for trial in about.trials if trial.arm == 1][:2]
    early = replace(about, trials=few, axes=())
    for rule in ("fair_comparison", "points_per_value"):
        assert found(early)[rule, ""].fired
        told = found(replace(early, goes_on=True))[rule, ""]
        assert told.status is Status.NOT_CHECKABLE and "The search goes on" in told.detail


def test_best_trials_that_still_improve_make_it_compute_bound() -> None:
    about = view()
    rules = {"still_improving": FIRED, "saturated": PASSED}
    trials = [replace(trial, rules=rules, best_step_share=0.99) for trial in about.trials]
    named = found(replace(about, trials=trials))
    assert named["compute_bound", ""].fired
    assert named["best_step", ""].action == "run_longer"


def test_an_experiment_without_trials_is_not_checkable_and_breaks_nothing() -> None:
    empty = replace(view(), axes=[], trials=[])
    assert not any(d.fired for d in diagnose_experiment(empty))


def test_the_checklist_answers_every_question_from_what_the_rules_said() -> None:
    items = {item.question: item for item in checklist(diagnose_experiment(view(best=0.0)))}
    assert items["Is the search space large enough?"].state is CheckState.WARNED
    assert items["Do few trials fail to train?"].state is CheckState.PASSED
    assert items["Can it be reproduced?"].state is CheckState.NOT_CHECKABLE


def test_a_notice_is_not_a_warning_on_the_checklist() -> None:
    notice = RULES["boundary"].fires("", "", {}, severity=Severity.NOTICE)
    (item, *_) = checklist([notice])
    assert item.state is CheckState.NOTICED


def test_every_rule_of_the_checklist_exists() -> None:
    for item in checklist([rule.passes("", {}) for rule in RULES.values()]):
        assert item.state is CheckState.PASSED, item.question


def test_unstable_trials_above_the_best_rate_are_gathered() -> None:
    about = view()
    best = min(about.trials, key=lambda trial: trial.score)
    trials = [
        replace(trial, rules={"train_loss_rising": FIRED if trial.rate > best.rate else PASSED})
        for trial in about.trials
    ]
    assert found(replace(about, trials=trials))["unstable_above_best", ""].fired
