"""Facts that a tracker's client told of a run: its name, notes, tags, data and nested runs."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from experiments.errors import NotFound
from experiments.models import LatestMetric, Trial
from experiments.models.trial_encoding import decode
from experiments.team.queries.access import Access
from experiments.trials.table.queries.filtered_trials import NOTE
from experiments.trials.table.queries.trial_table import STATE_WORDS
from experiments.trials.table.run_tags import OWN, is_shown, tag_lines

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
    """`run_id` is empty of a run that no tracker's client logged; `source`: what ran, where it
    came from and who ran it, in words and values; `tag_text`: the tags as lines.
    """

    run_id: str
    name: str
    notes: str
    tags: tuple[tuple[str, str], ...]
    tag_text: str
    source: tuple[tuple[str, str], ...]
    datasets: tuple[Dataset, ...]
    parent: NestedRun | None
    children: tuple[NestedRun, ...]
    more_children: int


def annotated_runs(project_id: int) -> QuerySet[Trial]:
    """Every run of a project that can have a name, a note and tags: replicates too."""
    return Trial.objects.filter(study__project_id=project_id, study__deleted_at__isnull=True)


def annotation_text(trial: Trial, field: str) -> str:
    """The name, the note or the tags of a run, as they are edited.

    Raises:
        NotFound: for a field other than `name`, `note` and `tags`.
    """
    if field == "name":
        return trial.run_name
    tags = decode(trial.user_attributes)
    if field == "note":
        return str(tags.get(NOTE, ""))
    if field == "tags":
        return "\n".join(tag_lines(tags))
    raise NotFound(f"Runs have no {field:.40}: expected name, note or tags.")


def annotation_of(access: Access, run_id: int, field: str) -> str:
    """The name, the note or the tags of a run of a project, as they are edited.

    Raises:
        NotFound: for a run that the project does not have, or another field.
    """
    trial = annotated_runs(access.project_id).filter(pk=run_id).first()
    if trial is None:
        raise NotFound(f"{access.slug} has no run {run_id}.")
    return annotation_text(trial, field)


def run_facts(trial_id: int) -> RunFacts:
    """The facts of a run, few of one that no tracker's client logged."""
    trial = Trial.objects.select_related("parent").get(pk=trial_id)
    tags = {name: str(value) for name, value in decode(trial.user_attributes).items()}
    nested = trial.children.filter(study__deleted_at__isnull=True, study_id=trial.study_id)
    children = [_nested(child) for child in nested.order_by("number")[:_MOST_CHILDREN]]
    total = nested.count() if len(children) == _MOST_CHILDREN else len(children)
    parent = trial.parent if trial.parent and trial.parent.study_id == trial.study_id else None
    return RunFacts(
        run_id=trial.run_id.hex if trial.run_id else "",
        name=trial.run_name,
        notes=tags.get(NOTE, ""),
        tags=tuple((name, value) for name, value in tags.items() if is_shown(name)),
        tag_text="\n".join(tag_lines(tags)),
        source=tuple(
            (name.removeprefix(OWN).replace(".", " "), tags[name])
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
