"""Candidate selected in a page's address, where several were declared together."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from experiments.team.pages.access import whole_number
from experiments.team.queries.access import Access


def asked(request: HttpRequest) -> int:
    """The candidate that the address asks for, from 1; 0 when it leaves that open."""
    return whole_number(request.GET.get("candidate"), 0)


def to_page(request: HttpRequest, view: str, access: Access, name: str) -> HttpResponse:
    """On to a page of the same experiment, about the same candidate."""
    address = reverse(view, args=[access.slug, name])
    return redirect(f"{address}?candidate={asked(request)}" if asked(request) else address)
