"""Addresses of the API."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, re_path
from django.views.decorators.csrf import csrf_exempt

from experiments.decisions.api import baselines, decisions, deployments
from experiments.reports.api import reports
from experiments.site.api import charts, projects
from experiments.site.api.routes import api, openapi_document
from experiments.team.api import account, members, webhooks
from experiments.tracking.api import mlflow, run_files, runs
from experiments.trials.api import (
    batch_sizes,
    control,
    edge_probes,
    experiments,
    files,
    findings,
    follow_ups,
    trials,
    workers,
)
from experiments.verdict.api import replications
from experiments.web.api_errors import in_one_shape, unknown_path

for _part in (
    projects,
    members,
    deployments,
    decisions,
    baselines,
    experiments,
    follow_ups,
    trials,
    control,
    files,
    charts,
    batch_sizes,
    findings,
    edge_probes,
    replications,
    webhooks,
    reports,
):
    api.add_router("/projects", _part.router)
api.add_router("/runs", runs.router)
api.add_router("/runs", run_files.router)
api.add_router("/account", account.router)
api.add_router("/workers", workers.router)

_patterns, _app, _namespace = api.urls
for _pattern in _patterns:
    if _pattern.callback is not None:
        # Tokens are no cookies: no other site can make a browser send one.
        _pattern.callback = csrf_exempt(in_one_shape(_pattern.callback))

FILES = "mlflow-artifacts/artifacts"
urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/openapi.json", openapi_document, name="openapi"),
    path("v1/", (_patterns, _app, _namespace)),
    path("<str:version>/mlflow/<path:call>", mlflow.door, name="mlflow"),
    path(f"<str:version>/{FILES}", mlflow.artifacts, name="mlflow_artifacts"),
    path(f"<str:version>/{FILES}/<path:path>", mlflow.artifacts, name="mlflow_artifact"),
    re_path(r"^", unknown_path),
]
# Below a project: the tracking URI of its MLflow clients is its page's address.
of_projects: list[URLPattern | URLResolver] = [
    path(
        "projects/<slug:slug>/api/<str:version>/mlflow/<path:call>",
        mlflow.door,
        name="project_mlflow",
    ),
    path(
        f"projects/<slug:slug>/api/<str:version>/{FILES}",
        mlflow.artifacts,
        name="project_mlflow_artifacts",
    ),
    path(
        f"projects/<slug:slug>/api/<str:version>/{FILES}/<path:path>",
        mlflow.artifacts,
        name="project_mlflow_artifact",
    ),
]
