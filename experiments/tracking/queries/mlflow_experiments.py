"""Experiments of external programs as MLflow's clients read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, TextField, Value, When
from django.db.models.expressions import Combinable, OrderBy
from django.db.models.functions import Coalesce, Concat

from experiments.models import ApiToken, Project, RunDataset, Study
from experiments.models import Experiment as Experiment
from experiments.models.experiment import OUTSIDE
from experiments.models.project import Role
from experiments.models.trial import StudyKind
from experiments.models.trial_encoding import decode
from experiments.team.queries import access
from experiments.team.queries.access import Access
from experiments.tracking.mlflow_errors import INVALID, UNKNOWN, MlflowError
from experiments.tracking.queries.mlflow_runs import ACTIVE, DELETED
from experiments.tracking.run_texts import address_name, milliseconds, moment
from experiments.trials.table import filter_language
from experiments.trials.table.filter_language import Comparison, InvalidFilter
from experiments.trials.table.queries.filtered_trials import (
    FOREIGN_NAME,
    combined,
    compare_text,
)
from experiments.trials.table.queries.json_items import JsonItem

DEFAULT = "Default"  # the experiment of programs that name none
NOTE = "mlflow.note.content"  # an experiment's notes
# Every new run asks this; the ORM takes longer to say it than the database to answer.
_PROJECT_OF = """
SELECT p.*, m.role FROM experiments_experiment e
JOIN experiments_project p ON p.id = e.project_id
LEFT JOIN experiments_membership m ON m.project_id = p.id AND m.user_id = %s
WHERE e.id = %s AND e.sampler = %s
"""
MOST_DATASETS = 1000  # of one search
FALLBACK = "mlflow"  # project of experiments whose name begins with none, at the bare address


@dataclass(frozen=True, slots=True)
class Place:
    """An experiment's project and name behind a name that a client uses."""

    slug: str
    name: str


def place_of(token: ApiToken, slug: str, name: str) -> Place:
    """The place of a name: below a project's address the project's; at the bare address the
    name's first part says the project, where the token opens one of that name.
    """
    if slug:
        return Place(slug, name)
    if token.project is not None:
        return Place(token.project.slug, name.removeprefix(f"{token.project.slug}/"))
    first, _, rest = name.partition("/")
    if rest and access.find_project(token.owner, first) is not None:
        return Place(first, rest)
    return Place(FALLBACK, name)


def opened(token: ApiToken, slug: str) -> QuerySet[Experiment]:
    """The experiments of external programs that a token opens, of one project or of all."""
    rows = Experiment.objects.filter(
        sampler=OUTSIDE, project__in=access.visible_projects(token.owner)
    )
    if token.project_id is not None:
        rows = rows.filter(project_id=token.project_id)
    return rows.filter(project__slug=slug) if slug else rows


def find(token: ApiToken, slug: str, experiment_id: str) -> Experiment:
    """The experiment behind an id.

    Raises:
        MlflowError: when there is none that the token may know of.
    """
    found = opened(token, slug).select_related("project").filter(pk=_key(experiment_id)).first()
    if found is None:
        raise MlflowError(f"No Experiment with id={experiment_id[:100]} exists", UNKNOWN)
    return found


def _key(experiment_id: str) -> int:
    """The id as a number; 0, which none has, for what is no id."""
    # Longer ones are no ids, and Python turns no 5,000 digits into a number.
    known = len(experiment_id) < 20 and experiment_id.isascii() and experiment_id.isdigit()
    key = int(experiment_id) if known else 0
    return key if key < 2**63 else 0


def find_with_access(token: ApiToken, slug: str, experiment_id: str) -> tuple[int, Access]:
    """Id of an experiment, and its project as the token's owner meets it. One query.

    Raises:
        MlflowError: when there is none that the token may know of.
    """
    key, owner = _key(experiment_id), token.owner
    found = next(iter(Project.objects.raw(_PROJECT_OF, [owner.pk, key, OUTSIDE])), None)
    role: str | None = getattr(found, "role", None)  # a column of the query
    if (
        found is None
        or (role is None and not owner.is_superuser)
        or token.project_id not in (None, found.pk)
        or slug not in ("", found.slug)
    ):
        raise MlflowError(f"No Experiment with id={experiment_id[:100]} exists", UNKNOWN)
    return key, access.access_as(owner, found, role or Role.ADMIN)


def find_by_name(token: ApiToken, slug: str, name: str) -> Experiment:
    """The experiment behind a name.

    Raises:
        MlflowError: when there is none that the token may know of.
    """
    place = place_of(token, slug, name)
    rows = opened(token, place.slug).select_related("project")
    found = rows.filter(name=address_name(place.name)).first()
    if found is None:
        raise MlflowError(f"Could not find experiment with name '{name[:500]}'", UNKNOWN)
    return found


def read(experiments: Sequence[Experiment], slug: str) -> list[dict[str, Any]]:
    """Experiments in MLflow's shape. One query; `slug` is the project that the client uses."""
    studies = Study.objects.filter(
        experiment__in=[experiment.pk for experiment in experiments],
        kind=StudyKind.SEARCH,
        deleted_at__isnull=True,
    ).values_list("experiment_id", "user_attributes", "system_attributes")
    attributes = {pk: (decode(user), decode(system)) for pk, user, system in studies}
    return [
        _experiment(experiment, *attributes.get(experiment.pk, ({}, {})), slug)
        for experiment in experiments
    ]


def _experiment(
    row: Experiment, tags: dict[str, Any], system: dict[str, Any], slug: str
) -> dict[str, Any]:
    name = str(system.get(FOREIGN_NAME) or row.name)
    if not slug and row.project.slug != FALLBACK:
        name = f"{row.project.slug}/{name}"
    if row.notes:
        tags = {**tags, NOTE: row.notes}
    return {
        "experiment_id": str(row.pk),
        "name": name,
        "artifact_location": f"mlflow-artifacts:/{row.pk}",
        "lifecycle_stage": "deleted" if row.archived_at or row.project.archived_at else "active",
        "last_update_time": milliseconds(row.active_at),
        "creation_time": milliseconds(row.created_at),
        "tags": [{"key": key, "value": str(value)} for key, value in tags.items()],
    }


def search(
    token: ApiToken,
    slug: str,
    *,
    filter_text: str,
    order_by: Sequence[str],
    view: str,
    offset: int,
    most: int,
) -> tuple[list[Experiment], bool]:
    """A page of experiments, and whether there are more."""
    study = Study.objects.filter(
        experiment=OuterRef("pk"), kind=StudyKind.SEARCH, deleted_at__isnull=True
    )
    rows = opened(token, slug).annotate(
        tag_texts=Coalesce(
            Subquery(study.values("user_attributes")[:1]), Value("{}"), output_field=TextField()
        ),
        foreign_name=Subquery(
            study.annotate(n=JsonItem("system_attributes", FOREIGN_NAME)).values("n")[:1]
        ),
    )
    name: Combinable = Coalesce(F("foreign_name"), F("name"), output_field=TextField())
    if not slug:  # as `_experiment` shows it there
        below = Concat(F("project__slug"), Value("/"), name, output_field=TextField())
        name = Case(When(project__slug=FALLBACK, then=name), default=below)
    rows = rows.annotate(shown_name=name)
    active = {"archived_at__isnull": True, "project__archived_at__isnull": True}
    if view == ACTIVE:
        rows = rows.filter(**active)
    elif view == DELETED:
        rows = rows.exclude(**active)
    condition = filter_language.parse(filter_text)
    if condition is not None:
        rows = rows.filter(combined(condition, _compare))
    orders = [_order(text) for text in order_by] or [F("created_at").desc()]
    page = rows.select_related("project").order_by(*orders, "pk")
    found = list(page[offset : offset + most + 1])
    return [*found[:most]], len(found) > most


def datasets(token: ApiToken, slug: str, experiment_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Datasets that runs of experiments have read, each once an experiment and context."""
    rows = RunDataset.objects.filter(
        trial__study__experiment__in=opened(token, slug).filter(pk__in=experiment_ids),
        trial__study__deleted_at__isnull=True,
    )
    found = rows.values_list("trial__study__experiment_id", "name", "digest", "context")
    return [
        {"experiment_id": str(experiment), "name": name, "digest": digest}
        | ({"context": context} if context else {})
        for experiment, name, digest, context in found.order_by(
            "trial__study__experiment_id", "name", "digest", "context"
        ).distinct()[:MOST_DATASETS]
    ]


_TIMES = {"creation_time": "created_at", "last_update_time": "active_at"}


def _order(text: str) -> OrderBy:
    order = filter_language.parse_order(text)
    names = {"name": "shown_name", "experiment_id": "pk", **_TIMES}
    name = names.get(order.field.name)
    if order.field.entity != "attribute" or name is None:
        raise MlflowError(
            f"Invalid order_by {text[:100]!r}: expected one of {', '.join(sorted(names))}.",
            INVALID,
        )
    return OrderBy(F(name), descending=order.descending, nulls_last=True)


def _compare(compared: Comparison) -> Q:
    field = compared.field
    if field.entity == "tag":
        return compare_text(JsonItem("tag_texts", field.name), compared)
    if field.entity == "attribute" and field.name == "name":
        return compare_text(F("shown_name"), compared)
    if field.entity == "attribute" and field.name in _TIMES:
        return _time(compared)
    raise InvalidFilter(
        f"Invalid filter field {field.name[:60]!r}: expected name, creation_time, "
        "last_update_time or a tag."
    )


def _time(compared: Comparison) -> Q:
    lookups = {"=": "exact", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
    value = compared.value
    time = moment(int(value)) if isinstance(value, float) and abs(value) < 2**53 else None
    if time is None or compared.operator not in (*lookups, "!="):
        raise InvalidFilter(f"Compare {compared.field.name} with milliseconds since 1970.")
    name = _TIMES[compared.field.name]
    if compared.operator == "!=":
        return ~Q(**{name: time})
    return Q(**{f"{name}__{lookups[compared.operator]}": time})
