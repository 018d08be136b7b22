"""The jump box: a few letters in, places with their addresses out."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from experiments.site.queries.jump import Place, places
from experiments.web.requests import PersonRequest

LONGEST = 200


@require_safe
@login_required
def jump(request: PersonRequest) -> JsonResponse:
    """Places that answer to `?q=`; `project` and `experiment` say where one is."""
    found = places(
        request.user,
        request.GET.get("q", "")[:LONGEST].replace("\x00", ""),
        project=request.GET.get("project", "").replace("\x00", ""),
        experiment=request.GET.get("experiment", "").replace("\x00", ""),
    )
    answer = JsonResponse(
        {
            "places": [
                {
                    "kind": place.kind,
                    "title": place.title,
                    "detail": place.detail,
                    "url": address_of(place),
                }
                for place in found
            ]
        }
    )
    answer["Cache-Control"] = "no-store"
    return answer


def address_of(place: Place) -> str:
    """Address of a place's page."""
    if place.kind == "project":
        return reverse("project", args=[place.project])
    if place.kind == "decision":
        return reverse("decision", args=[place.project, place.sequence])
    if place.kind == "report":
        return reverse("report", args=[place.project, place.sequence])
    if place.kind == "study":
        return reverse("study", args=[place.project, place.sequence])
    if place.kind == "page":
        return reverse(place.page, args=[place.project] if place.project else None)
    if place.kind == "tag":
        return f"{reverse('project', args=[place.project])}?{urlencode({'tag': place.page})}"
    if place.kind == "person":
        return reverse("members", args=[place.project])
    if place.kind == "parameter":
        return f"{reverse('experiment', args=[place.project, place.experiment])}?tab=axes"
    if place.kind == "trial":
        return reverse("trial", args=[place.project, place.experiment, place.trial])
    return reverse("experiment", args=[place.project, place.experiment])
