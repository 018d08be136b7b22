"""Addresses of the API."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, re_path

from experiments.api import deployments, runs
from experiments.api.errors import unknown_path
from experiments.api.routes import api

api.add_router("/projects", deployments.router)
api.add_router("/runs", runs.router)

urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/", api.urls),
    re_path(r"^", unknown_path),
]
