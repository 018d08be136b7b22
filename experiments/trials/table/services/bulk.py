"""Cancel and retry many runs at once: each that can be, and why the others cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from experiments.errors import Conflict, NotFound
from experiments.models import Trial
from experiments.models.project import Role
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services import added_trials, control
from experiments.trials.table.queries.run_scope import shown_runs

MOST = 10_000  # runs of one request


@dataclass(frozen=True, slots=True)
class Done:
    """Number of runs that it was done to, and reasons of refusals with their numbers."""

    count: int
    refused: tuple[tuple[str, int], ...]

    def words(self, done: str) -> str:
        """The outcome in a sentence."""
        text = f"{done} {self.count:,} {'run' if self.count == 1 else 'runs'}."
        return " ".join([text, *(f"{count:,} not: {reason}" for reason, count in self.refused)])


def cancel(*, access: Access, run_ids: Sequence[int]) -> Done:
    """Cancel every run among these that waits, or that a worker of ours runs.

    Raises:
        NotAllowed: to someone who is no editor.
        Conflict: when there are too many for one request.
    """
    return _each(access, run_ids, lambda trial: control.cancel(access=access, trial=trial))


def retry(*, access: Access, run_ids: Sequence[int]) -> Done:
    """Queue every run among these again that failed by accident.

    Raises:
        NotAllowed: to someone who is no editor.
        Conflict: when there are too many for one request.
    """
    return _each(access, run_ids, lambda trial: added_trials.retry(access=access, trial=trial))


def _each(access: Access, run_ids: Sequence[int], act: Callable[[Trial], object]) -> Done:
    access.require(Role.EDITOR)
    if len(run_ids) > MOST:
        raise Conflict(f"At most {MOST:,} runs at once; found {len(run_ids):,}.")
    count, refused = 0, Counter[str]()
    for row in (
        shown_runs(access.project_id)
        .filter(pk__in=run_ids)
        .select_related("study", "configuration", "environment")
        .order_by("pk")
    ):
        try:
            act(row)
            count += 1
        except (Conflict, NotFound) as error:
            refused[error.message] += 1
    return Done(count, tuple(refused.most_common()))
