"""What a trial needs of a node: `resources: {gpu: 2}`, and the queue of nodes that have it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from experiments.design.document.file_fields import mapping, short, unknown_keys, whole
from experiments.errors import Problem

MOST_GPUS = 64
GPU_QUEUE = "gpu"


def parse_resources(document: Mapping[str, Any], problems: list[Problem]) -> tuple[str, int]:
    """The queue, and the GPUs that each trial asks for.

    Who asks for a GPU waits in the queue `gpu`, and who names that queue asks for one.
    """
    resources = mapping(document, "resources", problems)
    unknown_keys(resources, ("gpu",), "resources.", problems)
    queue = document.get("queue")
    gpus = whole(
        resources,
        "resources.gpu",
        problems,
        low=0,
        high=MOST_GPUS,
        default=1 if queue == GPU_QUEUE else 0,
    )
    if queue is None:
        return (GPU_QUEUE if gpus else "cpu"), gpus
    if not isinstance(queue, str) or not re.fullmatch(r"[a-z0-9_-]{1,40}", queue):
        problems.append(Problem("queue", f"found {short(queue)}, want a name such as cpu or gpu"))
        return "cpu", gpus
    return queue, gpus
