"""Runs that stand side by side in a comparison, whichever experiments they are of.

The queries are a few for a comparison, and none for a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Max

from experiments.design.objective_code import ObjectiveCode, recorded_code
from experiments.models import (
    Artifact,
    Environment,
    Experiment,
    LatestMetric,
    Replication,
    RunDataset,
    Trial,
)
from experiments.models.replication import Purpose
from experiments.models.trial import TrialState
from experiments.models.trial_encoding import decode
from experiments.trials.artifacts.queries.artifacts import LOGGED
from experiments.trials.series.queries import series
from experiments.trials.table.compare_state import MOST_RUNS, CompareState
from experiments.trials.table.queries.filtered_trials import NOTE
from experiments.trials.table.queries.run_scope import count_arms_of, run_name, shown_runs
from experiments.trials.table.queries.trial_table import STATE_WORDS

_OWN_TAGS = "mlflow."
MOST_METRICS = 20_000  # rows of all runs together
_FACTS = (
    *("pk", "number", "state", "study_id", "study__kind", "study__arm_index", "study__arm"),
    "study__name",
    *("study__experiment_id", "study__experiment__name", "study__experiment__official_metric"),
    *("study__experiment__direction", "parameters", "user_attributes", "run_name", "attempt"),
    *("value", "latest_value", "latest_step", "best_step", "seconds", "started_at", "device"),
    *("peak_memory_mb", "failure_reason", "train_seed", "split_seed", "search_seed"),
    *("configuration_id", "configuration__document", "environment_id", "worker__name"),
)


@dataclass(frozen=True, slots=True)
class MetricValues:
    """Value of a metric at the run's best step and at its last one; None is not finite or unknown,
    `has_best` tells whether the first is known.
    """

    at_best: float | None
    last: float | None
    has_best: bool


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run with all that a comparison shows of it. `experiment` is empty for one of a
    free-standing study, `study`, which has a page for all of its runs. `role` says what it is to
    its experiment where the address names that instead of the run.
    """

    id: int
    name: str
    experiment: str
    study: int
    study_name: str
    run_name: str
    state: str
    role: str
    official_metric: str
    direction: str
    score: float | None
    score_step: float | None
    configuration_id: int | None
    parameters: Mapping[str, Any] = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)  # of its configuration
    code: ObjectiveCode = field(repr=False)
    environment: Mapping[str, Any] = field(repr=False)
    facts: Mapping[str, Any] = field(repr=False)  # seconds, device, seeds and their like
    tags: Mapping[str, str] = field(repr=False)
    metrics: Mapping[str, MetricValues] = field(repr=False)

    @property
    def label(self) -> str:
        return f"{self.experiment or self.study_name} {self.name}"

    @property
    def unfinished(self) -> bool:
        return self.state in ("running", "waiting")


@dataclass(frozen=True, slots=True)
class NamedRuns:
    """Ids that an address names, at most `MOST_RUNS`, with the role of each that an experiment
    stands for; `problems` say what takes no part.
    """

    ids: tuple[int, ...]
    roles: Mapping[int, str]
    problems: tuple[str, ...]


def named_runs(project_id: int, state: CompareState) -> NamedRuns:
    """The runs of a project that an address names. At most three queries."""
    roles, problems = _of_experiments(project_id, state.experiments[:MOST_RUNS])
    named = list(dict.fromkeys([*state.runs, *roles]))
    wanted = named[:MOST_RUNS]
    there = set(shown_runs(project_id).filter(pk__in=wanted).values_list("pk", flat=True))
    ids = tuple(pk for pk in wanted if pk in there)
    gone = len(wanted) - len(ids)
    if gone:
        words = "1 run is" if gone == 1 else f"{gone} runs are"
        problems.append(f"{words} left out: not in this project, or deleted.")
    if len(named) > MOST_RUNS:
        problems.append(f"{len(named):,} runs were named; the first {MOST_RUNS} are compared.")
    return NamedRuns(ids, {pk: role for pk, role in roles.items() if pk in there}, tuple(problems))


def _of_experiments(project_id: int, names: Sequence[str]) -> tuple[dict[int, str], list[str]]:
    """The candidate of each experiment's newest replication, else its best run."""
    if not names:
        return {}, []
    rows = Experiment.objects.filter(project_id=project_id, name__in=names)
    best: dict[str, tuple[int, int | None]] = {
        name: (pk, trial) for pk, name, trial in rows.values_list("pk", "name", "best_trial")
    }
    declared = Replication.objects.filter(
        experiment__in=[pk for pk, _ in best.values()],
        purpose=Purpose.VERDICT,
        candidate_trial__isnull=False,
    ).order_by("pk")
    candidates = dict(declared.values_list("experiment_id", "candidate_trial_id"))
    roles: dict[int, str] = {}
    problems = []
    for name in names:
        if name not in best:
            problems.append(f"There is no experiment {name:.100} here.")
            continue
        pk, trial = best[name]
        found = candidates.get(pk) or trial
        if found is None:
            problems.append(f"{name} has no complete run yet.")
        else:
            roles[found] = "candidate" if pk in candidates else "best"
    return roles, problems


def compared_runs(named: NamedRuns) -> list[ComparedRun]:
    """The named runs with all that is compared, in the order of their names. Six queries."""
    rows = {row["pk"]: row for row in _rows(named.ids)}
    environments = Environment.objects.in_bulk(
        sorted({row["environment_id"] for row in rows.values()} - {None})
    )
    places = {pk: json.loads(document.document) for pk, document in environments.items()}
    experiments = sorted({row["study__experiment_id"] for row in rows.values()} - {None})
    arms = count_arms_of(experiments)
    data: dict[int, list[str]] = {}
    for pk, name, digest in RunDataset.objects.filter(trial_id__in=named.ids).values_list(
        "trial_id", "name", "digest"
    ):
        data.setdefault(pk, []).append(f"{name} {digest[:8]}")
    metrics = _metrics(named.ids)
    running = [row["pk"] for row in rows.values() if row["state"] == TrialState.RUNNING]
    for pk, latest in _latest(running).items():
        metrics[pk] = {**latest, **metrics.get(pk, {})}
    return [
        _run(
            rows[pk],
            arms.get(rows[pk]["study__experiment_id"], 1),
            places.get(rows[pk]["environment_id"], {}),
            ", ".join(data.get(pk, ())),
            metrics.get(pk, {}),
            named.roles.get(pk, ""),
        )
        for pk in named.ids
        if pk in rows
    ]


def _rows(ids: Sequence[int]) -> Iterable[dict[str, Any]]:
    rows: Iterable[dict[str, Any]] = Trial.objects.filter(pk__in=ids).values(*_FACTS)
    return rows


def _metrics(ids: Sequence[int]) -> dict[int, dict[str, MetricValues]]:
    found: dict[int, dict[str, MetricValues]] = {}
    rows = LatestMetric.objects.filter(trial_id__in=ids).order_by("name", "trial_id")
    for pk, name, value, at_best in rows.values_list("trial_id", "name", "value", "at_best")[
        :MOST_METRICS
    ]:
        found.setdefault(pk, {})[name] = MetricValues(at_best, value, at_best is not None)
    return found


def _latest(ids: Sequence[int]) -> dict[int, dict[str, MetricValues]]:
    """Last values of running runs: those of our workers are summarised when they have ended."""
    return {
        pk: {
            name: MetricValues(None, float(columns.values[-1]), has_best=False)
            for name, columns in named.items()
            if len(columns.values)
        }
        for pk, named in (series.read(ids) if ids else {}).items()
    }


def _run(
    row: Mapping[str, Any],
    arms: int,
    environment: Mapping[str, Any],
    data: str,
    metrics: Mapping[str, MetricValues],
    role: str,
) -> ComparedRun:
    document = json.loads(row["configuration__document"] or "{}")
    attributes = decode(row["user_attributes"])
    running = row["state"] == TrialState.RUNNING
    official = row["study__experiment__official_metric"] or ""
    score = row["latest_value"] if running else row["value"]
    return ComparedRun(
        id=row["pk"],
        name=run_name(row, arms),
        experiment=row["study__experiment__name"] or "",
        study=row["study_id"],
        study_name=row["study__name"],
        run_name=row["run_name"],
        state=STATE_WORDS[row["state"]],
        role=role,
        official_metric=official,
        direction=row["study__experiment__direction"] or "",
        score=score,
        score_step=row["latest_step"] if running else row["best_step"],
        configuration_id=row["configuration_id"],
        parameters={
            **document.get("parameters", {}),
            **decode(row["study__arm"]),
            **decode(row["parameters"]),
        },
        document=document,
        code=recorded_code(environment),
        environment={name: value for name, value in environment.items() if name != "code"},
        facts={
            "data": data or ", ".join(map(str, document.get("data", {}).values())),
            "note": str(attributes.get(NOTE, "")),
            "worker": row["worker__name"] or "",
            **{name: row[name] for name in ("started_at", "seconds", "device", "attempt")},
            **{name: row[name] for name in ("peak_memory_mb", "failure_reason")},
            **{name: row[name] for name in ("train_seed", "split_seed", "search_seed")},
        },
        tags={
            name: str(value)
            for name, value in attributes.items()
            if not name.startswith(_OWN_TAGS)
        },
        metrics=metrics,
    )


def experiment_sources(project_id: int, runs: Sequence[ComparedRun]) -> dict[str, str]:
    """The files of the runs' experiments by name, unless all are of one. One query."""
    names = {run.experiment for run in runs if run.experiment}
    if len(names) < 2:
        return {}
    rows = Experiment.objects.filter(project_id=project_id, name__in=names)
    return dict(rows.values_list("name", "source"))


@dataclass(frozen=True, slots=True)
class ComparisonMarks:
    """Values that change whenever something of the runs does, and whenever one of their files."""

    runs: tuple[object, ...]
    files: tuple[object, ...]


def comparison_marks(ids: Sequence[int]) -> ComparisonMarks:
    """Marks of runs. Two queries."""
    rows = Trial.objects.filter(pk__in=ids).order_by("pk")
    files = Artifact.objects.filter(trial_id__in=ids, kind__in=LOGGED).aggregate(
        Count("pk"), Max("pk")
    )
    columns = ("pk", "state", "attempt", "latest_step", "latest_value", "user_attributes")
    return ComparisonMarks(tuple(rows.values_list(*columns)), tuple(files.values()))
