"""Facets of a runs table: states, arms, experiments, findings and tags with their counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, QuerySet

from experiments.design.queries.experiments import arm_label
from experiments.design.trial_names import arm_letter
from experiments.models import Experiment, Finding, Study, Trial
from experiments.models.trial_encoding import decode_all, encode
from experiments.trials.table.filter_language import Comparison, Field, conjuncts
from experiments.trials.table.queries.run_scope import RunScope, matching
from experiments.trials.table.queries.trial_table import STATE_WORDS
from experiments.trials.table.runs_state import RunsState

MOST_VALUES = 12  # of one facet
MOST_TAGGED = 20_000  # newest runs whose tags are counted
LONGEST = 200  # characters of a value
_OWN_TAGS = "mlflow."


@dataclass(frozen=True, slots=True)
class FacetValue:
    """`query` is the address of the table narrowed to it; empty where it is narrowed already."""

    words: str
    count: int
    query: str


@dataclass(frozen=True, slots=True)
class Facet:
    title: str
    values: Sequence[FacetValue]
    more: int = 0  # values that are not listed


def facets(scope: RunScope, state: RunsState) -> list[Facet]:
    """Facets of the runs that the filter lets through. A query or two each.

    Raises:
        InvalidFilter: saying what is wrong with the filter.
    """
    rows = matching(scope, state).order_by()
    states = rows.values_list("state").annotate(runs=Count("pk")).order_by("-runs")
    found = [
        _facet(state, "State", Field("attribute", "state"), [
            (STATE_WORDS[key], STATE_WORDS[key], count) for key, count in states
        ]),
        _studies(scope, state, rows),
        _facet(state, "Finding", Field("attribute", "finding"), [
            (rule, rule.replace("_", " "), count) for rule, count in _findings(rows)
        ]),
        *_tags(state, rows),
    ]  # fmt: skip
    return [facet for facet in found if facet.values]


def _studies(scope: RunScope, state: RunsState, rows: QuerySet[Trial]) -> Facet:
    """Arms of one experiment, or the experiments of several."""
    counted = dict(rows.values_list("study_id").annotate(Count("pk")))
    studies = Study.objects.filter(pk__in=counted).values_list(
        "pk", "experiment_id", "arm_index", "arm"
    )
    if scope.single:
        ordered = sorted(studies, key=lambda study: study[2])
        arms = [
            (arm_letter(index), f"{arm_letter(index)}: {arm_label(arm)}", counted[pk])
            for pk, _, index, arm in ordered
        ]
        return _facet(state, "Arm", Field("attribute", "arm"), arms if len(arms) > 1 else [])
    sums: Counter[int] = Counter()
    for pk, experiment_id, *_ in studies:
        if experiment_id is not None:
            sums[experiment_id] += counted[pk]
    names = dict(Experiment.objects.filter(pk__in=sums).values_list("pk", "name"))
    return _facet(state, "Experiment", Field("attribute", "experiment"), [
        (names[key], names[key], count) for key, count in sums.most_common()
    ])  # fmt: skip


def _findings(rows: QuerySet[Trial]) -> list[tuple[str, int]]:
    counted = (
        Finding.objects.asking()
        .filter(trial__in=rows.values("pk"))
        .order_by()
        .values_list("rule")
        .annotate(runs=Count("trial", distinct=True))
        .order_by("-runs", "rule")
    )
    return [(rule, count) for rule, count in counted]


def _tags(state: RunsState, rows: QuerySet[Trial]) -> list[Facet]:
    texts = rows.exclude(user_attributes="{}").order_by("-pk")
    counted: Counter[tuple[str, str]] = Counter()
    for tags in decode_all(list(texts.values_list("user_attributes", flat=True)[:MOST_TAGGED])):
        counted.update(
            (name, value if isinstance(value, str) else encode(value))
            for name, value in tags.items()
            if _is_shown(name, value)
        )
    by_name: dict[str, list[tuple[str, int]]] = {}
    for (name, value), count in counted.most_common():
        by_name.setdefault(name, []).append((value, count))
    labels = [(name, values[0][1]) for name, values in by_name.items() if _is_label(values)]
    found = [_labels(state, labels)] if labels else []
    return (
        found
        + [
            _facet(state, name, Field("tag", name), [(v, v, count) for v, count in values])
            for name, values in by_name.items()
            # A tag whose every value is another names runs and does not sort them.
            if not _is_label(values) and (len(values) < 50 or values[0][1] > 1)
        ][:8]
    )


def _is_label(values: Sequence[tuple[str, int]]) -> bool:
    """Test whether a tag is a plain word, as people give runs."""
    return len(values) == 1 and values[0][0] == ""


def _labels(state: RunsState, labels: Sequence[tuple[str, int]]) -> Facet:
    values = [
        _value(state, Comparison(Field("tag", name), "IS NOT NULL", None), name, count)
        for name, count in labels
    ]
    return Facet("Tag", values[:MOST_VALUES], max(0, len(values) - MOST_VALUES))


def _is_shown(name: str, value: object) -> bool:
    """Test whether a tag can be counted by its values; a long text is no label."""
    if name.startswith(_OWN_TAGS):
        return False
    return len(value) <= LONGEST if isinstance(value, str) else isinstance(value, int | float)


def _facet(
    state: RunsState, title: str, field: Field, values: Sequence[tuple[str, str, int]]
) -> Facet:
    """A facet whose values are those of a field: (value, words, count) each."""
    found = [
        _value(state, Comparison(field, "=", value), words, count)
        for value, words, count in values[:MOST_VALUES]
    ]
    return Facet(title, found, max(0, len(values) - MOST_VALUES))


def _value(state: RunsState, wanted: Comparison, words: str, count: int) -> FacetValue:
    chosen = wanted in conjuncts(state.condition())
    return FacetValue(words, count, "" if chosen else state.narrowed(wanted).query())
