"""Every rule by name, and the playbook's checklist made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from experiments.analysis.curves import (
    checkpoints,
    curves,
    evaluations,
    gradients,
    jumps,
    loss_and_metric,
    no_progress,
    practice,
    progress,
    stability,
    throughput,
    warmup,
)
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, Status
from experiments.analysis.space import (
    boundary,
    data_size,
    density,
    edge_probe,
    edge_slope,
    feasibility,
    isolation,
    learning_rate,
    phase,
    repeats,
    steps,
)

RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        boundary.BOUNDARY,
        edge_slope.EDGE_SLOPE,
        edge_probe.EDGE_PROBE,
        feasibility.INFEASIBLE_SHARE,
        feasibility.INSTABILITY,
        density.DENSITY,
        density.BUDGET_PAYS,
        curves.OVERFITTING,
        loss_and_metric.LOSS_METRIC_DIVERGENCE,
        curves.LATE_OSCILLATION,
        progress.STILL_IMPROVING,
        progress.SATURATED,
        steps.COMPUTE_BOUND,
        steps.BEST_STEP,
        stability.DIVERGENCE,
        stability.NON_FINITE,
        stability.TRAIN_LOSS_RISING,
        jumps.UNSTABLE_TRAINING,
        no_progress.NEVER_IMPROVES,
        repeats.TIED_SCORES,
        repeats.REPEATED,
        gradients.GRADIENT_SPIKES,
        gradients.CLIPPED_UPDATES,
        warmup.WARMUP_ADVICE,
        warmup.UNSTABLE_ABOVE_BEST,
        learning_rate.LEARNING_RATE_REGIME,
        data_size.SMALL_DATA,
        isolation.FAIR_BUDGET,
        isolation.BEST_OF_UNEQUAL,
        isolation.ENOUGH_POINTS,
        checkpoints.BEST_CHECKPOINT,
        evaluations.PERIODIC_VALIDATION,
        evaluations.REGULAR_EVALUATIONS,
        evaluations.FINE_ENOUGH,
        evaluations.EARLY_INSTABILITY_SEEN,
        throughput.INPUT_BOUND,
        throughput.BATCH_SIZE,
        practice.SCHEDULE,
        practice.MORE_NOISE,
        practice.RECORD,
        practice.TEST_SET,
        phase.EXPLOITATION,
    )
}

# The playbook's questions before a decision, in its order, and the rules that answer them.
CHECKLIST: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Is the search space large enough?",
        ("boundary", "edge_slope", "edge_probe", "instability_edge"),
    ),
    (
        "Do few trials fail to train?",
        ("infeasible_share", "divergence", "non_finite", "never_improves"),
    ),
    (
        "Were enough points sampled?",
        ("density", "budget_pays", "tied_scores", "repeated_configurations"),
    ),
    ("Are the best trials free of overfitting?", ("overfitting", "data_set_too_small")),
    ("Do loss and metric agree?", ("loss_metric_divergence",)),
    ("Is validation steady late in training?", ("late_oscillation",)),
    ("Is training long enough?", ("compute_bound",)),
    ("Is training no longer than useful?", ("best_step",)),
    ("Does training loss fall throughout?", ("train_loss_rising",)),
    (
        "Is optimisation stable?",
        (
            "unstable_training",
            "gradient_spikes",
            "clipped_updates",
            "warmup",
            "unstable_above_best",
        ),
    ),
    ("Does the learning rate fit?", ("learning_rate_regime", "learning_rate_schedule")),
    ("Is the comparison fair?", ("fair_comparison", "best_of_unequal", "points_per_value")),
    ("Is validation sound?", ("periodic_validation", "regular_evaluations", "one_example")),
    ("Is the hardware used well?", ("input_bound", "batch_size")),
    ("Can it be reproduced?", ("record_complete",)),
    ("Was the test set left alone?", ("test_set_use",)),
)


class CheckState(StrEnum):
    """State of one question of the checklist."""

    PASSED = "passed"
    NOTICED = "noticed"
    WARNED = "warned"
    NOT_CHECKABLE = "not_checkable"


@dataclass(frozen=True, slots=True)
class CheckItem:
    """One question of the checklist, where it stands, and the diagnoses behind it."""

    question: str
    state: CheckState
    diagnoses: tuple[Diagnosis, ...]


def checklist(diagnoses: Iterable[Diagnosis]) -> tuple[CheckItem, ...]:
    """Return the playbook's checklist, every question answered by what the rules said.

    Warned if a warning or problem fired, noticed if only a notice did, passed if at least one
    rule passed, else not checkable yet. Leave dismissed diagnoses out.
    """
    known = list(diagnoses)
    return tuple(
        _item(question, tuple(d for d in known if d.rule in names))
        for question, names in CHECKLIST
    )


def _item(question: str, diagnoses: tuple[Diagnosis, ...]) -> CheckItem:
    fired = [d for d in diagnoses if d.fired]
    if any(d.severity is not Severity.NOTICE for d in fired):
        state = CheckState.WARNED
    elif fired:
        state = CheckState.NOTICED
    elif any(d.status is Status.PASSED for d in diagnoses):
        state = CheckState.PASSED
    else:
        state = CheckState.NOT_CHECKABLE
    return CheckItem(question, state, diagnoses)
