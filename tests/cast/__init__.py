"""Named people, projects, searches and decisions with the same numbers every time.

Tests write `from tests import cast` and use single members of it; `cast.everything()` builds a
database in which every page has something to show. A member lives in the room whose name says so.
"""

from tests.cast.edges import RATE, rates_file, rising, searched_rates
from tests.cast.experiment_files import (
    EPOCHS,
    GOAL,
    LABEL_SMOOTHING,
    LEARNING_RATE,
    OBJECTIVE,
    exactly,
)
from tests.cast.findings import finding, some_findings
from tests.cast.media import log_image, some_media
from tests.cast.people import access, person, project
from tests.cast.recorded_decisions import by_hand, decide, decided
from tests.cast.reports import frozen_report
from tests.cast.searches import (
    address,
    end,
    failing_search,
    finish_search,
    finished_search,
    offering_worker,
    running_search,
    search,
)
from tests.cast.seeds import candidates, finish_pairs, repeated
from tests.cast.studies import free_study
from tests.cast.training_curves import START, curves, log
from tests.cast.training_runs import (
    finished_trial,
    many_trials,
    running_trial,
    sampled,
    series_of,
    summarise,
)
from tests.cast.whole_database import everything

__all__ = [
    "EPOCHS",
    "GOAL",
    "LABEL_SMOOTHING",
    "LEARNING_RATE",
    "OBJECTIVE",
    "RATE",
    "START",
    "access",
    "address",
    "by_hand",
    "candidates",
    "curves",
    "decide",
    "decided",
    "end",
    "everything",
    "exactly",
    "failing_search",
    "finding",
    "finish_pairs",
    "finish_search",
    "finished_search",
    "finished_trial",
    "free_study",
    "frozen_report",
    "log",
    "log_image",
    "many_trials",
    "offering_worker",
    "person",
    "project",
    "rates_file",
    "repeated",
    "rising",
    "running_search",
    "running_trial",
    "sampled",
    "search",
    "searched_rates",
    "series_of",
    "some_findings",
    "some_media",
    "summarise",
]  # fmt: skip
