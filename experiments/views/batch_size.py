"""Which batch size uses a device best: what was measured in a project."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from experiments.queries.access import Access
from experiments.queries.batch_sizes import measurements
from experiments.views.guard import in_project


@require_safe
@in_project
def batch_size_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Examples a second, step time and peak memory at each size, and the answer in words."""
    context = {"project": access, "measurements": measurements(access.project_id)}
    return render(request, "projects/batch_size.html", context)
