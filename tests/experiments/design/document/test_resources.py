from __future__ import annotations

from typing import Any

import pytest
import yaml

from experiments.design.document import experiment_file
from experiments.errors import InvalidExperiment
from tests import cast

PLAIN = yaml.safe_load(cast.LABEL_SMOOTHING.format(name="r", goal="Why?", trials=4))


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
    file = experiment_file.parse_document({**PLAIN, **document})
    assert (file.queue, file.gpus) == (queue, gpus)


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
    with pytest.raises(InvalidExperiment) as raised:
        experiment_file.parse_document({**PLAIN, **document})
    assert [problem.where for problem in raised.value.problems] == [key]
