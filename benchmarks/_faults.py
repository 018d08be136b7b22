"""Kill what runs trials, at the moments that hurt, and count afterwards what is there.

Used by the benchmark `faults` on PostgreSQL and by a short test on whichever database it runs.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from django.db import DatabaseError, InterfaceError, connections, transaction

from benchmarks._cluster import Workers
from benchmarks._faults_training import expected, read_trace
from experiments.models import Experiment, Finding, ParameterImportance, Trial, TrialReading
from experiments.models.trial import TrialState
from experiments.models.trial_encoding import decode
from experiments.trials.findings.queries.importance import LEAST_TRIALS
from experiments.trials.series.queries import series

MOMENTS = ("training process in training", "worker in training", "right after a resume")
BEFORE_COMMIT = "between value and commit"
Result = TypeVar("Result")

TEXT = """
project: faults
experiment: killed
goal: What is left when everything that runs it is killed again and again?
objective: benchmarks._faults_training:counted
metrics:
  validation_accuracy: {{official: true, direction: maximize}}
search: {{sampler: halton, trials: {trials}, parallel: {parallel}, seed: {seed}, pruner: none}}
hyperparameters:
  x: {{role: nuisance, low: 0.0, high: 1.0}}
  steps: {{role: fixed, value: {steps}}}
  pause: {{role: fixed, value: {pause}}}
"""


def plan(count: int, rng: np.random.Generator) -> list[str]:
    """At which moments to kill, all kinds equally often, in a random order.

    Right after a resume is always the second of two: the first makes what is resumed.
    """
    first = [MOMENTS[0], MOMENTS[1], BEFORE_COMMIT]
    resumes = count // 4
    others = [first[number % len(first)] for number in range(count - resumes)]
    followed = set(rng.choice(len(others), resumes, replace=False).tolist())
    moments = []
    for number, place in enumerate(rng.permutation(len(others))):
        moments.append(others[place])
        if number in followed:
            moments.append(MOMENTS[2])
    return moments


def persistently(action: Callable[[], Result], seconds: float = 60) -> Result:
    """Do it, again while the database is away."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except (DatabaseError, InterfaceError):
            connections.close_all()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@dataclass(slots=True)
class Killer:
    """Kills training processes and workers; what it did is in `kills`.

    Args:
        trace: the file that training processes write their events to.
        step_seconds: how long a step takes, so that kills fall anywhere in a run.
    """

    experiment_id: int
    workers: Workers
    trace: Path
    rng: np.random.Generator
    step_seconds: float
    steps: int
    kills: Counter[str] = field(default_factory=Counter)
    _killed: set[int] = field(default_factory=set)

    def kill(self, moment: str, *, seconds: float = 60) -> bool:
        """Wait for the moment and kill; False when it did not come within `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.is_finished():
            if self._try(moment, deadline):
                self.kills[moment] += 1
                return True
            time.sleep(0.02)
        return False

    def is_finished(self) -> bool:
        found = persistently(lambda: Experiment.objects.get(pk=self.experiment_id))
        return found.state == "finished"

    def _try(self, moment: str, deadline: float) -> bool:
        if moment == BEFORE_COMMIT:
            return self._before_commit(deadline)
        again = moment == MOMENTS[2]
        running = self.running(resumed=again)
        if not running:
            return False
        event = running[int(self.rng.integers(len(running)))]
        if not again:
            time.sleep(float(self.rng.uniform(0, self.steps * self.step_seconds)))
        if moment == MOMENTS[0] or (again and self.rng.random() < 0.5):
            return self._kill_training(event)
        return self._kill_worker(event)

    def running(self, *, resumed: bool = False) -> list[dict[str, Any]]:
        """The newest `begun` of each run that has not ended and was not killed."""
        newest: dict[float, dict[str, Any]] = {}
        attempts: Counter[float] = Counter()
        for event in read_trace(self.trace):
            if event["event"] == "begun":
                attempts[event["x"]] += 1
                newest[event["x"]] = event
            elif event["event"] == "ended":
                newest.pop(event["x"], None)
        young = time.time() - 0.5 * self.steps * self.step_seconds
        return [
            event
            for x, event in newest.items()
            if self.workers.pid_of(event["worker"]) is not None
            and event["pid"] not in self._killed
            and (not resumed or (attempts[x] > 1 and event["at"] > young))
        ]

    def _kill_training(self, event: dict[str, Any]) -> bool:
        if not self._still_runs(event):
            return False
        self._killed.add(event["pid"])
        os.kill(event["pid"], signal.SIGKILL)
        return True

    def _kill_worker(self, event: dict[str, Any]) -> bool:
        if not self._still_runs(event):
            return False
        pid = self.workers.pid_of(event["worker"])
        if pid is None:
            return False
        self._killed.add(event["pid"])
        self.workers.kill(pid)
        self.workers.start()
        return True

    def _still_runs(self, event: dict[str, Any]) -> bool:
        """Whether the process of an event still trains."""
        if self.workers.pid_of(event["worker"]) is None:
            return False
        mine = [one for one in read_trace(self.trace) if one.get("pid") == event["pid"]]
        last = [one for one in mine if one["event"] in ("begun", "ended")][-1]
        return bool(last["event"] == "begun" and Path(f"/proc/{event['pid']}").exists())

    def _before_commit(self, deadline: float) -> bool:
        """Hold the row that a result is counted in, so that a result waits; kill its worker."""
        since = time.time()
        with suppress(DatabaseError, InterfaceError), transaction.atomic():
            Experiment.objects.select_for_update().get(pk=self.experiment_id)
            until = min(deadline, time.monotonic() + 3 * self.steps * self.step_seconds)
            while time.monotonic() < until:
                ended = [
                    event
                    for event in read_trace(self.trace)
                    if event["event"] == "ended"
                    and event["at"] > since
                    and self.workers.pid_of(event["worker"]) is not None
                ]
                if ended:
                    time.sleep(0.3)  # the result is on its way and waits
                    pid = self.workers.pid_of(ended[-1]["worker"])
                    if pid is None:
                        return False
                    self.workers.kill(pid)
                    self.workers.start()
                    return True
                time.sleep(0.02)
        return False


def problems(experiment_id: int, *, trials: int, steps: int, trace: Path) -> list[str]:
    """Whatever is not as if nothing had been killed; empty when all is well."""
    experiment = Experiment.objects.get(pk=experiment_id)
    rows = list(Trial.objects.filter(study__experiment=experiment).order_by("number"))
    found = _wrong_trials(rows, trials)
    found += _wrong_series(rows, steps)
    found += _wrong_starts(trace)
    found += _not_derived(experiment, rows)
    values = [expected(_x(trial), steps)["validation_accuracy"] for trial in rows]
    best = max(values)
    counters = (experiment.trial_count, experiment.complete_count, experiment.failed_count)
    if counters != (trials, trials, 0) or experiment.pruned_count:
        found.append(f"the counters say {counters}")
    if experiment.best_value != best:
        found.append(f"the best value is {experiment.best_value}, not {best}")
    chosen = experiment.best_trial
    if chosen is None or chosen.value != best:
        found.append("the best trial is another one")
    for trial, value in zip(rows, values, strict=True):
        if trial.value != value:
            found.append(f"trial {trial.number} has the value {trial.value}, not {value}")
    return found


def _x(trial: Trial) -> float:
    return float(decode(trial.parameters)["x"])


def _wrong_trials(rows: list[Trial], trials: int) -> list[str]:
    found = []
    if [trial.number for trial in rows] != list(range(trials)):
        found.append(f"the numbers are {[trial.number for trial in rows]}")
    if sorted(trial.row if trial.row is not None else -1 for trial in rows) != list(range(trials)):
        found.append("rows of the sequence are missing or taken twice")
    open_ones = [trial.number for trial in rows if trial.state != TrialState.COMPLETE]
    if open_ones:
        found.append(f"not complete: {open_ones}")
    return found


def _wrong_series(rows: list[Trial], steps: int) -> list[str]:
    found = []
    curves = series.read([trial.pk for trial in rows])
    wanted = list(range(1, steps + 1))
    for trial in rows:
        for name in expected(0.0, 1):
            columns = curves.get(trial.pk, {}).get(name)
            logged = [] if columns is None else columns.steps.tolist()
            if columns is None or logged != wanted:
                found.append(f"trial {trial.number}: {name} has the steps {logged}")
            elif columns.values.tolist() != [expected(_x(trial), s)[name] for s in wanted]:
                found.append(f"trial {trial.number}: {name} has other values")
    return found


def is_settled(experiment_id: int) -> bool:
    """Whether nothing is owed of an experiment any more."""
    experiment = Experiment.objects.get(pk=experiment_id)
    owed = Trial.objects.filter(study__experiment=experiment, findings_due=True)
    return experiment.derived_count == experiment.trial_count and not owed.exists()


def _not_derived(experiment: Experiment, rows: list[Trial]) -> list[str]:
    """What follows from results: findings of each trial and of all, and the importance."""
    read = set(TrialReading.objects.filter(trial__in=rows).values_list("trial_id", flat=True))
    found = [f"trial {row.number} has no findings" for row in rows if row.pk not in read]
    if not Finding.objects.filter(experiment=experiment, trial=None).exists():
        found.append("there are no findings across trials")
    held = ParameterImportance.objects.filter(experiment=experiment).first()
    if len(rows) >= LEAST_TRIALS and (held is None or held.trials != len(rows)):
        found.append("the importance was not made from all trials")
    return found


def _wrong_starts(trace: Path) -> list[str]:
    """A run begins anew or goes on from a checkpoint that was saved."""
    found = []
    saved: set[tuple[float, int]] = set()
    for event in read_trace(trace):
        step = event.get("start", 0)
        if event["event"] == "saved":
            saved.add((event["x"], event["step"]))
        elif step and (event["x"], step) not in saved:
            found.append(f"x = {event['x']} began at {step}, which was never saved")
    return found


def behind_the_last_save(trace: Path) -> int:
    """Runs that went on from further back than the last checkpoint that was saved.

    A checkpoint counts when its record has arrived in the database; a worker that is killed
    before takes the record with it. The run repeats those steps, and its curve is whole.
    """
    count = 0
    saved: dict[float, int] = {}
    for event in read_trace(trace):
        if event["event"] == "saved":
            saved[event["x"]] = event["step"]
        elif event["event"] == "begun":
            count += event["start"] < saved.get(event["x"], 0)
    return count
