"""Citations of an experiment, which prevent its deletion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from experiments.design.queries.earlier_trials import ids_in
from experiments.design.queries.records import AnyExperiment
from experiments.models import Decision, Experiment, Finding, Replication, Study, Trial


@dataclass(frozen=True, slots=True)
class Citation:
    """One thing that cites an experiment: `kind` decision, replication, extension, finding or
    history; `name` of the decision (its number) or experiment behind it."""

    kind: str
    name: str
    words: str


def citations(experiment: AnyExperiment) -> tuple[Citation, ...]:
    """Everything that would lose what it rests on, were this experiment deleted."""
    return (
        *_decisions(experiment),
        *_replications(experiment),
        *_extensions(experiment),
        *_findings(experiment),
    )


def _decisions(experiment: AnyExperiment) -> Iterator[Citation]:
    cites = Q(experiment=experiment.pk) | Q(replication__experiment=experiment.pk)
    rows = Decision.objects.filter(cites).order_by("sequence")
    for sequence, choice in rows.values_list("sequence", "choice"):
        yield Citation("decision", str(sequence), f"decision {sequence} ({choice}) rests on it")


def _replications(experiment: AnyExperiment) -> Iterator[Citation]:
    """Its own declared replications, and those of others that compare one of its trials."""
    of_others = Q(candidate_trial__study__experiment=experiment.pk) | Q(
        baseline_trial__study__experiment=experiment.pk
    )
    rows = Replication.objects.filter(Q(experiment=experiment.pk) | of_others).order_by("pk")
    for key, name in rows.values_list("pk", "experiment__name").distinct():
        if name == experiment.name:
            words = f"replication {key} over seeds was declared here, and its looks stay on record"
        else:
            words = f"replication {key} of {name} compares one of its trials"
        yield Citation("replication", name, words)


def _extensions(experiment: AnyExperiment) -> Iterator[Citation]:
    ids: set[int] | None = None
    for later in Experiment.objects.filter(extends=experiment.pk).order_by("pk"):
        words = f"{later.name} extends it"
        given = _given(later)
        if given:
            if ids is None:
                own = Trial.objects.filter(study__experiment=experiment.pk)
                ids = set(own.values_list("pk", flat=True))
            count = len(given & ids)
            words += f" and its sampler began with {count} of its trials" if count else ""
        yield Citation("extension", later.name, words)


def _given(later: AnyExperiment) -> set[int]:
    rows = Study.objects.filter(experiment=later.pk).values_list("system_attributes", flat=True)
    return {trial for text in rows for trial in ids_in(text)}


def _findings(experiment: AnyExperiment) -> Iterator[Citation]:
    """Findings of other experiments whose evidence names this one."""
    rows = (
        Finding.objects.filter(
            experiment__project_id=experiment.project_id,
            evidence__contains=json.dumps(experiment.name),
        )
        .exclude(experiment=experiment.pk)
        .select_related("experiment")
    )
    for row in rows:
        if _names(json.loads(row.evidence or "{}"), experiment.name):
            words = f"a finding of {row.experiment.name} rests on it: {row.title}"
            yield Citation("finding", row.experiment.name, words)


def _names(evidence: Any, name: str) -> bool:
    """Test whether a name stands anywhere among the values of a finding's evidence."""
    if isinstance(evidence, dict):
        return any(_names(value, name) for value in evidence.values())
    if isinstance(evidence, list):
        return any(_names(value, name) for value in evidence)
    return bool(evidence == name)
