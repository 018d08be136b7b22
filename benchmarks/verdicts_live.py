"""End-to-end comparisons of things that are equal, through the services that pages call.

    python benchmarks/verdicts_live.py FILE [--searches 60] [--inert 200]

Writes one `LiveComparison` a line, for `python benchmarks/verdicts.py DATA --live FILE`.

`searches`: two random searches of one space on a bundled problem (a linear machine on breast
cancer cases); the winners are repeated over fresh seeds as declared, and held out seeds tell which
is truly better. `inert`: both sides are the same training, a hyperparameter that nothing reads
apart. Every run is queued, claimed, logged and finished in a database of its own, judged by
`evidence.gather`, continued at declared looks and decided as the verdict says.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.verdicts import LiveComparison, live_adopts

if TYPE_CHECKING:
    from experiments.models import Experiment, Replication, Trial

LOOKS = (3, 5, 7)
HELD_OUT = 40  # seeds of each side that tell the truth
TRIALS = 5  # of each search
METRIC = "validation_accuracy"
FILE = """\
project: {project}
experiment: again
goal: Does the second search of one space find something better than the first?
objective: workers.problems.svm:descend
search: {{sampler: random, trials: {trials}, seed: 0}}
hyperparameters:
  search:        {{role: scientific, choices: [first, second]}}
  alpha:         {{role: nuisance, low: 1.0e-5, high: 1.0e-1, log: true}}
  learning_rate: {{role: nuisance, low: 1.0e-4, high: 1.0e-1, log: true}}
  epochs:        {{role: fixed, value: 10}}
"""

# Parameters, training seed, split seed -> evaluations of the metric.
Training = Callable[[dict[str, Any], int, int], list[float]]


def descend(parameters: dict[str, Any], train_seed: int, split_seed: int) -> list[float]:
    """The bundled problem itself, without what records it."""
    from workers.problems import svm

    values: list[float] = []
    known = {name: parameters[name] for name in svm.DESCENT}
    run = SimpleNamespace(
        params=known,
        train_seed=train_seed,
        split_seed=split_seed,
        folds=0,
        fold=None,
        until_stopped=lambda epochs: epochs,
        log=lambda metrics, step: values.append(float(metrics[METRIC])),
        load_checkpoint=lambda: None,
        checkpoint_due=False,
    )
    svm.descend(run)  # type: ignore[arg-type]
    return values


def noise(parameters: dict[str, Any], train_seed: int, split_seed: int) -> list[float]:
    """Two equal sides share the split's luck; each has a training's own."""
    shared = np.random.default_rng(split_seed).normal(0, 0.01)
    side = 1 + ["first", "second"].index(parameters["search"])
    own = np.random.default_rng([train_seed, side]).normal(0, 0.005)
    return [0.9 + float(shared + own)] * 5


def compare(project: str, training: Training, cluster: str, seed: int) -> LiveComparison:
    """One project from two searches to a decision; the truth from seeds it never saw."""
    from experiments.models import Trial
    from experiments.team.queries.access import get_project
    from experiments.verdict.services import replications

    rng = np.random.default_rng([seed, len(cluster)])
    user, experiment = _searched(project, training, rng)
    first, second = (
        Trial.objects.filter(study__experiment=experiment, study__arm_index=arm)
        .order_by("-value", "number")
        .select_related("study", "configuration")[0]
        for arm in (0, 1)
    )
    replication = replications.declare(
        access=get_project(user, experiment.project.slug),
        experiment=experiment,
        candidate_trial=second,
        baseline_trial=first,
        looks=LOOKS,
        margin=0.0,
    )
    adopted, scores = _decided(replication, training, user)
    comparison = LiveComparison(
        candidate=scores[0],
        baseline=scores[1],
        held_out_gain=_truth(training, second, first, rng),
        cluster=cluster,
        looks=LOOKS,
    )
    if live_adopts(comparison) is not adopted:
        raise AssertionError(f"{project}: the services and the analysis disagree")
    return comparison


def _searched(
    project: str, training: Training, rng: np.random.Generator
) -> tuple[Any, Experiment]:
    from django.contrib.auth.models import User

    from experiments.models import Experiment, Membership, Project
    from experiments.team.queries.access import get_project
    from experiments.trials.lifecycle.services import experiments

    user, _ = User.objects.get_or_create(username="bench")
    made = Project.objects.create(
        slug=project, name=project, official_metric=METRIC, direction="maximize"
    )
    Membership.objects.create(user=user, project=made, role="admin")
    experiment = experiments.create(
        access=get_project(user, project), text=FILE.format(project=project, trials=TRIALS)
    )
    _run_all(training, rng)
    experiments.advance(experiment.pk)
    return user, Experiment.objects.get(pk=experiment.pk)


def _run_all(training: Training, rng: np.random.Generator) -> None:
    """Do what workers do: claim, train, log, finish, until nothing waits."""
    from experiments.trials.lifecycle.queries import trial_spec
    from experiments.trials.lifecycle.services import queue, trials

    while claim := queue.claim(queue="cpu", worker_id=None):
        job = trial_spec.read(claim.trial_id)
        parameters = job.parameters
        if parameters is None:
            arm = job.arm
            parameters = arm.complete(arm.from_unit(rng.random(len(arm.searched)).tolist()))
        queue.begin(
            claim=claim,
            parameters=dict(parameters),
            objective=job.objective,
            commit="",
            environment={},
        )
        values = training(dict(parameters), job.train_seed, job.split_seed)
        _log(claim.trial_id, claim.attempt, values)
        trials.finish(
            trial_id=claim.trial_id,
            state=1,
            values=[max(values)],
            attempt=claim.attempt,
            evaluations=len(values),
            read_split_seed=True,
        )


def _log(trial_id: int, attempt: int, values: Sequence[float]) -> None:
    from experiments.trials.series.series_encoding import encode
    from experiments.trials.series.services import series

    calls = [(step, step, {METRIC: value}) for step, value in enumerate(values, start=1)]
    series.append(series.Batch(trial_id, attempt, 0, encode(calls), len(calls), 1, len(calls)))


def _decided(
    replication: Replication, training: Training, user: Any
) -> tuple[bool, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Follow the declared looks to a decision: (whether adopted, scores of both sides)."""
    from experiments.decisions.services import decisions
    from experiments.team.queries.access import get_project
    from experiments.verdict.evidence import evidence
    from experiments.verdict.services import replications

    rng = np.random.default_rng(0)  # nothing is drawn: a replicate's parameters are fixed
    while True:
        _run_all(training, rng)
        found = evidence.evaluate(replication)
        if found.verdict is None or not found.verdict.may_continue:
            break
        replication = replications.continue_to_next_look(
            access=get_project(user, replication.experiment.project.slug), replication=replication
        )
    adopted = found.outcome == "adopt"
    if found.outcome:
        decisions.record(
            access=get_project(user, replication.experiment.project.slug),
            experiment=replication.experiment,
            replication=replication,
            choice="adopt" if adopted else "reject",
            reason="What the verdict says.",
            state=found.state,
        )
    ours, theirs = (
        tuple(float("nan") if score is None else score for score in found.scores[side])
        for side in ("candidate", "baseline")
    )
    return adopted, (ours, theirs)


def _truth(
    training: Training, candidate: Trial, baseline: Trial, rng: np.random.Generator
) -> float:
    """Mean gain over seeds that no run has used; exactly 0 for sides that are the same."""
    from experiments.analysis.seeds.replication import score

    if training is noise:
        return 0.0
    gains = []
    for train_seed, split_seed in rng.integers(0, 2**31, size=(HELD_OUT, 2)).tolist():
        ours, theirs = (
            score(training(_parameters(trial), train_seed, split_seed), direction="maximize")
            for trial in (candidate, baseline)
        )
        gains.append(ours - theirs)
    return float(np.mean(gains))


def _parameters(trial: Trial) -> dict[str, Any]:
    assert trial.configuration is not None
    found: dict[str, Any] = json.loads(trial.configuration.document)["parameters"]
    return found


def comparisons(searches: int, inert: int) -> Iterator[LiveComparison]:
    """All comparisons, each in a project of its own. Django is set up."""
    for number in range(searches):
        yield compare(f"searches-{number}", descend, "two searches of one space", number)
    for number in range(inert):
        yield compare(f"inert-{number}", noise, "one training against itself", number)


def set_up(folder: str) -> None:
    """A fresh database in `folder`, whose commits need not survive anything."""
    os.environ |= {
        "VERDICT_DATA": folder,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"sqlite:///{folder}/live.sqlite3",
        "LOG_LEVEL": "ERROR",
    }
    import django
    from django.conf import settings
    from django.core.management import call_command

    options = settings.DATABASES["default"]["OPTIONS"]
    options["init_command"] = options["init_command"].replace("FULL", "OFF")
    django.setup()
    call_command("migrate", verbosity=0)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--searches", type=int, default=60)
    parser.add_argument("--inert", type=int, default=200)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, options.file.open("w") as lines:
        set_up(folder)
        for one in comparisons(options.searches, options.inert):
            lines.write(json.dumps(asdict(one)) + "\n")
            lines.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
