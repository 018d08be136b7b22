"""Mounts the API and the pages; ``experiments.urls`` lists the pages."""

from __future__ import annotations

from django.urls import include, path
from django.urls.resolvers import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include("experiments.api.urls")),
    path("", include("experiments.urls")),
]
