"""A generated experiment for the benchmark of pages: many trials, each with its curves."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

PROJECT, EXPERIMENT = "bench", "wide-search"
PERSON, PASSWORD = "ada", "correct horse"
START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
METRIC = "validation_accuracy"
KINDS_OF_CURVES = 64
METRICS = tuple(f"metric_{number:02d}" for number in range(20))  # of each trial, summarised
FILE = """\
project: {project}
experiment: {name}
goal: Which optimizer settings does the wide network need?
objective: workers.problems.digits:train
metrics:
  validation_accuracy: {{official: true, direction: maximize, resolution: 0.0001}}
search: {{sampler: halton, trials: {trials}, parallel: 8, seed: {seed}}}
hyperparameters:
  optimizer:       {{role: scientific, choices: [adam, sgd]}}
  learning_rate:   {{role: nuisance, low: 1.0e-5, high: 1.0, log: true}}
  momentum:        {{role: nuisance, low: 0.5, high: 0.999}}
  weight_decay:    {{role: nuisance, low: 1.0e-6, high: 1.0e-1, log: true}}
  dropout:         {{role: nuisance, low: 0.0, high: 0.6, natural: [low]}}
  label_smoothing: {{role: nuisance, low: 0.0, high: 0.3, natural: [low]}}
  warmup_steps:    {{role: nuisance, low: 1, high: 10000, log: true, type: int}}
  batch_size:      {{role: nuisance, choices: [32, 64, 128, 256, 512], ordered: true}}
  activation:      {{role: nuisance, choices: [relu, gelu, silu]}}
"""


def fill(trials: int, points: int) -> None:
    """Two experiments of one project, migrated tables given; the second has a twentieth."""
    from django.contrib.auth.models import User

    from experiments.models import Experiment, Membership, Project

    user = User.objects.create_user(PERSON, password=PASSWORD)
    project = Project.objects.create(
        slug=PROJECT, name="Bench", official_metric=METRIC, direction="maximize"
    )
    Membership.objects.create(user=user, project=project, role="admin")
    from workers.node import importance

    _experiment(user, EXPERIMENT, trials, points, seed=0)
    _experiment(user, f"{EXPERIMENT}-again", max(40, trials // 20), points, seed=1)
    importance.compute(Experiment.objects.get(name=EXPERIMENT).pk)


def _experiment(user: Any, name: str, trials: int, points: int, seed: int) -> None:
    from django.db import transaction

    from experiments.design.document import experiment_file
    from experiments.models import Experiment, SeriesBatch, Study, Trial
    from experiments.models.trial_encoding import encode, encode_distribution
    from experiments.team.queries.access import get_project
    from experiments.trials.lifecycle.services import experiments

    text = FILE.format(project=PROJECT, name=name, trials=trials // 2, seed=seed)
    experiment = experiments.create(access=get_project(user, PROJECT), text=text)
    studies = list(Study.objects.filter(experiment=experiment).order_by("arm_index"))
    rng = np.random.default_rng(seed)
    arm = experiment_file.parse(text).arms()[0]
    told = {
        name: encode_distribution(distribution)
        for name, distribution in arm.distributions().items()
    }
    space = "{" + ",".join(f"{encode(name)}:{encoded}" for name, encoded in told.items()) + "}"
    with transaction.atomic():
        rows = (_trial(studies[i % 2], i // 2, i, rng, space) for i in range(trials))
        made = [row for part in _parts(rows, 2000) for row in Trial.objects.bulk_create(part)]
        curves = _Curves(points, rng)
        batches = (
            SeriesBatch(trial=row, attempt=1, batch=0, points=2 * points, first_step=1,
                        last_step=points, payload=curves.of(row.value or 0.3))
            for row in made
        )  # fmt: skip
        for part in _parts(batches, 2000):
            SeriesBatch.objects.bulk_create(part)
        _summarise(experiment.pk)
        done = [row for row in made if row.value is not None]
        best = max(done, key=lambda row: row.value or 0.0)
        Experiment.objects.filter(pk=experiment.pk).update(
            state="finished", trial_count=len(made), complete_count=len(done),
            failed_count=len(made) - len(done), best_value=best.value, best_trial=best,
        )  # fmt: skip
        for study in studies:
            held = sum(row.study_id == study.pk for row in made)
            Study.objects.filter(pk=study.pk).update(next_number=held, next_row=held)


def _summarise(experiment_id: int) -> None:
    """Twenty metrics of each trial, by one statement a metric: objects would take minutes.

    Their values follow from the trial's key, spread evenly over 0 to 1.
    """
    from django.db import connection

    with connection.cursor() as cursor:
        for place, name in enumerate(METRICS):
            cursor.execute(_SUMMARISE, [name, 7_919 + 104_730 * place, experiment_id])


_SUMMARISE = """\
INSERT INTO experiments_latestmetric
    (trial_id, name, value, step, time_ms, lowest, highest, at_best)
SELECT id, %s, x, 100, 0, x - 0.1, x + 0.1, x FROM (
    SELECT trial.id, (trial.id * %s %% 100003) / 100003.0 AS x
    FROM experiments_trial AS trial JOIN experiments_study AS study ON study.id = trial.study_id
    WHERE study.experiment_id = %s
) AS drawn"""


def _parts(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while part := list(islice(rows, size)):
        yield part


def _trial(study: Any, number: int, index: int, rng: np.random.Generator, space: str) -> Any:
    from experiments.models import Trial
    from experiments.models.trial import FailureKind, TrialState

    drawn = _parameters(rng)
    broken = drawn["learning_rate"] > 0.3
    rate = math.log10(drawn["learning_rate"]) + 2.5
    value = 0.97 - 0.02 * rate**2 - 0.05 * drawn["dropout"] ** 2 + float(rng.normal(0, 0.004))
    value += 0.003 * json.loads(study.arm)["optimizer"].count("adam")
    started = START + dt.timedelta(seconds=7 * (index // 8))
    return Trial(
        study=study, number=number, row=number, origin="sampler", attempt=1,
        state=TrialState.FAILED if broken else TrialState.COMPLETE,
        parameters=json.dumps(drawn),
        distributions=space, value=None if broken else value,
        values=None if broken else json.dumps([value]), best_step=None if broken else 80,
        failure_kind=FailureKind.INFEASIBLE if broken else "",
        failure_reason="validation_loss is not a number" if broken else "",
        seconds=50.0 + 6 * (index % 5), started_at=started, queued_at=started,
        finished_at=started + dt.timedelta(seconds=50 + 6 * (index % 5)), device="cpu",
    )  # fmt: skip


def _parameters(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "learning_rate": float(10 ** rng.uniform(-5, 0)),
        "momentum": float(rng.uniform(0.5, 0.999)),
        "weight_decay": float(10 ** rng.uniform(-6, -1)),
        "dropout": float(rng.uniform(0, 0.6)),
        "label_smoothing": float(rng.uniform(0, 0.3)),
        "warmup_steps": int(10 ** rng.uniform(0, 4)),
        "batch_size": int(rng.choice([32, 64, 128, 256, 512])),
        "activation": str(rng.choice(["relu", "gelu", "silu"])),
    }


class _Curves:
    """Encoded curves by a trial's value: as many as 64 of each thousandth of it."""

    def __init__(self, points: int, rng: np.random.Generator) -> None:
        self._points, self._rng = points, rng
        self._made: dict[int, list[bytes]] = {}
        self._next = 0

    def of(self, quality: float) -> bytes:
        some = self._made.setdefault(round(1000 * quality), [])
        if len(some) < KINDS_OF_CURVES:
            some.append(_curves(quality, self._points, self._rng))
            return some[-1]
        self._next += 1
        return some[self._next % KINDS_OF_CURVES]


def _curves(quality: float, points: int, rng: np.random.Generator) -> bytes:
    from experiments.trials.series.series_encoding import encode

    t = np.arange(1, points + 1)
    accuracy = quality - 0.6 * np.exp(-t / 12) + rng.normal(0, 0.002, points)
    loss = 2.3 * np.exp(-t / 10) + 1.2 * (1 - quality) + rng.normal(0, 0.01, points)
    first = int(START.timestamp() * 1000)
    return encode(
        [
            (int(step), first + 500 * int(step), {METRIC: float(a), "train_loss": float(b)})
            for step, a, b in zip(t, accuracy, loss, strict=True)
        ]
    )


def fill_optuna(journal: str, trials: str, points: str) -> None:
    """A study of Optuna's own of the same kind, for its dashboard."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space: dict[str, Any] = {
        "learning_rate": FloatDistribution(1e-5, 1.0, log=True),
        "momentum": FloatDistribution(0.5, 0.999),
        "weight_decay": FloatDistribution(1e-6, 0.1, log=True),
        "dropout": FloatDistribution(0, 0.6),
        "label_smoothing": FloatDistribution(0, 0.3),
        "warmup_steps": IntDistribution(1, 10_000, log=True),
        "batch_size": CategoricalDistribution((32, 64, 128, 256, 512)),
        "activation": CategoricalDistribution(("relu", "gelu", "silu")),
    }
    storage = JournalStorage(JournalFileBackend(journal))
    study = optuna.create_study(storage=storage, study_name=EXPERIMENT, direction="maximize")
    rng = np.random.default_rng(0)
    for _ in range(int(trials)):
        drawn = _parameters(rng)
        rate = math.log10(drawn["learning_rate"]) + 2.5
        value = 0.97 - 0.02 * rate**2 + float(rng.normal(0, 0.004))
        curve = value - 0.6 * np.exp(-np.arange(1, int(points) + 1) / 12)
        study.add_trial(
            optuna.trial.create_trial(
                params=drawn,
                distributions=space,
                value=value,
                intermediate_values={i: float(v) for i, v in enumerate(curve, 1)},
            )
        )
