"""State of the evidence: a digest in parts, so that a stale page is told what has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from django.db.models import Q, Sum

from experiments.design.queries.records import AnyReplication
from experiments.models import Finding, SeriesBatch, TestOpening, Trial

_DIGITS = 16  # hexadecimal digits of each part
_DECLARED = ("looks", "extra_looks", "pairs_queued", "level", "margin", "guards")
_PARTS = ("the replicates", "the looks", "the openings of test scores", "the findings")


def evidence_state(replication: AnyReplication) -> str:
    """Digest of everything that a verdict rests on and a decision answers for: 64 digits.

    Findings count when they ask for something as a *problem*, or somebody dismissed them.
    """
    runs = Trial.objects.replicates_of(replication)
    # Points may still arrive from a node's queue after the trial's result.
    logged = SeriesBatch.objects.filter(trial__in=runs, fenced=False).aggregate(Sum("points"))
    parts = (
        [list(runs.order_by("pk").values_list("pk", "state", "attempt", "value")), logged],
        [getattr(replication, name) for name in _DECLARED],
        TestOpening.objects.filter(replication=replication.pk).count(),
        [_findings(replication), replication.experiment.mutes_overfitting],
    )
    return "".join(map(_digest, parts))


def changed_parts(shown: str, now: str) -> Sequence[str]:
    """The parts, in words, in which a state that somebody was shown differs from the present."""
    places = range(0, _DIGITS * len(_PARTS), _DIGITS)
    return [
        name
        for name, start in zip(_PARTS, places, strict=True)
        if shown[start : start + _DIGITS] != now[start : start + _DIGITS]
    ]


def _findings(replication: AnyReplication) -> list[tuple[object, ...]]:
    every = Finding.objects.filter(experiment_id=replication.experiment_id)
    problems = every.asking().filter(severity="problem")
    rows = every.filter(Q(dismissed_at__isnull=False) | Q(pk__in=problems.values("pk")))
    return list(
        rows.order_by("trial_id", "rule", "subject").values_list(
            "trial_id", "rule", "subject", "title", "dismiss_reason"
        )
    )


def _digest(part: object) -> str:
    return hashlib.sha256(json.dumps(part).encode()).hexdigest()[:_DIGITS]
