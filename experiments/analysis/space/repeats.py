"""Scores that tell trials nothing apart, and configurations that were tried more than once.

A metric that does not move answers no question about the space; a configuration tried twice is
one point of it, and two seeds of one configuration. Source: known practice; the rules are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Direction, Floats
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure
from experiments.analysis.space.axis import better_first

TIED_SCORES = Rule(
    name="tied_scores",
    version=1,
    severity=Severity.WARNING,
    question="Does the metric tell trials apart?",
    passed_title="The metric tells trials apart",
    meaning="A metric that does not vary says nothing about the search space.",
    advice=(
        "Check what is logged as the official metric. If it is at its limit, choose a finer "
        "one, such as the loss."
    ),
    section="Known practice",
    action="show_curve",
)

REPEATED = Rule(
    name="repeated_configurations",
    version=1,
    severity=Severity.NOTICE,
    question="Was each configuration tried once?",
    passed_title="Each configuration was tried once",
    meaning=(
        "A repeated configuration is one point of the space; rules that count points count it "
        "once. Under other seeds its scores show how far seeds vary."
    ),
    advice="Widen a small discrete space or run fewer trials; remove doubles from first:.",
    section="Known practice",
)


def tied_scores(scores: Floats, direction: Direction) -> Diagnosis:
    """Tell whether all scores [N] of the feasible trials are equal, or half share the best one."""
    finite = scores[np.isfinite(scores)]
    if finite.size < thresholds.TIES_MIN_TRIALS:
        return TIED_SCORES.cannot_tell(
            f"{finite.size} feasible trials; the rule needs {thresholds.TIES_MIN_TRIALS}.",
            {"trials": int(finite.size), "needed": thresholds.TIES_MIN_TRIALS},
        )
    best = float(finite[np.argmin(better_first(finite, direction))])
    shared = int((finite == best).sum())
    evidence = {"trials": int(finite.size), "best": best, "tied": shared}
    if shared == finite.size:
        return TIED_SCORES.fires(
            "The metric does not move", f"All {shared} trials score {figure(best)}.", evidence
        )
    detail = f"{shared} of {finite.size} trials share the best score, {figure(best)}."
    if shared >= max(thresholds.TIES_SHARE * finite.size, 2):
        return TIED_SCORES.fires("The best trials tie", detail, evidence, severity=Severity.NOTICE)
    return TIED_SCORES.passes(detail, evidence)


def repeated_configurations(groups: Sequence[Sequence[str]], trials: int) -> Diagnosis:
    """Name the trials of each configuration that was tried more than once.

    groups: names of the trials of one configuration, each with two or more.
    """
    extra = sum(len(group) - 1 for group in groups)
    evidence = {
        "trials": trials,
        "configurations": trials - extra,
        "repeated": [", ".join(group) for group in groups],
    }
    if not groups:
        return REPEATED.passes(f"{trials} trials, {trials} configurations.", evidence)
    shown = "; ".join(" and ".join(group) for group in groups[: thresholds.REPEATS_NAMED])
    more = len(groups) - thresholds.REPEATS_NAMED
    rest = f"; and {more} more" if more > 0 else ""
    return REPEATED.fires(
        f"{trials} trials tried only {trials - extra} configurations",
        f"The same: {shown}{rest}.",
        evidence,
    )


def deviation_of_repeats(groups: Sequence[Floats]) -> float | None:
    """Return the deviation over seeds pooled over repeated configurations; None if unknown.

    Needs three degrees of freedom, and scores that differ: the same seed gives the same score.
    """
    freedom = sum(group.size - 1 for group in groups)
    if freedom < thresholds.REPEATS_FREEDOM:
        return None
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    found = math.sqrt(squares / freedom)
    return found if 0 < found < math.inf else None
