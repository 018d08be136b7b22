"""The champions page: what stands where, how it came to that, and the way back."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from experiments.charts.seeds import LineagePlot
from experiments.decisions.queries.champions import TargetChampions, champions_of
from experiments.decisions.services import champions
from experiments.team.pages.access import attempted, in_project, page_of, whole_number
from experiments.team.queries.access import Access
from experiments.team.queries.first_runs import first_run
from experiments.verdict.queries.chain_check import log_problems


@require_safe
@in_project
def champions_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Page of the champions since the baseline, with each one's gain."""
    found = champions_of(access, lambda target: page_of(request, target))
    context = {
        "project": access,
        "section": "champions",
        "targets": [
            {"champions": lineage, "gains": _gains(lineage, access.official_metric)}
            for lineage in found
        ],
        "received": first_run(access.slug),
        "has_champion": any(lineage.periods for lineage in found),
        "log_problems": log_problems(access),
    }
    status = 409 if context["log_problems"] else 200
    return render(request, "projects/champions.html", context, status=status)


def _gains(of: TargetChampions, metric: str) -> LineagePlot | None:
    steps = [period for period in reversed(of.periods) if period.gain is not None]
    if not steps:
        return None
    gains = [step.gain or 0.0 for step in steps]
    return LineagePlot(
        [period.experiment for period in steps],
        gains,
        [
            g if period.lower is None else period.lower
            for period, g in zip(steps, gains, strict=True)
        ],
        [
            g if period.upper is None else period.upper
            for period, g in zip(steps, gains, strict=True)
        ],
        metric=metric,
    )


@require_POST
@in_project
def revert_champion(request: HttpRequest, access: Access) -> HttpResponse:
    """Make an earlier champion stand again; recorded as a decision of its own."""
    made = attempted(
        request,
        lambda: champions.revert(
            access=access,
            target=request.POST.get("target", ""),
            to=whole_number(request.POST.get("to"), -1),
            current=whole_number(request.POST.get("current"), -1),
            reason=request.POST.get("reason", ""),
        ),
    )
    if made is None:
        return redirect("champions", access.slug)
    messages.success(request, f"Reverted; recorded as decision {made.sequence}.")
    return redirect("decision", access.slug, made.sequence)
