"""Is the training set too small: does the model overfit whatever the learning rate?

Cannot be told from one curve. Source: known practice; the thresholds are ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Floats
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity

SMALL_DATA = Rule(
    name="data_set_too_small",
    version=2,
    severity=Severity.WARNING,
    question="Does the model overfit at every learning rate that trains?",
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
    rates: Floats, overfits: NDArray[np.bool_], fits: Floats, *, regulariser_swept: bool
) -> Diagnosis:
    """Tell whether nine in ten trials that train overfit in every bucket of learning rates.

    In the lowest bucket, where runs may be on their way yet, so many as make four in five of all.

    rates, overfits, fits: [N] of each feasible trial that could be judged: its learning rate,
    whether its validation loss rises as in overfitting (whatever the metric does), and its lowest
    training loss as a share of its start. A trial that never fitted its training data is not
    asked. Equal-count buckets, at least three of at least two trials.
    """
    known = np.isfinite(rates) & (rates > 0) & (fits <= thresholds.SMALL_DATA_FIT)
    rates, overfits = rates[known], overfits[known]
    buckets = rate_buckets(rates)
    shares = [float(overfits[members].mean()) for members in buckets]
    evidence = {
        "trials": int(rates.size),
        "overfitting": int(overfits.sum()),
        "buckets": len(buckets),
        "shares": shares,
        "regulariser_swept": regulariser_swept,
    }
    if len(buckets) < thresholds.SMALL_DATA_BUCKETS:
        return SMALL_DATA.cannot_tell(
            f"{rates.size} trials that train make {len(buckets)} buckets of learning rates; the "
            f"rule needs {thresholds.SMALL_DATA_BUCKETS}.",
            evidence,
        )
    detail = (
        f"Validation loss rises in {int(overfits.sum())} of {rates.size} trials that fit their "
        "training data."
    )
    total = float(overfits.mean())
    if min(shares[1:]) >= thresholds.SMALL_DATA_SHARE and total >= thresholds.SMALL_DATA_TOTAL:
        other = "" if regulariser_swept else " Or add regularisation: none was searched."
        return SMALL_DATA.fires(
            "The model overfits at every learning rate that trains",
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
        if all(member.size >= thresholds.SMALL_DATA_BUCKET_TRIALS for member in members):
            return members
    return []
