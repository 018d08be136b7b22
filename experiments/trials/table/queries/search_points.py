"""The finished trials of a search as charts of the whole search read them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.design.trial_names import trial_name
from experiments.models.trial import FINISHED, TrialState
from experiments.models.trial_encoding import decode_all
from experiments.trials.table.queries.trial_table import search_trials


@dataclass(frozen=True, slots=True)
class SearchPoints:
    """All finished search trials [N], by number and then by arm.

    names: as pages call them. states: of `TrialState`. arms: index of each one's arm. scores: in
    the metric's unit; NaN for a failed or pruned trial and for one without a finite score.
    parameters: of each trial, empty when they were not asked for. started, finished: seconds
    since the first of them began; NaN where that is not known.
    """

    names: list[str] = field(repr=False)
    states: NDArray[np.int64] = field(repr=False)
    arms: NDArray[np.int64] = field(repr=False)
    scores: NDArray[np.float64] = field(repr=False)
    parameters: list[dict[str, Any]] = field(repr=False)
    started: NDArray[np.float64] = field(repr=False)
    finished: NDArray[np.float64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """[N] trials that ran to their end and have a finite score."""
        mask: NDArray[np.bool_] = (self.states == TrialState.COMPLETE) & np.isfinite(self.scores)
        return mask

    @property
    def failed(self) -> NDArray[np.bool_]:
        """[N] infeasible trials: failed, or without a finite score; pruned ones are not."""
        return ~self.complete & ~self.pruned

    @property
    def pruned(self) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = self.states == TrialState.PRUNED
        return mask

    def column(self, name: str) -> list[Any]:
        """The values [N] of one hyperparameter, None where a trial lacks it."""
        return [found.get(name) for found in self.parameters]


def search_points(
    experiment_id: int, arms: int, *, parameters: bool = True, times: bool = False
) -> SearchPoints:
    """Every finished search trial of an experiment, in one query of plain columns."""
    rows = list(
        search_trials(experiment_id)
        .filter(state__in=FINISHED)
        .order_by("number", "study__arm_index")
        .values_list(
            "number",
            "study__arm_index",
            "state",
            "value",
            *(("parameters",) if parameters else ()),
            *(("started_at", "finished_at") if times else ()),
        )
    )
    states = np.array([row[2] for row in rows], dtype=np.int64)
    scores = np.array([math.nan if row[3] is None else row[3] for row in rows], dtype=np.float64)
    scores[states != TrialState.COMPLETE] = math.nan
    started, finished = (
        seconds_since_first([row[-2] for row in rows], [row[-1] for row in rows])
        if times
        else (np.empty(0), np.empty(0))
    )
    return SearchPoints(
        names=[trial_name(row[0], arm=row[1], arms=arms) for row in rows],
        states=states,
        arms=np.array([row[1] for row in rows], dtype=np.int64),
        scores=scores,
        parameters=decode_all([row[4] for row in rows]) if parameters else [],
        started=started,
        finished=finished,
    )


def seconds_since_first(
    started: list[datetime | None], finished: list[datetime | None]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Starts and ends [N] in seconds since the first start; NaN where one is not known."""
    known = [moment for moment in started if moment is not None]
    first = min(known) if known else None

    def since(moments: list[datetime | None]) -> NDArray[np.float64]:
        return np.array(
            [
                math.nan if moment is None or first is None else (moment - first).total_seconds()
                for moment in moments
            ],
            dtype=np.float64,
        )

    return since(started), since(finished)
