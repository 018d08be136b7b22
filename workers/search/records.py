"""The services and queries that the storage speaks to.

They need Django's models, and so cannot be imported before Django is set up; a bare process sets
it up when its first storage is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.models.trial_rows import Texts
    from experiments.trials.lifecycle.queries import studies as study_queries
    from experiments.trials.lifecycle.queries import trials as trial_queries
    from experiments.trials.lifecycle.services import statements, studies, trials
    from workers.search.study_cache import StudyCache

__all__ = [
    "StudyCache",
    "Texts",
    "load",
    "statements",
    "studies",
    "study_queries",
    "trial_queries",
    "trials",
]


def load() -> None:
    """Import them, once Django is set up."""
    global StudyCache, Texts, statements, studies, study_queries, trial_queries, trials
    from experiments.models.trial_rows import Texts
    from experiments.trials.lifecycle.queries import studies as study_queries
    from experiments.trials.lifecycle.queries import trials as trial_queries
    from experiments.trials.lifecycle.services import statements, studies, trials
    from workers.search.study_cache import StudyCache
