"""The work of `benchmarks.storage`, done by processes that each hold one storage open."""

from __future__ import annotations

import itertools
import random
import statistics
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

import optuna
from optuna.distributions import FloatDistribution, distribution_to_json
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalRedisBackend
from optuna.trial import Trial

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")
PARAMETERS = 10
REPORTS = 20
STUDY = "measured"
FILLED = "filled"


def open_storage(kind: str, url: str) -> BaseStorage:
    """`kind` is verdict, rdb, journal or memory; a journal's url is a path or redis."""
    if kind == "verdict":
        from workers.search.storage import VerdictStorage

        return VerdictStorage(url)
    if kind == "memory":
        return InMemoryStorage()
    if kind == "journal":
        redis = url.startswith(("redis", "unix"))
        return JournalStorage(JournalRedisBackend(url) if redis else JournalFileBackend(url))
    return get_storage(url.replace("postgresql://", "postgresql+psycopg2://"))


def objective(trial: Trial) -> float:
    return sum(trial.suggest_float(f"x{index}", 0.0, 1.0) for index in range(PARAMETERS))


def objective_at_once(trial: Trial) -> float:
    """As our workers ask: all parameters before the training starts, written together."""
    storage: Any = trial.storage
    with storage.parameters_at_once(trial._trial_id):
        return objective(trial)


def objective_with_reports(trial: Trial) -> float:
    value = objective(trial)
    for step in range(REPORTS):
        trial.report(value + 1 / (step + 1), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


OBJECTIVES: dict[str, Callable[[Trial], float]] = {
    "plain": objective,
    "at once": objective_at_once,
    "reports": objective_with_reports,
}


class Contestant:
    """One storage in a process of its own; answers `(method, arguments)` until None comes."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind, self.url = kind, url
        self.storage = open_storage(kind, url)

    def trials(self, count: int, work: str, sampler: str, study: str) -> float:
        """Seconds a trial, over so many more trials of a study."""
        handle = optuna.create_study(
            storage=self.storage,
            study_name=study,
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler() if sampler == "TPE" else _random(),
            pruner=optuna.pruners.MedianPruner() if work == "reports" else _none(),
        )
        start = time.perf_counter()
        handle.optimize(OBJECTIVES[work], n_trials=count)
        return (time.perf_counter() - start) / count

    def median_trial(self, count: int, study: str) -> float:
        """Median seconds of so many more trials, Random."""
        marks = [time.perf_counter()]
        handle = optuna.load_study(storage=self.storage, study_name=study, sampler=_random())
        handle.optimize(
            objective, n_trials=count, callbacks=[lambda *_: marks.append(time.perf_counter())]
        )
        return statistics.median(b - a for a, b in itertools.pairwise(marks))

    def until(self, deadline: float, study: str) -> int:
        """Run trials until a time; returns how many."""
        handle = optuna.load_study(storage=self.storage, study_name=study, sampler=_random())
        done = 0
        while time.time() < deadline:
            handle.optimize(objective_with_reports, n_trials=1)
            done += 1
        return done

    def read_until(self, deadline: float, study: str) -> int:
        """Read the whole study without memory, as a page does; returns how often."""
        done = 0
        while time.time() < deadline:
            fresh = open_storage(self.kind, self.url)
            fresh.get_all_trials(fresh.get_study_id_from_name(study), deepcopy=False)
            done += 1
        return done

    def finished(self, study: str) -> tuple[int, int]:
        """How many trials have finished, and how many numbers are taken."""
        trials = open_storage(self.kind, self.url).get_all_trials(
            self.storage.get_study_id_from_name(study), deepcopy=False
        )
        return sum(trial.state.is_finished() for trial in trials), len({t.number for t in trials})

    def fill(self, trials: int, steps: int, study: str) -> None:
        """Store so many finished trials, the fastest way that the storage has."""
        fill(self.storage, trials, steps, study)

    def read(self, study: str) -> float:
        """Seconds until a process that is new to the study holds all its trials."""
        start = time.perf_counter()
        found = optuna.load_study(storage=self.storage, study_name=study).trials
        seconds = time.perf_counter() - start
        assert found
        return seconds


def serve(pipe: Connection, kind: str, url: str) -> None:
    """Hold a storage and do what is asked for; a failure is answered, too."""
    contestant = Contestant(kind, url)
    pipe.send(None)
    while (asked := pipe.recv()) is not None:
        method, arguments = asked
        try:
            pipe.send(getattr(contestant, method)(*arguments))
        except Exception as error:
            pipe.send(error)


def fill(storage: BaseStorage, trials: int, steps: int, study: str) -> None:
    rng, unit, now = random.Random(0), FloatDistribution(0.0, 1.0), datetime.now(UTC)
    if isinstance(storage, JournalStorage):
        _fill_journal(storage, trials, steps, study, rng)
    elif isinstance(inner := getattr(storage, "_backend", None), RDBStorage):
        _fill_tables(inner, trials, steps, study, rng)
    elif isinstance(storage, InMemoryStorage):
        handle = optuna.create_study(storage=storage, study_name=study)
        for _ in range(trials):
            names = [f"x{index}" for index in range(PARAMETERS)]
            handle.add_trial(
                optuna.trial.create_trial(
                    value=rng.random(),
                    params={name: rng.random() for name in names},
                    distributions=dict.fromkeys(names, unit),
                )
            )
    else:
        from experiments.trials.lifecycle.services import studies

        studies.create_filled(
            name=study,
            directions=["minimize"],
            user_attributes={},
            system_attributes={},
            trials=[
                {
                    "state": 1,
                    "values": [rng.random()],
                    "parameters": {
                        f"x{index}": (rng.random(), unit) for index in range(PARAMETERS)
                    },
                    "reports": {step: rng.random() for step in range(steps)},
                    "started_at": now,
                    "finished_at": now,
                }
                for _ in range(trials)
            ],
        )


def _fill_journal(
    storage: JournalStorage, trials: int, steps: int, study: str, rng: random.Random
) -> None:
    study_id = optuna.create_study(storage=storage, study_name=study)._study_id
    text, when = distribution_to_json(FloatDistribution(0.0, 1.0)), datetime.now(UTC).isoformat()
    names = [f"x{index}" for index in range(PARAMETERS)]
    for _ in range(0, trials, 500):
        storage._backend.append_logs(
            [
                {
                    "op_code": 4,
                    "worker_id": "fill",
                    "study_id": study_id,
                    "datetime_start": when,
                    "datetime_complete": when,
                    "state": 1,
                    "value": rng.random(),
                    "values": None,
                    "distributions": dict.fromkeys(names, text),
                    "params": {name: rng.random() for name in names},
                    "user_attrs": {},
                    "system_attrs": {},
                    "intermediate_values": {str(step): rng.random() for step in range(steps)},
                }
                for _ in range(500)
            ]
        )


def _fill_tables(
    storage: RDBStorage, trials: int, steps: int, study: str, rng: random.Random
) -> None:
    from optuna.storages._rdb import models
    from sqlalchemy import insert

    study_id = optuna.create_study(storage=storage, study_name=study)._study_id
    text, now = distribution_to_json(FloatDistribution(0.0, 1.0)), datetime.now()
    with storage.engine.begin() as connection:
        for start in range(0, trials, 500):
            numbers = range(start, start + 500)
            ids = {number: 1_000_000 + number for number in numbers}  # past those in use
            rows: list[tuple[Any, list[dict[str, Any]]]] = [
                (
                    models.TrialModel,
                    [
                        {
                            "trial_id": key,
                            "number": number,
                            "study_id": study_id,
                            "state": "COMPLETE",
                            "datetime_start": now,
                            "datetime_complete": now,
                        }
                        for number, key in ids.items()
                    ],
                ),
                (
                    models.TrialParamModel,
                    [
                        {
                            "trial_id": key,
                            "param_name": f"x{index}",
                            "param_value": rng.random(),
                            "distribution_json": text,
                        }
                        for key in ids.values()
                        for index in range(PARAMETERS)
                    ],
                ),
                (
                    models.TrialValueModel,
                    [
                        {
                            "trial_id": key,
                            "objective": 0,
                            "value": rng.random(),
                            "value_type": "FINITE",
                        }
                        for key in ids.values()
                    ],
                ),
                (
                    models.TrialIntermediateValueModel,
                    [
                        {
                            "trial_id": key,
                            "step": step,
                            "intermediate_value": rng.random(),
                            "intermediate_value_type": "FINITE",
                        }
                        for key in ids.values()
                        for step in range(steps)
                    ],
                ),
            ]
            for model, values in rows:
                if values:
                    connection.execute(insert(model.__table__), values)


def _random() -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler()


def _none() -> optuna.pruners.BasePruner:
    return optuna.pruners.NopPruner()
