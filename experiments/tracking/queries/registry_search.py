"""Searches of the model registry in MLflow's filter language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from django.db.models import F, Q
from django.db.models.expressions import OrderBy

from experiments.models import ApiToken
from experiments.tracking.mlflow_errors import MlflowError
from experiments.tracking.queries.registered_models import (
    PROMPT_TAG,
    ModelVersion,
    RegisteredModel,
    opened,
    versions,
)
from experiments.trials.table import filter_language
from experiments.trials.table.filter_language import Comparison, InvalidFilter
from experiments.trials.table.queries.filtered_trials import (
    combined,
    compare_number,
    compare_run_id,
    compare_text,
)
from experiments.trials.table.queries.json_items import JsonItem


def search(
    token: ApiToken,
    slug: str,
    *,
    filter_text: str,
    order_by: Sequence[str],
    offset: int,
    most: int,
) -> tuple[list[RegisteredModel], bool]:
    """A page of registered models by name, or as told, and whether there are more."""
    rows = opened(token, slug).filter(_condition(filter_text, _compare_model))
    times = {"timestamp": "updated_at", "last_updated_timestamp": "updated_at"}
    names = {"name": "name", "creation_timestamp": "created_at", **times}
    page = rows.order_by(*_orders(order_by, names), "name", "pk")
    found = list(page[offset : offset + most + 1])
    return found[:most], len(found) > most


def search_versions(
    token: ApiToken,
    slug: str,
    *,
    filter_text: str,
    order_by: Sequence[str],
    offset: int,
    most: int,
) -> tuple[list[ModelVersion], bool]:
    """A page of versions, the last changed first, or as told, and whether there are more."""
    rows = versions().filter(model__in=opened(token, slug))
    names = {
        "name": "model__name",
        "version_number": "version",
        "creation_timestamp": "created_at",
        "last_updated_timestamp": "updated_at",
    }
    usual = ("last_updated_timestamp DESC", "name ASC", "version_number DESC")
    page = rows.filter(_condition(filter_text, _compare_version)).order_by(
        *_orders(order_by or usual, names), "pk"
    )
    found = list(page[offset : offset + most + 1])
    return found[:most], len(found) > most


def _orders(texts: Sequence[str], names: Mapping[str, str]) -> list[OrderBy]:
    found = []
    for text in texts:
        order = filter_language.parse_order(text)
        column = names.get(order.field.name)
        if order.field.entity != "attribute" or column is None:
            raise MlflowError(f"Invalid order by key '{text[:100]}' specified. Valid keys are "
                              f"{', '.join(names)}.")  # fmt: skip
        found.append(OrderBy(F(column), descending=order.descending))
    return found


def _condition(text: str, compared: Callable[[Comparison], Q]) -> Q:
    condition = filter_language.parse(text)
    return Q() if condition is None else combined(condition, compared)


def _compare_tag(compared: Comparison) -> Q:
    if compared.field.name == PROMPT_TAG:  # which clients ask for unasked; there are none
        wanted = (compared.operator, compared.value) in (("!=", "true"), ("=", "false"))
        return Q(pk__isnull=not wanted)
    return compare_text(JsonItem("tags", compared.field.name), compared)


def _compare_model(compared: Comparison) -> Q:
    field = compared.field
    if field.entity == "tag":
        return _compare_tag(compared)
    if field.entity == "attribute" and field.name == "name":
        return compare_text(F("name"), compared)
    raise InvalidFilter(
        f"Invalid filter field {field.name[:60]!r}: registered models are found by name or a tag."
    )


def _compare_version(compared: Comparison) -> Q:
    field = compared.field
    if field.entity == "tag":
        return _compare_tag(compared)
    if field.entity == "attribute" and field.name in ("name", "source_path"):
        return compare_text(F("model__name" if field.name == "name" else "source"), compared)
    if field.entity == "attribute" and field.name == "version_number":
        return compare_number(F("version"), compared)
    if field.entity == "attribute" and field.name == "run_id":
        return compare_run_id("trial__run_id", compared)
    raise InvalidFilter(
        f"Invalid filter field {field.name[:60]!r}: versions are found by name, version_number, "
        "run_id, source_path or a tag."
    )
