from __future__ import annotations

from typing import Any

import pytest

from experiments.design.document.resources import parse_resources
from experiments.errors import Problem


@pytest.mark.parametrize(
    ("document", "queue", "gpus"),
    [
        ({}, "cpu", 0),
        ({"resources": {"gpu": 2}}, "gpu", 2),
        ({"queue": "gpu"}, "gpu", 1),
        ({"queue": "gpu", "resources": {"gpu": 0}}, "gpu", 0),
        ({"queue": "h100", "resources": {"gpu": 8}}, "h100", 8),
        ({"resources": {}}, "cpu", 0),
    ],
)
def test_who_asks_for_a_gpu_waits_for_a_node_with_one(
    document: dict[str, Any], queue: str, gpus: int
) -> None:
    problems: list[Problem] = []
    assert parse_resources(document, problems) == (queue, gpus)
    assert not problems


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"resources": {"gpu": -1}}, "resources.gpu"),
        ({"resources": {"gpu": "two"}}, "resources.gpu"),
        ({"resources": {"tpu": 1}}, "resources.tpu"),
        ({"queue": "a queue"}, "queue"),
    ],
)
def test_what_is_wrong_is_said_at_its_key(document: dict[str, Any], key: str) -> None:
    problems: list[Problem] = []
    parse_resources(document, problems)
    assert [problem.where for problem in problems] == [key]
