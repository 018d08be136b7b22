"""Checks of how an experiment was run: schedule, record, test set, changed noise.

Source: Tuning Playbook, "Additional guidance for the training pipeline" and its questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.analysis.curves.learning_curve import Curve
from experiments.analysis.curves.progress import not_decayed
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure, step_figure

SCHEDULE = Rule(
    name="learning_rate_schedule",
    version=1,
    severity=Severity.NOTICE,
    question="Does the learning rate follow a reproducible schedule?",
    passed_title="The learning rate follows one schedule",
    meaning="A hand-made schedule cannot be reproduced; a constant one leaves results behind.",
    advice="Use linear or cosine decay, written into the configuration.",
    section="Tuning Playbook, 'What is the best learning rate decay schedule family?'",
)

MORE_NOISE = Rule(
    name="more_gradient_noise",
    version=1,
    severity=Severity.NOTICE,
    question="Did the candidate add gradient noise at equal steps?",
    passed_title="The candidate adds no gradient noise",
    meaning="Smaller batches, augmentation and dropout may need more steps to pay off.",
    advice="Give the candidate more steps before rejecting it.",
    section="Tuning Playbook, 'Deciding how long to train when training is not compute-bound'",
    action="run_longer",
)

RECORD = Rule(
    name="record_complete",
    version=1,
    severity=Severity.NOTICE,
    question="Is everything recorded that reproducing needs?",
    passed_title="Everything that reproducing needs is recorded",
    meaning="Someone else could not repeat this experiment.",
    advice="Add what is missing.",
    section="Tuning Playbook, 'Setting up experiment tracking'",
)

TEST_SET = Rule(
    name="test_set_use",
    version=1,
    severity=Severity.WARNING,
    question="Was the test set left alone during exploration?",
    passed_title="The test set was left alone during exploration",
    meaning="A test set that was looked at has taken part in the tuning.",
    advice="Look at test scores only after the verdict.",
    section="Tuning Playbook, 'The scientific approach to improving model performance'",
)

# Playbook: what an experiment's record must hold.
REQUIRED = (
    "name",
    "config_link",
    "description",
    "trial_count",
    "best_validation",
    "reproduce_command",
)


def learning_rate_schedule(learning_rate: Curve, resumed_at: Sequence[float] = ()) -> Diagnosis:
    """Tell whether a logged rate never decays, or jumps where a run was resumed (by hand).

    A jump: by more than half from one logged point to the next, across a resume.
    """
    curve = learning_rate.in_step_order().finite()
    if len(curve) < 2:
        return SCHEDULE.cannot_tell("The learning rate was not logged.")
    jumps = _jumps_at(curve, resumed_at)
    undecayed = not_decayed(curve)
    evidence = {
        "points": len(curve),
        "highest": float(curve.values.max()),
        "last": float(curve.values[-1]),
        "decays": not undecayed,
        "changed_at_resume": jumps,
    }
    detail = (
        f"Highest {figure(float(curve.values.max()))}, at the end "
        f"{figure(float(curve.values[-1]))}."
    )
    if jumps:
        return SCHEDULE.fires(
            f"The learning rate changed when resumed at step {step_figure(jumps[0])}",
            detail,
            evidence,
        )
    if undecayed:
        return SCHEDULE.fires("The learning rate does not decay", detail, evidence)
    return SCHEDULE.passes(detail, evidence)


def more_gradient_noise(
    baseline: Mapping[str, float], candidate: Mapping[str, float], *, equal_steps: bool
) -> Diagnosis:
    """Tell whether the candidate has a smaller batch, more dropout or more augmentation.

    baseline, candidate: the numeric hyperparameters of both. Only at equal steps does it matter.
    """
    added = [
        name
        for name in sorted(set(baseline) | set(candidate))
        if _noisier(name, baseline.get(name, 0.0), candidate.get(name, 0.0))
    ]
    evidence = {"added": added, "equal_steps": equal_steps}
    if added and equal_steps:
        return MORE_NOISE.fires(
            "The candidate trains with more gradient noise at equal steps",
            f"Changed: {', '.join(added)}.",
            evidence,
        )
    return MORE_NOISE.passes("No such change at equal steps.", evidence)


def record_complete(present: Mapping[str, bool]) -> Diagnosis:
    """Tell which required parts of an experiment's record are missing (see `REQUIRED`)."""
    missing = [name for name in REQUIRED if not present.get(name, False)]
    evidence = {"missing": missing, "required": list(REQUIRED)}
    if missing:
        words = ", ".join(name.replace("_", " ") for name in missing)
        return RECORD.fires(f"The record lacks {words}", f"Missing: {words}.", evidence)
    return RECORD.passes("Nothing is missing.", evidence)


def use_of_test_set(openings: int, *, verdict_reached: bool) -> Diagnosis:
    """Tell whether test scores were opened (so many times) before there was a verdict."""
    evidence = {"openings": openings, "verdict_reached": verdict_reached}
    if openings and not verdict_reached:
        return TEST_SET.fires(
            "Test scores were looked at during exploration", f"{openings} times.", evidence
        )
    return TEST_SET.passes(f"Test scores were opened {openings} times.", evidence)


def _jumps_at(curve: Curve, resumed_at: Sequence[float]) -> list[float]:
    jumps = []
    for step in resumed_at:
        after = int(np.searchsorted(curve.steps, step))
        if not 0 < after < len(curve):
            continue
        before, now = float(curve.values[after - 1]), float(curve.values[after])
        if min(before, now) < max(before, now) / 2:
            jumps.append(float(step))
    return jumps


def _noisier(name: str, before: float, after: float) -> bool:
    lower = name.lower()
    if "batch_size" in lower:
        return after < before
    return any(part in lower for part in ("dropout", "augment", "mixup")) and after > before
