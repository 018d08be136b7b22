"""Keeps what was measured of batch sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.batch_size_words import answer
from experiments.errors import NotFound
from experiments.models import BatchSizeProbe, Project


def record(
    *,
    project: str,
    objective: str,
    parameters: Mapping[str, Any],
    device: str,
    host: str,
    rows: Sequence[Mapping[str, Any]],
) -> str:
    """Store a measurement; returns its answer in words.

    Raises:
        NotFound: when there is no such project.
    """
    held = Project.objects.filter(slug=project).first()
    if held is None:
        raise NotFound(f"There is no project {project}.")
    said = answer(rows)
    BatchSizeProbe.objects.create(
        project=held,
        objective=objective,
        parameters=json.dumps(dict(parameters), sort_keys=True),
        device=device,
        host=host,
        rows=json.dumps([dict(row) for row in rows]),
        ended=said,
    )
    return said
