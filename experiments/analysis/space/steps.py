"""Length of training: compute-bound or not, where the best step lies, two rounds.

Source: Tuning Playbook, "Determining the number of steps for each training run".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Curve, Floats, smooth
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, share

_SECTION = "Tuning Playbook, 'Determining the number of steps for each training run'"

COMPUTE_BOUND = Rule(
    name="compute_bound",
    version=2,
    severity=Severity.NOTICE,
    question="Do the best trials need more steps?",
    passed_title="The best trials have enough steps",
    meaning="Training is limited by its length; conclusions may change with more steps.",
    advice=(
        "Tune in two rounds: short runs to settle model and optimiser, then very few runs at "
        "full length, with the schedule tuned again."
    ),
    section=_SECTION,
    action="run_longer",
)

BEST_STEP = Rule(
    name="best_step",
    version=1,
    severity=Severity.WARNING,
    question="Does the best step come at a sensible time?",
    passed_title="The best step comes at a sensible time",
    meaning="The number of steps does not suit the problem.",
    advice="Use far fewer steps.",
    section="Tuning Playbook, 'Deciding how long to train when training is not compute-bound'",
    action="run_shorter",
)


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a plan: its length, how many trials, and what it is for."""

    number: int
    steps: int
    trials: int
    purpose: str

    @property
    def words(self) -> str:
        """Round 1: 216 trials of 6 steps."""
        trials = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        return f"Round {self.number}: {trials} of {self.steps} steps, to {self.purpose}"


def compute_bound(
    improving: Sequence[bool | None],
    saturated: Sequence[bool | None],
    *,
    planned_steps: int | None = None,
    budget: int = 0,
    fit_steps: Sequence[float] = (),
) -> Diagnosis:
    """Tell whether most of the best trials were still improving when they ended.

    improving, saturated: of the best finished trials (not the pruned ones), the best first; None
    where a trial could not be judged. "Most" is over half of those judged, at least five.
    planned_steps, budget: length of a trial and how many there were, to plan two rounds with.
    fit_steps: of every trial the first step of a perfect fit, nan if there was none.
    """
    judged = [value for value in improving if value is not None]
    settled = [value for value in saturated if value is not None]
    evidence: dict[str, object] = {
        "judged": len(judged),
        "improving": sum(judged),
        "saturated": sum(settled),
        "fastest_perfect_fit": initial_steps(fit_steps),
    }
    if len(judged) < thresholds.STEPS_MIN_TRIALS:
        return COMPUTE_BOUND.cannot_tell(
            f"{len(judged)} of the best trials could be judged; the rule needs "
            f"{thresholds.STEPS_MIN_TRIALS}.",
            evidence | {"needed": thresholds.STEPS_MIN_TRIALS},
        )
    detail = (
        f"{sum(judged)} of the best {len(judged)} trials were still improving when they ended, "
        f"{sum(settled)} had stopped before half of their steps."
    )
    if 2 * sum(judged) > len(judged):
        plan = _rounds_for(planned_steps, budget)
        return COMPUTE_BOUND.fires(
            "The best trials were still improving when they ended",
            detail,
            evidence | {f"round_{entry.number}": entry.words for entry in plan},
            advice=" ".join([COMPUTE_BOUND.advice, *(f"{entry.words}." for entry in plan)]),
        )
    if settled and 2 * sum(settled) > len(settled):
        title = "The best trials stopped improving before half of their steps"
        return COMPUTE_BOUND.passes(detail, evidence, title=title)
    return COMPUTE_BOUND.passes(detail, evidence)


def _rounds_for(planned_steps: int | None, budget: int) -> tuple[Round, ...]:
    """Plan two rounds: as short as the trials so far, then ten times as long.

    They may cost what the trials so far have cost, and one long run.
    """
    if not planned_steps or budget < 1:
        return ()
    full = round(planned_steps / thresholds.FIRST_ROUND_SHARE)
    return two_round_plan(full, full + budget * planned_steps)


def best_steps(shares: Floats, *, still_improving: bool = False) -> Diagnosis:
    """Tell whether best steps come consistently in the first tenth or the last quarter.

    shares: [N] at which share of its run each feasible trial was best. The last quarter is
    ordinary under a decaying schedule, so it is told only if trials are still improving.
    """
    known = shares[np.isfinite(shares)]
    if known.size < thresholds.STEPS_MIN_TRIALS:
        return BEST_STEP.cannot_tell(
            f"{known.size} feasible trials; the rule needs {thresholds.STEPS_MIN_TRIALS}.",
            {"trials": int(known.size), "needed": thresholds.STEPS_MIN_TRIALS},
        )
    early = float((known <= thresholds.BEST_STEP_EARLY).mean())
    late = float((known > thresholds.BEST_STEP_LATE).mean())
    evidence = {
        "trials": int(known.size),
        "early_share": early,
        "late_share": late,
        "median": float(np.median(known)),
        "still_improving": still_improving,
    }
    detail = (
        f"{share(early)} of {known.size} trials were best in the first tenth of their steps, "
        f"{share(late)} in the last quarter."
    )
    if early >= thresholds.CONSISTENTLY:
        return BEST_STEP.fires("Nearly all trials are best in their first tenth", detail, evidence)
    if late >= thresholds.CONSISTENTLY and still_improving:
        return BEST_STEP.fires(
            "Nearly all trials are best in their last quarter and still improving",
            detail,
            evidence,
            severity=Severity.NOTICE,
            meaning=COMPUTE_BOUND.meaning,
            advice="Train longer and tune the decay of the learning rate again.",
            action="run_longer",
        )
    return BEST_STEP.passes(detail, evidence)


def two_round_plan(full_steps: int, budget_steps: int) -> tuple[Round, Round]:
    """Return two rounds for a compute-bound problem within a budget of training steps.

    First: a tenth of the full length, on what is left of the budget after the second. Second:
    full length, a third of the budget but at least one trial. Raises ValueError unless the
    budget pays for one full run.
    """
    if full_steps < 1 or budget_steps < full_steps:
        raise ValueError("the budget must pay for at least one full run")
    short = max(1, round(thresholds.FIRST_ROUND_SHARE * full_steps))
    final = max(1, budget_steps // (3 * full_steps))
    first = (budget_steps - final * full_steps) // short
    return (
        Round(1, short, first, "settle warm-up, initialisation, architecture and narrow the rest"),
        Round(2, full_steps, final, "confirm, with the decay as long or the cosine stretched"),
    )


def perfect_fit_step(train: Curve, *, is_error: bool = False) -> float | None:
    """Return the first step of a perfect fit on the training set; None if it never fits.

    A training error of 0, or a smoothed training loss of a thousandth of its start. The steps of
    the fastest trial that fits, without augmentation and regularisation, are a first length.
    """
    curve = train.in_step_order().finite()
    if not len(curve):
        return None
    if is_error:
        fits = curve.values <= 0
    else:
        limit = thresholds.PERFECT_FIT_SHARE * abs(float(curve.values[0]))
        fits = smooth(curve.values) <= limit
    return float(curve.steps[np.argmax(fits)]) if bool(fits.any()) else None


def initial_steps(fit_steps: Sequence[float | None]) -> int | None:
    """Return the first length to train for: of the fastest trial that fits perfectly."""
    known = [step for step in fit_steps if step is not None and math.isfinite(step)]
    return math.ceil(min(known)) if known else None
