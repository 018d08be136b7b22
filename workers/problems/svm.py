"""A small real problem of milliseconds: telling tumours apart with a support vector machine.

Data: the 569 cases of 30 measurements that scikit-learn ships (Wolberg, Mangasarian, Street and
Street, "Breast Cancer Wisconsin (Diagnostic)", UCI, 1995). A fifth, drawn by `split_seed`, is kept
for the test; the rest is split into folds where the experiment has folds, and otherwise into
training and validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from workers.training.run import Run

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.25  # of what is not kept for the test
MACHINE = ("C", "gamma", "data_fraction")
DESCENT = ("alpha", "learning_rate", "epochs")

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parts:
    """Measurements [N, 30], scaled by the training part, and what they are [N]."""

    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    test: tuple[Any, Any]


def fit(run: Run) -> None:
    """Fit a machine with a Gaussian kernel: hyperparameters C and gamma.

    With `data_fraction` it sees that share of the training part, the same cases at its beginning
    for every larger share.
    """
    params = _read(run.params, MACHINE)
    parts = split(run.split_seed, folds=run.folds, fold=run.fold)
    train, truth = parts.train
    fraction = params.get("data_fraction", 1.0)
    if not 0 < fraction <= 1:
        raise ValueError(f"data_fraction: found {fraction}, expected above 0, at most 1")
    order = np.random.default_rng(run.train_seed).permutation(len(truth))
    seen = order[: max(20, round(fraction * len(order)))]
    machine = SVC(C=params.get("C", 1.0), gamma=params.get("gamma", 1 / 30))
    machine.fit(train[seen], truth[seen])
    run.log(
        {
            "train_accuracy": machine.score(train[seen], truth[seen]),
            "validation_accuracy": machine.score(*parts.validation),
            "test_accuracy": machine.score(*parts.test),
        },
        step=1,
    )


def descend(run: Run) -> None:
    """Fit a linear machine by stochastic gradient descent, evaluated after every epoch. Goes on
    from a checkpoint where it was taken up again.

    Hyperparameters: alpha (how strongly it is regularised), learning_rate, epochs.
    """
    params = _read(run.params, DESCENT)
    parts = split(run.split_seed, folds=run.folds, fold=run.fold)
    train, truth = parts.train
    epochs = int(params.get("epochs", 20))
    machine = SGDClassifier(
        alpha=params.get("alpha", 1e-4),
        learning_rate="constant",
        eta0=params.get("learning_rate", 1e-2),
        random_state=run.train_seed % 2**32,
    )
    done = _taken_up(machine, run.load_checkpoint())
    for epoch in run.until_stopped(range(done + 1, epochs + 1)):
        machine.partial_fit(train, truth, classes=[0, 1])
        signs = np.where(truth == 1, 1.0, -1.0)
        hinge = np.maximum(0.0, 1.0 - signs * machine.decision_function(train))
        run.log(
            {
                "train_loss": float(hinge.mean()),
                "validation_accuracy": machine.score(*parts.validation),
                "test_accuracy": machine.score(*parts.test),
            },
            step=epoch,
        )
        if run.checkpoint_due:
            run.save_checkpoint(_state(machine, epoch), step=epoch)


def _state(machine: SGDClassifier, epoch: int) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "weights": machine.coef_.tolist(),
        "offset": machine.intercept_.tolist(),
        "steps": float(machine.t_),
    }


def _taken_up(machine: SGDClassifier, state: dict[str, Any] | None) -> int:
    """Give a machine what a checkpoint holds; the epochs that it has been through."""
    if state is None:
        return 0
    machine.coef_, machine.intercept_ = np.array(state["weights"]), np.array(state["offset"])
    machine.t_ = state["steps"]
    return int(state["epoch"])


def split(split_seed: int, *, folds: int = 0, fold: int | None = None) -> Parts:
    """The parts of the data, with equal shares of both kinds of tumour in each."""
    values, truth = _cases()
    state = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(split_seed)))
    rest, test = train_test_split(
        np.arange(len(truth)), test_size=TEST_SHARE, stratify=truth, random_state=state
    )
    train, validation = _train_and_validation(rest, truth, folds, fold, state)
    scaler = StandardScaler().fit(values[train])

    def part(rows: Rows) -> tuple[Any, Any]:
        return scaler.transform(values[rows]), truth[rows]

    return Parts(part(train), part(validation), part(test))


def _train_and_validation(
    rest: Rows,
    truth: NDArray[np.int64],
    folds: int,
    fold: int | None,
    state: np.random.RandomState,
) -> tuple[Rows, Rows]:
    if not folds:
        train, validation = train_test_split(
            rest, test_size=VALIDATION_SHARE, stratify=truth[rest], random_state=state
        )
        return train, validation
    splits = StratifiedKFold(folds, shuffle=True, random_state=state).split(rest, truth[rest])
    train_rows, validation_rows = list(splits)[fold or 0]
    return rest[train_rows], rest[validation_rows]


@cache
def _cases() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    values, truth = load_breast_cancer(return_X_y=True)
    return values, truth


def _read(params: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, float]:
    """The parameters as numbers.

    Raises:
        ValueError: that names one that is unknown or no positive number.
    """
    for name, value in params.items():
        if name not in known:
            raise ValueError(f"unknown parameter {name!r}; known are {', '.join(known)}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not value > 0:
            raise ValueError(f"{name}: found {value!r}, expected a number above 0")
    return {name: float(value) for name, value in params.items()}
