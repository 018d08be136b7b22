"""What the rules have seen in a search."""

from __future__ import annotations

import json
from typing import Any

from experiments.models import Experiment, Finding, Trial


def finding(experiment: Experiment, *, trial: Trial | None = None, **more: Any) -> Finding:
    """A boundary warning unless told otherwise."""
    fields: dict[str, Any] = {
        "rule": "boundary",
        "subject": "dropout:high",
        "version": 1,
        "status": "fired",
        "severity": "warning",
        "title": "The best trials crowd the lower edge of learning_rate",
        "detail": "6 of the best 8 trials lie in the outer fifth, as do 9 of all 38 feasible ones "
        "(p = 0.0011 after Holm's correction).",
        "meaning": "Better values may lie beyond the range that was searched.",
        "advice": "Search again with learning_rate down to 1e-05.",
        "section": "Tuning Playbook, 'Identifying bad search space boundaries'",
        "action": "extend",
        "evidence": json.dumps(
            {
                "hyperparameter": "learning_rate",
                "edge": "low",
                "trials": 38,
                "p_value_holm": 0.0011,
                "low": 1e-4,
                "high": 0.1,
                "log": True,
                "suggested_low": 1e-5,
                "suggested_high": None,
            }
        ),
    }
    return Finding.objects.create(experiment=experiment, trial=trial, **(fields | more))


def some_findings(experiment: Experiment, *, warn: bool = True) -> None:
    """What the rules saw: two warnings, some that passed, one that cannot tell yet."""
    best = experiment.best_trial
    if warn:
        finding(experiment)
        if best is not None:
            finding(
                experiment,
                trial=best,
                rule="overfitting",
                subject="validation_loss",
                title="Overfits from step 24",
                detail="Validation error rose 11 % above its best while train loss kept falling.",
                meaning="The run learns its training examples by heart from there on.",
                advice="Compare with a stronger regulariser, or keep the best checkpoint.",
                section="Tuning Playbook, 'Examining the training curves'",
                action="show_curve",
                evidence=json.dumps({"onset_step": 24, "generalisation_loss": 0.11}),
            )
    passed = (
        ("oscillation", "No oscillation late in training", "Step-to-step spread 0.0006."),
        ("infeasible", "Few infeasible trials", "3 of 38, all with learning_rate above 0.06."),
        ("budget", "The budget suits the space", "24 trials an arm for 3 hyperparameters."),
    )
    for rule, title, detail in passed:
        finding(experiment, rule=rule, subject="", status="passed", title=title, detail=detail,
                action="", evidence="{}")  # fmt: skip
    finding(
        experiment,
        rule="density",
        subject="",
        status="not_checkable",
        severity="notice",
        title="Are there enough points in the good region? Not checkable yet",
        detail="After 40 trials.",
        action="",
        evidence="{}",
    )
