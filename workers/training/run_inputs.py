"""Inputs of a run: parameters, seeds, data, budget."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from workers.training.messages import Job


class RunInputs:
    """The part of a `workers.training.run.Run` that a training function reads."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._params = MappingProxyType(dict(job.params))
        self.read_split_seed = False
        self.read_data = False

    @property
    def params(self) -> Mapping[str, Any]:
        """Hyperparameters by name, fixed ones included; read-only."""
        return self._params

    @property
    def train_seed(self) -> int:
        """Seed of everything random in training: initial weights, order of batches, dropout."""
        return self._job.train_seed

    @property
    def split_seed(self) -> int:
        """Seed of the split into training, validation and test data.

        Reading it is recorded: a verdict over several splits says so only when splits varied.
        """
        self.read_split_seed = True
        return self._job.split_seed

    @property
    def data(self) -> Mapping[str, str]:
        """The data to train on as the experiment file names them: name, version and checksum, as
        far as they are given; empty when it names none.
        """
        self.read_data = True
        return MappingProxyType(dict(self._job.data))

    @property
    def search_seed(self) -> int | None:
        """Seed of the search that chose these parameters; None when no search did."""
        return self._job.search_seed

    @property
    def budget(self) -> float | None:
        """Amount to spend: epochs, a fraction of the data, or a width, whichever the experiment
        file names under `fidelity:`; None when it names none.
        """
        return self._job.budget

    @property
    def folds(self) -> int:
        """Number of folds, 0 when the data are split once."""
        return self._job.folds

    @property
    def fold(self) -> int | None:
        """Index of the fold, from 0, that is held out to validate on; None when there are none."""
        return self._job.fold

    @property
    def suffix(self) -> str:
        """Suffix that tells this pass of several from the others, as in the names of its series:
        `[fold=2]`, `[width=8]`; empty for the one that counts.
        """
        return self._job.suffix
