"""Keep how much each hyperparameter decides."""

from __future__ import annotations

import json
from collections.abc import Mapping

from experiments.models import ParameterImportance


def record(
    *,
    experiment_id: int,
    method: str,
    trials: int,
    shares: Mapping[str, tuple[float, float]],
) -> None:
    """Replace what was computed from fewer trials; a late result never replaces a newer one.

    `shares`: by name, the share in the whole space and the one within the better half.
    """
    fields = {
        "method": method,
        "trials": trials,
        "shares": json.dumps({name: list(pair) for name, pair in shares.items()}, allow_nan=False),
    }
    row, made = ParameterImportance.objects.get_or_create(
        experiment_id=experiment_id, defaults=fields
    )
    if not made and row.trials <= trials:
        for name, value in fields.items():
            setattr(row, name, value)
        row.save()
