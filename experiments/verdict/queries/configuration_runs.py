"""Configurations that external programs have run several times: sides of a comparison."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from django.db.models import Avg, Count, Q, QuerySet

from experiments.analysis.seeds.looks import FEWEST_PAIRS
from experiments.design.queries.records import AnyExperiment
from experiments.design.space.search_space import show
from experiments.models import Configuration, Trial
from experiments.models.trial import FailureKind, StudyKind, TrialState
from experiments.models.trial_encoding import decode_all
from experiments.trials.table.queries.json_items import JsonItem

MOST_CONFIGURATIONS = 50
MOST_TAGGED = 2000  # runs, the newest, whose tags are offered
LONGEST_TAG = 100


@dataclass(frozen=True, slots=True)
class ConfigurationRuns:
    """A configuration with its ended runs; `mean`: of their scores, in the metric's unit."""

    id: int
    digest: str
    runs: int
    mean: float | None
    parameters: str


def ended_runs(experiment: AnyExperiment) -> QuerySet[Trial]:
    """Runs with an outcome: those that ended by an accident have none."""
    infeasible = Q(state=TrialState.FAILED, failure_kind=FailureKind.INFEASIBLE)
    return Trial.objects.filter(
        Q(state__in=(TrialState.COMPLETE, TrialState.PRUNED)) | infeasible,
        study__experiment=experiment.pk,
        study__kind=StudyKind.SEARCH,
        study__deleted_at__isnull=True,
        configuration__isnull=False,
    )


def repeated_configurations(experiment: AnyExperiment) -> tuple[ConfigurationRuns, ...]:
    """Configurations with enough runs for a verdict, the best mean score first. Two queries."""
    mean = "mean" if experiment.direction == "minimize" else "-mean"
    rows = list(
        ended_runs(experiment)
        .values("configuration_id")
        .annotate(runs=Count("pk"), mean=Avg("value"))
        .filter(runs__gte=FEWEST_PAIRS)
        .order_by(mean, "configuration_id")[:MOST_CONFIGURATIONS]
    )
    documents = Configuration.objects.in_bulk([row["configuration_id"] for row in rows])
    return tuple(
        ConfigurationRuns(
            row["configuration_id"],
            documents[row["configuration_id"]].digest,
            row["runs"],
            row["mean"],
            _parameters(documents[row["configuration_id"]]),
        )
        for row in rows
    )


@dataclass(frozen=True, slots=True)
class TaggedRuns:
    """A tag, as `NAME=VALUE` or, of a label, `NAME`, with the ended runs that carry it."""

    tag: str
    runs: int


def runs_with_tag(experiment: AnyExperiment, tag: str) -> QuerySet[Trial]:
    """Ended runs that carry a tag."""
    name, _, value = tag.partition("=")
    rows = ended_runs(experiment).alias(tag_value=JsonItem("user_attributes", name.strip()))
    return rows.filter(tag_value=value.strip())


def repeated_tags(experiment: AnyExperiment) -> tuple[TaggedRuns, ...]:
    """Tags of enough runs for a verdict, the most frequent first; without those of MLflow."""
    texts = ended_runs(experiment).exclude(user_attributes="{}").order_by("-pk")
    counted: Counter[str] = Counter()
    for tags in decode_all(list(texts.values_list("user_attributes", flat=True)[:MOST_TAGGED])):
        counted.update(
            f"{name}={value}" if value else name
            for name, value in tags.items()
            if isinstance(value, str) and len(value) <= LONGEST_TAG
            if "=" not in name and not name.startswith("mlflow.")
            if name == name.strip() and value == value.strip()  # forms strip what they send
        )
    found = [TaggedRuns(tag, runs) for tag, runs in counted.items() if runs >= FEWEST_PAIRS]
    return tuple(
        sorted(found, key=lambda tagged: (-tagged.runs, tagged.tag))[:MOST_CONFIGURATIONS]
    )


def _parameters(configuration: Configuration) -> str:
    found = json.loads(configuration.document)["parameters"]
    return ", ".join(f"{name} {show(value)}" for name, value in found.items())
