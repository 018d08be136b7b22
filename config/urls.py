"""Mounts the API and the pages; ``experiments.site.urls`` lists the pages."""

from __future__ import annotations

from django.urls import include, path
from django.urls.resolvers import URLPattern, URLResolver

from experiments.site.api.urls import of_projects

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include("experiments.site.api.urls")),
    path("", include(of_projects)),
    path("", include("experiments.site.urls")),
]

# Django takes these names from here.
handler400 = "experiments.site.error_handlers.bad_request"
handler403 = "experiments.site.error_handlers.permission_denied"
handler404 = "experiments.site.error_handlers.page_not_found"
handler500 = "experiments.site.error_handlers.server_error"
