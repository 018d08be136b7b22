"""Facts that a tracker's client told of a run: its name, notes, tags, data and nested runs."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.models import LatestMetric, Trial
from experiments.models.trial_encoding import decode
from experiments.trials.table.queries.filtered_trials import NOTE
from experiments.trials.table.queries.trial_table import STATE_WORDS

_OWN = "mlflow."  # tags that the client sets by itself
_SOURCE = ("mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit", "mlflow.user")
_MOST_CHILDREN, _MOST_METRICS = 200, 500


@dataclass(frozen=True, slots=True)
class NestedRun:
    """A run that names another as its parent; `number` is that of its page."""

    number: int
    name: str
    state: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Dataset:
    name: str
    digest: str
    context: str
    source: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """`source`: what ran, where it came from and who ran it, in words and values."""

    run_id: str
    name: str
    notes: str
    tags: tuple[tuple[str, str], ...]
    source: tuple[tuple[str, str], ...]
    datasets: tuple[Dataset, ...]
    parent: NestedRun | None
    children: tuple[NestedRun, ...]
    more_children: int


def run_facts(trial_id: int) -> RunFacts | None:
    """The facts of a run that a tracker's client logs; None of any other trial."""
    trial = Trial.objects.select_related("parent").get(pk=trial_id)
    if trial.run_id is None:
        return None
    tags = {name: str(value) for name, value in decode(trial.user_attributes).items()}
    nested = trial.children.filter(study__deleted_at__isnull=True, study_id=trial.study_id)
    children = [_nested(child) for child in nested.order_by("number")[:_MOST_CHILDREN]]
    total = nested.count() if len(children) == _MOST_CHILDREN else len(children)
    parent = trial.parent if trial.parent and trial.parent.study_id == trial.study_id else None
    return RunFacts(
        run_id=trial.run_id.hex,
        name=trial.run_name,
        notes=tags.get(NOTE, ""),
        tags=tuple((name, value) for name, value in tags.items() if not name.startswith(_OWN)),
        source=tuple(
            (name.removeprefix(_OWN).replace(".", " "), tags[name])
            for name in _SOURCE
            if tags.get(name)
        ),
        datasets=tuple(
            Dataset(row.name, row.digest, row.context, row.source_type)
            for row in trial.datasets.all()
        ),
        parent=_nested(parent) if parent else None,
        children=tuple(children),
        more_children=total - len(children),
    )


def logged_metrics(experiment_id: int) -> tuple[str, ...]:
    """Names of the metrics that an experiment's runs have logged, without the machine's."""
    rows = LatestMetric.objects.filter(trial__study__experiment_id=experiment_id)
    names = rows.exclude(name__startswith="system/").order_by("name").values_list("name")
    return tuple(name for (name,) in names.distinct()[:_MOST_METRICS])


def _nested(trial: Trial) -> NestedRun:
    return NestedRun(
        number=trial.number, name=trial.run_name, state=STATE_WORDS[trial.state], score=trial.value
    )
