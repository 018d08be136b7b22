from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.workers.problems.trained import short_runs
from workers.problems.training import BestWeights, drop, three_parts

pytestmark = pytest.mark.processes

PRINT = "from tests.workers.problems.trained import short_runs; print(*short_runs())"
CLASSES = np.arange(300) % 3


@settings(max_examples=20)
@given(st.integers(0, 2**63 - 1))
def test_parts_are_disjoint_whole_and_evenly_mixed(split_seed: int) -> None:
    parts = three_parts(300, 60, split_seed, CLASSES)
    assert [len(part) for part in parts] == [180, 60, 60]
    assert sorted(np.concatenate(parts)) == list(range(300))
    assert [np.bincount(CLASSES[part]).tolist() for part in parts] == [
        [60] * 3,
        [20] * 3,
        [20] * 3,
    ]


def test_the_split_follows_its_seed() -> None:
    first, again, other = (three_parts(100, 20, seed) for seed in (4, 4, 5))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[2], other[2])


@pytest.mark.parametrize(("maximize", "kept"), [(True, 2.0), (False, 3.0)])
def test_the_best_weights_come_back(maximize: bool, kept: float) -> None:
    network = nn.Linear(1, 1)
    best = BestWeights(network, maximize=maximize)
    for weight, score in enumerate((math.nan, 0.5, 0.9, 0.1, 0.9, math.nan)):
        nn.init.constant_(network.weight, weight)
        best.see(score)
    best.restore()
    assert network.weight.item() == kept


def test_weights_stay_when_no_score_was_a_number() -> None:
    network = nn.Linear(1, 1)
    nn.init.constant_(network.weight, 7.0)
    best = BestWeights(network, maximize=True)
    best.see(math.nan)
    best.restore()
    assert network.weight.item() == 7.0


def test_dropout_keeps_the_mean_and_follows_its_generator() -> None:
    values = torch.ones(10_000)
    dropped = drop(values, 0.25, torch.Generator().manual_seed(3))
    assert float(dropped.mean()) == pytest.approx(1, abs=0.03)
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(dropped, drop(values, 0.25, torch.Generator().manual_seed(3)))


def test_the_same_seeds_give_the_same_curves_in_a_fresh_process() -> None:
    told = subprocess.run(
        [sys.executable, "-c", PRINT],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    torch.rand(1000)
    assert told.stdout.split() == short_runs()
