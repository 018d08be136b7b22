"""Named people, projects, searches and decisions with the same numbers every time.

Tests use single members of the cast; `everything()` builds a data base in which every page has
something to show.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from django.contrib.auth.models import User
from django.utils import timezone
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution

from experiments import configuration as configurations
from experiments.models import (
    Configuration,
    Decision,
    Environment,
    Experiment,
    Finding,
    Membership,
    Project,
    Replication,
    SealedScore,
    SeriesBatch,
    Study,
    Trial,
)
from experiments.models.experiment import ExperimentState
from experiments.models.trial import FailureKind, Origin, TrialState
from experiments.series_encoding import encode
from experiments.services import experiments, replications, trials

START = dt.datetime(2026, 11, 20, 9, 0, tzinfo=dt.UTC)
OBJECTIVE = "workers.problems.digits:train"
EPOCHS = 60
LEARNING_RATE = FloatDistribution(1e-4, 1e-1, log=True)
DROPOUT = FloatDistribution(0.0, 0.5)
UNITS = CategoricalDistribution((32, 64, 128, 256, 512))

GOAL = "Does label smoothing raise validation accuracy once the learning rate is retuned?"
LABEL_SMOOTHING = """\
project: digits
experiment: {name}
goal: {goal}
objective: workers.problems.digits:train
config_link: https://git.example.org/team/digits/blob/4f1c2e9/label-smoothing.yaml
notes: Follows the wider network. Learning rate was retuned because smoothing flattens the loss.
tags: [regularisation]
metrics:
  validation_accuracy: {{official: true, direction: maximize, resolution: 0.0028}}
search: {{sampler: halton, trials: {trials}, parallel: 2, seed: 0}}
hyperparameters:
  label_smoothing: {{role: scientific, choices: [0.0, 0.1]}}
  learning_rate:   {{role: nuisance, low: 1.0e-4, high: 1.0e-1, log: true}}
  dropout:         {{role: nuisance, low: 0.0, high: 0.5, natural: [low]}}
  hidden_units:    {{role: nuisance, choices: [32, 64, 128, 256, 512], ordered: true}}
  optimizer:       {{role: fixed, value: adam}}
  epochs:          {{role: fixed, value: 60}}
"""


def person(name: str, **more: Any) -> User:
    """A user with the password "correct horse"."""
    found = User.objects.filter(username=name).first()
    return found or User.objects.create_user(name, password="correct horse", **more)


def project(slug: str = "digits", **more: Any) -> Project:
    """Validation accuracy, maximised; ada approves, cleo edits, ben watches, dan is outside."""
    fields: dict[str, Any] = {
        "name": slug.replace("-", " ").title() if slug != "digits" else "Digits",
        "official_metric": "validation_accuracy",
        "direction": "maximize",
        "margin": 0.001,
        "smallest_gain": 0.003,
    }
    made = Project.objects.create(slug=slug, **(fields | more))
    for name, role in (("ada", "admin"), ("cleo", "editor"), ("ben", "viewer")):
        Membership.objects.create(user=person(name), project=made, role=role)
    person("dan")
    return made


def search(
    name: str = "label-smoothing",
    *,
    trials_per_arm: int = 12,
    goal: str = GOAL,
    source: str = "",
) -> Experiment:
    """An experiment with two arms, just created."""
    text = source or LABEL_SMOOTHING.format(name=name, goal=goal, trials=trials_per_arm)
    return experiments.create(user=person("ada"), text=text)


def curves(
    quality: float, rng: np.random.Generator, *, epochs: int = EPOCHS, overfits: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """Series of one training run [T]; `quality` is about its final accuracy."""
    t = np.arange(1, epochs + 1)
    floor = 1.35 * (1 - quality) + 0.02
    rise = overfits * np.clip(t - 0.4 * EPOCHS, 0, None)
    validation = 2.2 * np.exp(-t / 7) + floor + rise + rng.normal(0, 0.006, epochs)
    train = 2.25 * np.exp(-t / 6) + floor * (0.55 - 6 * overfits) + rng.normal(0, 0.003, epochs)
    accuracy = quality - 0.8 * np.exp(-t / 5) - 0.2 * rise + rng.normal(0, 0.0012, epochs)
    return {
        "train_loss": np.clip(train, 1e-3, None),
        "validation_loss": np.clip(validation, 1e-3, None),
        "validation_accuracy": np.round(np.clip(accuracy, 0.05, 1), 5),
        "learning_rate": 1e-3 * (0.5 + 0.5 * np.cos(np.pi * t / EPOCHS)),
        "gradient_norm": 3.0 * np.exp(-t / 15) + 0.4 + rng.normal(0, 0.05, epochs) ** 2,
    }


def log(
    trial_id: int,
    series: Mapping[str, NDArray[np.float64]],
    *,
    attempt: int = 1,
    batches: int = 4,
    first_batch: int = 0,
    first_step: int = 1,
    started: dt.datetime = START,
) -> None:
    """Store series in flushes, one evaluation every 0.18 s."""
    length = len(next(iter(series.values())))
    first_ms = int(started.timestamp() * 1000)
    for number, part in enumerate(np.array_split(np.arange(length), min(batches, length))):
        calls = [
            (
                first_step + int(i),
                first_ms + 180 * (first_step + int(i)),
                {name: float(values[i]) for name, values in series.items()},
            )
            for i in part
        ]
        SeriesBatch.objects.create(
            trial_id=trial_id,
            attempt=attempt,
            batch=first_batch + number,
            points=len(calls) * len(series),
            first_step=calls[0][0],
            last_step=calls[-1][0],
            payload=encode(calls),
        )


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
    return Trial.objects.get(pk=trial_id)


def configuration(of: Project, parameters: Mapping[str, Any]) -> Configuration:
    document = configurations.canonical(
        objective=OBJECTIVE, parameters=parameters, commit="4f1c2e9" * 5
    )
    held, _ = Configuration.objects.get_or_create(
        project=of, digest=configurations.digest(document), defaults={"document": document}
    )
    return held


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


def finished_search(name: str = "label-smoothing", *, trials_per_arm: int = 12) -> Experiment:
    """A search whose budget is used."""
    experiment = search(name, trials_per_arm=trials_per_arm)
    _run(experiment, trials_per_arm)
    end(experiment)
    experiment.refresh_from_db()
    return experiment


def finish_search(experiment: Experiment, count: int = 3) -> None:
    """Let every study of a search end with so many trials."""
    _run(experiment, count)
    end(experiment)


def end(experiment: Experiment, state: str = ExperimentState.FINISHED) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(
        state=state, finished_at=START + dt.timedelta(minutes=9), stop_reason="all trials done"
    )


def _run(experiment: Experiment, count: int) -> None:
    rng = np.random.default_rng(crc32(experiment.name.encode()))
    studies = list(experiment.studies.order_by("arm_index"))
    for index in range(count):
        for study in studies:
            finished_trial(study, len(studies) * index + study.arm_index, rng)


def running_search(
    name: str = "weight-decay", *, done: int = 19, trials_per_arm: int = 24, recent: bool = False
) -> Experiment:
    """A search under way: `done` finished trials an arm and one running in each."""
    experiment = search(
        name,
        trials_per_arm=trials_per_arm,
        goal="Is weight decay worth its place beside label smoothing?",
    )
    _run(experiment, done)
    for study in experiment.studies.order_by("arm_index"):
        running_trial(study, epochs=14 + 9 * study.arm_index)
    if recent:
        now = timezone.now()
        for index, trial in enumerate(
            Trial.objects.filter(study__experiment=experiment, finished_at__isnull=False)
        ):
            Trial.objects.filter(pk=trial.pk).update(
                finished_at=now - dt.timedelta(seconds=6 * (60 - index % 60))
            )
    experiment.refresh_from_db()
    return experiment


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


def finding(experiment: Experiment, *, trial: Trial | None = None, **more: Any) -> Finding:
    """A boundary warning unless told otherwise."""
    fields: dict[str, Any] = {
        "rule": "boundary",
        "subject": "dropout:high",
        "version": 1,
        "status": "fired",
        "severity": "warning",
        "title": "The best trials crowd the lower edge of weight_decay",
        "detail": "6 of the best 8 trials lie in the outer fifth, as do 9 of all 38 feasible ones "
        "(p = 0.0011 after Holm's correction).",
        "meaning": "Better values may lie beyond the range that was searched.",
        "advice": "Search again with learning_rate down to 1e-05.",
        "section": "Tuning Playbook, 'Identifying bad search space boundaries'",
        "action": "extend",
        "evidence": json.dumps(
            {
                "hyperparameter": "learning_rate",
                "edge": "low",
                "trials": 38,
                "p_value_holm": 0.0011,
                "low": 1e-4,
                "high": 0.1,
                "log": True,
                "suggested_low": 1e-5,
                "suggested_high": None,
            }
        ),
    }
    return Finding.objects.create(experiment=experiment, trial=trial, **(fields | more))


def some_findings(experiment: Experiment, *, warn: bool = True) -> None:
    """What the rules saw: two warnings, some that passed, one that cannot tell yet."""
    best = experiment.best_trial
    if warn:
        finding(experiment)
        if best is not None:
            finding(
                experiment,
                trial=best,
                rule="overfitting",
                subject="validation_loss",
                title="Overfits from step 24",
                detail="Validation error rose 11 % above its best while train loss kept falling.",
                meaning="The run learns its training examples by heart from there on.",
                advice="Compare with a stronger regulariser, or keep the best checkpoint.",
                section="Tuning Playbook, 'Examining the training curves'",
                action="show_curve",
                evidence=json.dumps({"onset_step": 24, "generalisation_loss": 0.11}),
            )
    passed = (
        ("oscillation", "No oscillation late in training", "Step-to-step spread 0.0006."),
        ("infeasible", "Few infeasible trials", "3 of 38, all with learning_rate above 0.06."),
        ("budget", "The budget suits the space", "24 trials an arm for 3 hyperparameters."),
    )
    for rule, title, detail in passed:
        finding(experiment, rule=rule, subject="", status="passed", title=title, detail=detail,
                action="", evidence="{}")  # fmt: skip
    finding(
        experiment,
        rule="density",
        subject="",
        status="not_checkable",
        severity="notice",
        title="Are there enough points in the good region? Not checkable yet",
        detail="After 40 trials.",
        action="",
        evidence="{}",
    )


def repeated(
    experiment: Experiment,
    *,
    done: int = 10,
    looks: Sequence[int] = (10, 20, 30),
    gain: float = 0.0047,
    spread: float = 0.002,
) -> Replication:
    """The best trial against the baseline arm's best, `done` pairs finished."""
    best = experiment.best_trial
    assert best is not None
    other = (
        Trial.objects.filter(study__experiment=experiment, state=TrialState.COMPLETE)
        .exclude(study=best.study)
        .exclude(configuration=best.configuration)
        .order_by("-value")
        .first()
    )

    crowned = Decision.objects.crowning(experiment.project) is not None
    replication = replications.declare(
        user=person("ada"),
        experiment=experiment,
        candidate_trial=best,
        baseline_trial=None if crowned else other,
        looks=looks,
    )
    finish_pairs(replication, done, gain=gain, spread=spread)
    return replication


def rivals(
    experiment: Experiment,
    *,
    looks: Sequence[int] = (5, 10),
    done: int = 5,
    gain: float = 0.0047,
    spread: float = 0.002,
) -> tuple[Replication, Replication]:
    """The two best trials against the third, `done` pairs of each finished."""
    ranked = Trial.objects.filter(
        study__experiment=experiment, state=TrialState.COMPLETE
    ).order_by("-value")
    first = replications.declare(
        user=person("ada"),
        experiment=experiment,
        candidate_trial=ranked[0],
        further_candidates=[ranked[1]],
        baseline_trial=ranked[2],
        looks=looks,
    )
    second = first.others_of_family.get()
    for each in (first, second):
        finish_pairs(each, done, gain=gain, spread=spread)
    return first, second


def finish_pairs(
    replication: Replication, done: int, *, gain: float = 0.0047, spread: float = 0.002
) -> None:
    """Run the first `done` pairs: each side's score, curves and a sealed test score."""
    rng = np.random.default_rng(17)
    waiting = Trial.objects.filter(
        study__replication=replication, pair__lt=done, state=TrialState.WAITING
    )
    shared = rng.normal(0, 0.0015, 1000)
    for trial in waiting.select_related("study").order_by("pair", "study_id"):
        candidate = trial.study.side == "candidate"
        level = 0.9662 + (gain if candidate else 0) + shared[trial.pair or 0]
        series = curves(float(level + rng.normal(0, spread)), rng)
        accuracy = series["validation_accuracy"]
        Trial.objects.filter(pk=trial.pk).update(
            state=TrialState.COMPLETE,
            values=json.dumps([float(accuracy.max())]),
            value=float(accuracy.max()),
            attempt=1,
            evaluations=len(accuracy),
            best_step=int(accuracy.argmax()) + 1,
            read_split_seed=True,
            seconds=11.3 if candidate else 11.2,
            peak_memory_mb=212,
            started_at=START,
            finished_at=START + dt.timedelta(seconds=11),
        )
        log(trial.pk, series)
        SealedScore.objects.create(
            trial=trial, name="test_accuracy", value=float(accuracy[-1]) - 0.005
        )


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
    best = max(made, key=lambda each: each.value or 0)
    Experiment.objects.filter(pk=experiment.pk).update(
        trial_count=experiment.trial_count + count,
        complete_count=experiment.complete_count + count,
        budget=experiment.budget + count,
        best_value=best.value,
        best_trial=best,
    )
    experiment.refresh_from_db()


def decided(name: str, choice: str, reason: str, *, gain: float = 0.0047) -> Experiment:
    """A search, its seeds and a decision on them."""
    experiment = finished_search(name)
    some_findings(experiment, warn=False)
    decide(repeated(experiment, gain=gain, looks=(10,)), choice, reason)
    return experiment


def decide(replication: Replication, choice: str, reason: str = "It pays.") -> Decision:
    """Press a button of the Decide page as it stands."""
    from experiments.evidence import gather
    from experiments.services import decisions

    evidence = gather(replication)
    return decisions.record(
        user=person("ada"),
        experiment=replication.experiment,
        choice=choice,
        reason=reason,
        evidence=evidence.document(),
        verdict=evidence.outcome,
        replication=replication,
        state=evidence.state,
    )


def everything() -> None:
    """A data base for looking at every page: one experiment in each state, and extremes."""
    User.objects.create_superuser("root", password="correct horse")
    digits = project()
    project("speech-recognition", official_metric="word_error_rate", direction="minimize",
            name="Speech recognition", margin=0.0, smallest_gain=None)  # fmt: skip
    decided("wider-network", "adopt", "Twice the width pays for itself; training takes as long.")
    decided("no-dropout", "reject", "Not better than the champion on any split.", gain=-0.002)
    smoothing = finished_search(trials_per_arm=24)
    some_findings(smoothing)
    repeated(smoothing)
    under_way = running_search(recent=True)
    some_findings(under_way)
    between = finished_search("cosine-schedule")
    some_findings(between, warn=False)
    repeated(between, done=6)
    fresh = finished_search("batch-size")
    some_findings(fresh)
    undecided = finished_search("augmentation")
    repeated(undecided, gain=0.0012)
    search("just-created", goal="What does a search look like before its first trial?")
    large = finished_search("ten-thousand", trials_per_arm=4)
    many_trials(large, 10_000)
    long = "a-name-of-two-hundred-characters-" + "x" * 160
    search(long, goal="Does it still fit? " + "All of it, on a phone as well. " * 12)
    Project.objects.filter(pk=digits.pk).update(name="Digits")


def address(experiment: Experiment, rest: str = "") -> str:
    """The path of an experiment's page, or of one below it."""
    return f"/projects/{experiment.project.slug}/experiments/{experiment.name}/{rest}"
