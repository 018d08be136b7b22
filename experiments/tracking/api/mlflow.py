"""The door for MLflow's clients: its REST protocol on the records of runs from outside.

`<server>/projects/<slug>` is the tracking URI of a project; the bare server's serves all that a
token opens. Every answer is JSON, every error `{"error_code", "message"}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from experiments.errors import VerdictError
from experiments.team.queries import token_access
from experiments.team.services import tokens
from experiments.tracking.api import mlflow_experiments, mlflow_runs
from experiments.tracking.api.mlflow_call import Call, Handler
from experiments.tracking.mlflow_errors import MlflowError
from experiments.tracking.mlflow_fields import Fields
from experiments.web import api_bodies
from experiments.web.api_errors import tracker_error

ROUTES: Mapping[tuple[str, str], Handler] = {
    **mlflow_experiments.ROUTES,
    **mlflow_runs.ROUTES,
}
VERSIONS = ("2.0", "3.0")
_NOT_OFFERED = (
    "traces",
    "prompts",
    "gateway",
    "webhooks",
    "scorers",
    "genai",
    "datasets",
    "assessments",
    "issues",
    "jobs",
    "secrets",
    "users",
)
_REFUSED = {409: 400, 422: 400}  # what MLflow answers for what is wrong with a request


@csrf_exempt  # a token is no cookie: no other site can make a browser send one
def door(request: HttpRequest, version: str, call: str, slug: str = "") -> HttpResponseBase:
    """One call of a client."""
    try:
        return _answered(request, call.strip("/") if version in VERSIONS else "", slug)
    except MlflowError as error:
        return tracker_error(error.status, error.message, error.code)
    except VerdictError as error:
        message = " ".join((error.message, *(str(problem) for problem in error.problems)))
        return tracker_error(_REFUSED.get(error.status, error.status), message)


def _answered(request: HttpRequest, path: str, slug: str) -> HttpResponseBase:
    handler = _handler(str(request.method), path)
    secret = tokens.secret_in(request.headers.get("Authorization", ""))
    token = token_access.find(tokens.digest(secret)) if secret else None
    if token is None:
        refused = tracker_error(
            401,
            "A valid token is needed: set MLFLOW_TRACKING_TOKEN, or send it as the password.",
        )
        refused["WWW-Authenticate"] = 'Basic realm="Verdict"'
        return refused
    tokens.touch(token=token)
    fields = _query(request) if request.method == "GET" else api_bodies.read_object(request)
    answer = handler(Call(token, slug, Fields(fields)))
    return HttpResponse(
        json.dumps(answer or {}, separators=(",", ":"), allow_nan=False),
        content_type="application/json",
    )


def _query(request: HttpRequest) -> dict[str, Any]:
    """The query as fields: a name that stands several times is a list."""
    return {
        name: values if len(values) > 1 or name.endswith("_ids") else values[0]
        for name, values in request.GET.lists()
    }


def _handler(method: str, path: str) -> Callable[[Call], dict[str, Any] | None]:
    found = ROUTES.get((method, path))
    if found is not None:
        return found
    if path.split("/", 1)[0] in _NOT_OFFERED:
        raise MlflowError(
            "Verdict keeps runs, their files and models; traces, prompts, evaluation, the "
            "gateway and webhooks of MLflow are not offered.",
            "NOT_IMPLEMENTED",
        )
    if any(known == path for _, known in ROUTES):
        raise MlflowError(f"{path} takes no {method[:20]}.", "METHOD_NOT_ALLOWED")
    raise MlflowError(f"There is nothing at {method[:20]} {path[:200]}.", "ENDPOINT_NOT_FOUND")
