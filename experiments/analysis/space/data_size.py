"""Is the training set too small: does the model overfit whatever the learning rate?

Cannot be told from one curve. Source: known practice; the thresholds are ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Floats
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, share

SMALL_DATA = Rule(
    name="data_set_too_small",
    version=1,
    severity=Severity.WARNING,
    question="Does the model overfit at every learning rate?",
    passed_title="Overfitting depends on the learning rate",
    meaning="The training set may be too small for this model.",
    advice=(
        "Train on half of the data: if validation is clearly worse, more data will help. "
        "Otherwise use a smaller model."
    ),
    section="Known practice; Tuning Playbook, 'Examining the training curves'",
    action="show_curve",
)


def data_set_too_small(
    rates: Floats,
    overfits: NDArray[np.bool_],
    *,
    best_fit: float,
    regulariser_swept: bool,
) -> Diagnosis:
    """Tell whether nine in ten trials overfit in every bucket of learning rates.

    rates, overfits: [N] learning rate and overfitting of each feasible trial that could be
    judged. Equal-count buckets, at least four of at least two trials. best_fit: lowest training
    loss of the study as a share of where it began; must be below a twentieth.
    """
    known = np.isfinite(rates) & (rates > 0)
    rates, overfits = rates[known], overfits[known]
    buckets = rate_buckets(rates)
    shares = [float(overfits[members].mean()) for members in buckets]
    evidence = {
        "trials": int(rates.size),
        "buckets": len(buckets),
        "shares": shares,
        "best_fit": best_fit,
        "regulariser_swept": regulariser_swept,
    }
    if len(buckets) < thresholds.SMALL_DATA_BUCKETS:
        return SMALL_DATA.cannot_tell(
            f"{rates.size} judged trials make {len(buckets)} buckets of learning rates; the rule "
            f"needs {thresholds.SMALL_DATA_BUCKETS}.",
            evidence,
        )
    detail = (
        f"In each of {len(buckets)} buckets of learning rates at least {share(min(shares))} of "
        f"the trials overfit; the best training loss is {share(best_fit)} of its start."
    )
    if min(shares) >= thresholds.SMALL_DATA_SHARE and best_fit <= thresholds.SMALL_DATA_FIT:
        other = "" if regulariser_swept else " Or add regularisation: none was searched."
        return SMALL_DATA.fires(
            "The model overfits at every learning rate",
            detail,
            evidence,
            advice=SMALL_DATA.advice + other,
            action="show_curve" if regulariser_swept else "add_dropout",
        )
    return SMALL_DATA.passes(detail, evidence)


def rate_buckets(rates: Floats) -> list[NDArray[np.int64]]:
    """Return the positions of the trials in equal-count buckets of distinct learning rates.

    As many as there are distinct rates allow, with at least two trials each, at most eight.
    """
    distinct = np.unique(rates)
    most = min(
        distinct.size,
        rates.size // thresholds.SMALL_DATA_BUCKET_TRIALS,
        thresholds.ISOLATION_BUCKETS,
    )
    for count in range(most, 0, -1):
        edges = np.quantile(rates, np.linspace(0, 1, count + 1)[1:-1])
        bucket = np.searchsorted(edges, rates, side="right")
        members = [np.flatnonzero(bucket == number) for number in range(count)]
        if all(each.size >= thresholds.SMALL_DATA_BUCKET_TRIALS for each in members):
            return members
    return []
