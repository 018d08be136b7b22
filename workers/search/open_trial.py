"""Cache of an unfinished trial that this process writes to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.models.trial_encoding import Parameter
    from experiments.models.trial_rows import Texts, TrialRow
    from experiments.trials.lifecycle.services.trial_finishing import Outcome


@dataclass(slots=True)
class OpenTrial:
    """An unfinished trial that this process writes to."""

    study_id: int
    texts: Texts | None  # as this process last saw them; None: to be read
    attempts: dict[int, int] = field(default_factory=dict)  # by the thread that holds it
    gathered: dict[str, Parameter] | None = None  # parameters that wait to be written together
    row: TrialRow | None = None  # as it was claimed, while nothing has been written since
    incarnation: str = ""  # of the database when it was first written to
    # What was written without waiting for the disk, in order: repeated when a crash lost it.
    unsynced: list[Callable[[], object]] = field(default_factory=list)
    outcome: Outcome = field(default_factory=dict)  # type: ignore[assignment]

    def wrote(self, again: Callable[[], object]) -> None:
        """Keep what was written without waiting for the disk, where only the database may die."""
        if self.incarnation:
            self.unsynced.append(again)

    @property
    def attempt(self) -> int | None:
        """The attempt that this thread holds the trial with; None for a program from outside.

        Two threads may hold one trial, when the first was given up for lost. A third that holds
        none writes as the older: it is rather refused than let through.
        """
        attempt_of_thread = self.attempts.get(threading.get_ident())
        return (
            min(self.attempts.values(), default=None)
            if attempt_of_thread is None
            else attempt_of_thread
        )
