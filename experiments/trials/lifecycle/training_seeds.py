"""Training seeds of search trials, derived so that any worker derives the same."""

from __future__ import annotations

import numpy as np

_ROW, _FIRST, _ASKED, _PROBE = 1, 2, 3, 4


def _derive(seed: int, branch: int, index: int) -> int:
    return int(np.random.SeedSequence([seed, branch, index]).generate_state(1)[0]) & 0x7FFFFFFF


def row_seed(seed: int, row: int) -> int:
    """Training seed of the trial at `row` of a search: the same in every arm."""
    return _derive(seed, _ROW, row)


def first_seed(seed: int, index: int) -> int:
    """Training seed of the known-good configuration `index` of an experiment file."""
    return _derive(seed, _FIRST, index)


def asked_seed(seed: int, number: int) -> int:
    """Training seed of a configuration that a person asked for, tried as trial `number`."""
    return _derive(seed, _ASKED, number)


def probe_seed(seed: int, number: int) -> int:
    """Root of the training seeds of probe `number` of an experiment."""
    return _derive(seed, _PROBE, number)
