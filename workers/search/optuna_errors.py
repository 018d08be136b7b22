"""The domain's errors as those that Optuna's storage interface promises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import UpdateFinishedTrialError

from experiments.errors import NotFound, TrialFenced, TrialFinished
from workers.search.bare_django import drop_broken_connection


class FinishedTrialError(UpdateFinishedTrialError, TrialFinished):
    """The trial has its result; it stands."""


class FencedTrialError(UpdateFinishedTrialError, TrialFenced):
    """Another worker has taken the trial over; nothing of ours is written any more."""


@contextmanager
def optuna_errors() -> Iterator[None]:
    """Raise what Optuna's interface promises; after a lost connection the next call gets another.

    Raises:
        KeyError: what is asked for is not there.
        FinishedTrialError, FencedTrialError: the trial takes no more writes of this caller.
    """
    try:
        yield
    except NotFound as error:
        raise KeyError(error.message) from None
    except TrialFenced as error:
        raise FencedTrialError(error.message) from None
    except TrialFinished as error:
        raise FinishedTrialError(error.message) from None
    except Exception as error:
        drop_broken_connection(error)
        raise
