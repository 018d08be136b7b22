"""Interactions: how much two hyperparameters explain together, beyond each alone.

Source: Tuning Playbook, "Identifying scientific, nuisance, and fixed hyperparameters": the more a
nuisance hyperparameter interacts with a scientific one, the worse it is to fix it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import scipy

from experiments.analysis.curves.learning_curve import Floats
from experiments.analysis.space.axis import Axis

# Six coefficients from fewer trials would explain anything.
LEAST_TRIALS = 20
# Level of the F test that a product adds something; strict, as many pairs are looked at.
LEVEL = 0.01


def interaction_shares(axes: Sequence[Axis]) -> dict[tuple[str, str], float]:
    """Return the share of each pair of hyperparameters of one search, see `interaction_share`.

    Pairs of which too few trials have both are left out; so are unordered choices, whose
    positions mean nothing.
    """
    found = {}
    for one, other in itertools.combinations([axis for axis in axes if axis.has_edges], 2):
        both = one.usable & other.usable
        if int(both.sum()) >= LEAST_TRIALS:
            share = interaction_share(one.unit[both], other.unit[both], one.scores[both])
            found[one.name, other.name] = share
    return found


def interaction_share(one: Floats, other: Floats, scores: Floats) -> float:
    """Return the share of the scores' variance that the product of two positions adds.

    one, other: [N] positions 0..1 in their ranges; scores: [N], finite. A quadratic in each is
    fitted first. Scores beyond the middle nine tenths count as its ends, so that a few failures do
    not look like an interaction. 0 where the product adds nothing at a level of 0.01.
    """
    low, high = np.quantile(scores, [0.05, 0.95])
    values = np.clip(scores, low, high)
    values = values - values.mean()
    total = float(values @ values)
    if scores.size < LEAST_TRIALS or total <= 0:
        return 0.0
    a, b = one - 0.5, other - 0.5
    alone = np.column_stack([np.ones_like(a), a, a**2, b, b**2])
    together = np.column_stack([alone, a * b])
    without, having = _left_over(alone, values), _left_over(together, values)
    freedom = scores.size - together.shape[1]
    if having <= 1e-12 * total:
        return max(0.0, (without - having) / total)
    ratio = (without - having) / (having / freedom)
    if float(scipy.stats.f.sf(ratio, 1, freedom)) >= LEVEL:
        return 0.0
    return (without - having) / total


def _left_over(columns: Floats, values: Floats) -> float:
    fitted, *_ = np.linalg.lstsq(columns, values, rcond=None)
    rest = values - columns @ fitted
    return float(rest @ rest)
