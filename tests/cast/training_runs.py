"""Trials of a search: one that ended, one that runs, ten thousand at once."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from django.utils import timezone

from experiments.design import configuration as configurations
from experiments.models import Configuration, Environment, Experiment, Project, Study, Trial
from experiments.models.trial import FailureKind, Origin, TrialState
from experiments.trials.lifecycle.services import trials
from experiments.trials.series.queries import series as series_queries
from experiments.trials.series.services import metric_summaries
from tests.cast.experiment_files import DROPOUT, EPOCHS, LEARNING_RATE, OBJECTIVE, UNITS
from tests.cast.training_curves import START, curves, log


def sampled(rng: np.random.Generator) -> dict[str, tuple[Any, Any]]:
    """Parameters of one trial with their distributions."""
    return {
        "learning_rate": (float(10 ** rng.uniform(-4, -1)), LEARNING_RATE),
        "dropout": (float(rng.uniform(0, 0.5)), DROPOUT),
        "hidden_units": (int(rng.choice([32, 64, 128, 256, 512])), UNITS),
    }


def quality_of(values: Mapping[str, Any], smoothing: float) -> float:
    """The accuracy that these parameters reach without noise."""
    rate = math.log10(values["learning_rate"]) + 2.3
    units = math.log2(values["hidden_units"]) - 7
    dropout = float(values["dropout"])
    return (
        0.9705
        - 0.013 * rate**2
        - 0.0012 * units**2
        - 0.012 * (dropout - 0.15) ** 2
        + 0.03 * smoothing
    )


def finished_trial(study: Study, index: int, rng: np.random.Generator, **more: Any) -> Trial:
    """A complete search trial with its curves; one with a high learning rate diverges."""
    parameters = sampled(rng)
    values = {name: value for name, (value, _) in parameters.items()}
    smoothing = json.loads(study.arm).get("label_smoothing", 0.0)
    started = START + dt.timedelta(seconds=6 * index)
    broken = values["learning_rate"] > 0.06
    overfits = 0.004 if values["dropout"] < 0.04 and values["hidden_units"] >= 128 else 0.0
    series = curves(quality_of(values, smoothing), rng, overfits=overfits)
    if broken:
        series = {name: column[:14].copy() for name, column in series.items()}
        series["train_loss"][-3:] = np.nan
        series["validation_loss"][-3:] = np.nan
    accuracy = series["validation_accuracy"]
    trial_id, _ = trials.create(
        study_id=study.pk,
        state=TrialState.FAILED if broken else TrialState.COMPLETE,
        origin=Origin.SAMPLER,
        take_row=True,
        parameters=parameters,
        values=None if broken else [float(accuracy.max())],
        started_at=started,
        finished_at=started + dt.timedelta(seconds=11),
        train_seed=1000 + index,
        split_seed=0,
        search_seed=0,
        attempt=1,
        device="cpu",
    )
    everything = {**values, "label_smoothing": smoothing, "optimizer": "adam", "epochs": EPOCHS}
    Trial.objects.filter(pk=trial_id).update(
        best_step=None if broken else int(accuracy.argmax()) + 1,
        evaluations=len(accuracy),
        seconds=10.6 + 0.05 * (index % 9),
        peak_memory_mb=212,
        failure_kind=FailureKind.INFEASIBLE if broken else "",
        failure_reason="validation_loss is not a number from step 12 on" if broken else "",
        configuration=configuration(study.project, everything),
        environment=environment(),
        read_split_seed=True,
        log_tail="epoch 59 train 0.043 validation 0.091\nepoch 60 train 0.042 validation 0.090\n",
        **more,
    )
    log(trial_id, series, started=started)
    summarise(trial_id)
    return Trial.objects.get(pk=trial_id)


def summarise(trial_id: int) -> None:
    """Summarise a trial's metrics as a worker does when it has ended."""
    experiment = Experiment.objects.get(studies__trials=trial_id)
    metric_summaries.summarise(
        trial_id=trial_id,
        columns=series_queries.read([trial_id]).get(trial_id, {}),
        official_metric=experiment.official_metric,
        direction=experiment.direction,
    )


def series_of(trial: Trial) -> dict[str, list[float]]:
    """The values of each series of a trial."""
    columns = series_queries.read([trial.pk])[trial.pk]
    return {name: column.values.tolist() for name, column in columns.items()}


def running_trial(study: Study, *, epochs: int = 20) -> Trial:
    """A trial that has logged so many epochs."""
    rng = np.random.default_rng(90 + study.arm_index)
    series = curves(0.962, rng, epochs=epochs)
    started = timezone.now() - dt.timedelta(seconds=4)
    trial_id, _ = trials.create(
        study_id=study.pk,
        state=TrialState.RUNNING,
        origin=Origin.SAMPLER,
        take_row=True,
        parameters=sampled(rng),
        attempt=1,
        device="cpu",
        started_at=started,
        heartbeat_at=timezone.now(),
    )
    accuracy = series["validation_accuracy"]
    Trial.objects.filter(pk=trial_id).update(
        latest_value=float(accuracy[-1]), latest_step=len(accuracy)
    )
    log(trial_id, series, started=started)
    return Trial.objects.get(pk=trial_id)


def many_trials(experiment: Experiment, count: int) -> None:
    """So many complete trials, quickly and without curves."""
    rng = np.random.default_rng(5)
    study = experiment.studies.order_by("arm_index").first()
    assert study is not None
    first = study.next_number
    rows = []
    for index in range(count):
        values = {name: value for name, (value, _) in sampled(rng).items()}
        score = quality_of(values, 0.0) + float(rng.normal(0, 0.002))
        rows.append(
            Trial(
                study=study,
                number=first + index,
                state=TrialState.COMPLETE,
                origin=Origin.SAMPLER,
                parameters=json.dumps(values),
                values=json.dumps([score]),
                value=score,
                best_step=50,
                seconds=11.0,
                started_at=START,
                finished_at=START + dt.timedelta(seconds=index),
            )
        )
    made = Trial.objects.bulk_create(rows, batch_size=500)
    Study.objects.filter(pk=study.pk).update(next_number=first + count)
    best = max(made, key=lambda trial: trial.value or 0)
    Experiment.objects.filter(pk=experiment.pk).update(
        trial_count=experiment.trial_count + count,
        complete_count=experiment.complete_count + count,
        budget=experiment.budget + count,
        best_value=best.value,
        best_trial=best,
    )
    experiment.refresh_from_db()


def configuration(of: Project, parameters: Mapping[str, Any]) -> Configuration:
    document = configurations.canonical(
        objective=OBJECTIVE, parameters=parameters, commit="4f1c2e9" * 5
    )
    digest = configurations.digest(document)
    held = Configuration.objects.filter(project=of, digest=digest).first()
    return held or Configuration.objects.create(project=of, digest=digest, document=document)


def environment() -> Environment:
    held, _ = Environment.objects.get_or_create(
        digest="e" * 64,
        defaults={
            "document": json.dumps(
                {
                    "python": "3.11.7",
                    "host": "node-3",
                    "device": "cpu",
                    "packages": {"torch": "2.13.0", "numpy": "2.4.1", "optuna": "5.0.0"},
                }
            )
        },
    )
    return held
