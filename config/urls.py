"""Mounts the pages; ``experiments.urls`` lists them."""

from __future__ import annotations

from django.urls import include, path
from django.urls.resolvers import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = [path("", include("experiments.urls"))]
