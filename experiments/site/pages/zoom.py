"""A closer look at drawn curves: the points between two steps, thinned anew."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from experiments.design.metrics import declared_metrics
from experiments.design.queries.experiments import get_experiment
from experiments.design.queries.records import ExperimentRecord
from experiments.design.trial_names import parse_trial_name
from experiments.team.pages.access import in_project, required
from experiments.team.queries.access import Access
from experiments.trials.pages.exports import step_range
from experiments.trials.panels.curve_panel import SEEDS, curve_news, points_words, wanted_trials
from experiments.trials.panels.metric_groups import MetricGroup, metric_groups
from experiments.trials.panels.parts import count_arms
from experiments.trials.series.queries.curves import CurveTrial, named_trials, zoomed
from experiments.trials.table.queries.trial_detail import find_trial
from experiments.verdict.queries.replication_state import complete_replication

MOST_NAMES = 20


@require_safe
@in_project
def closer_curves(request: HttpRequest, access: Access, name: str) -> JsonResponse:
    """`?trials=` as the page's address has it, or `?of=` one trial's name; the series of
    `?metric=a&metric=b` from step `?from=` to `?to=`.
    """
    experiment = get_experiment(access, name)
    names = tuple(request.GET.getlist("metric")[:MOST_NAMES])
    declared = declared_metrics(experiment.document)
    curves = zoomed(
        _trials(request, experiment),
        declared,
        names,
        step_range(request) or (-(2**63), 2**63 - 1),
    )
    train = frozenset(
        member for found in metric_groups(names, declared, "").values() for member in found.train
    )
    group = MetricGroup(key="", members=names, train=train)
    return JsonResponse(
        {"traces": curve_news(curves, group), "words": points_words(curves, group)}
    )


def _trials(request: HttpRequest, experiment: ExperimentRecord) -> list[CurveTrial]:
    arms = count_arms(experiment)
    one = request.GET.get("of", "")
    if one:
        found = required(find_trial(experiment, required(parse_trial_name(one))))
        return named_trials([found], arms)
    picked = request.GET.get("trials", "")
    replication = complete_replication(experiment.pk) if picked == SEEDS else None
    return wanted_trials(experiment, arms, picked, replication)
