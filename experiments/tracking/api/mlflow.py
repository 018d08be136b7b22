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

from experiments.errors import NotAllowed, VerdictError
from experiments.team.queries import token_access
from experiments.team.queries.token_access import ApiToken
from experiments.team.services import tokens
from experiments.tracking.api import (
    mlflow_artifacts,
    mlflow_experiments,
    mlflow_models,
    mlflow_runs,
    registered_models,
)
from experiments.tracking.api.mlflow_call import Call, Handler
from experiments.tracking.mlflow_errors import MlflowError
from experiments.tracking.mlflow_fields import Fields
from experiments.web import api_bodies
from experiments.web.api_errors import tracker_error

ROUTES: Mapping[tuple[str, str], Handler] = {
    **mlflow_experiments.ROUTES,
    **mlflow_runs.ROUTES,
    **mlflow_models.ROUTES,
    **mlflow_artifacts.ROUTES,
    **registered_models.ROUTES,
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
    "unified-traces",
    "get-online-trace-details",
    "prompt-optimization",
    "label-schemas",
    "review-queues",
    "workspaces",
)
_LISTS = ("_ids", "order_by", "stages")  # fields of which a query may name several
_REFUSED = {409: 400, 422: 400}  # what MLflow answers for what is wrong with a request


# A token is no cookie, and no browser is asked for one that it would then attach by itself;
# what it says another site makes it send is refused all the same.
@csrf_exempt
def artifacts(
    request: HttpRequest, version: str, path: str = "", slug: str = ""
) -> HttpResponseBase:
    """Files of runs and models: PUT, GET and DELETE of one, GET of a list without a path."""
    return _shaped(request, lambda: _file(request, path, slug))


@csrf_exempt  # as above
def door(request: HttpRequest, version: str, call: str, slug: str = "") -> HttpResponseBase:
    """One call of a client."""
    path = call.strip("/") if version in VERSIONS else ""
    return _shaped(request, lambda: _answered(request, path, slug))


def _shaped(request: HttpRequest, answered: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """The answer, or what went wrong in the shape that clients know."""
    try:
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            raise NotAllowed("No other site may make a browser call this address.")
        return answered()
    except MlflowError as error:
        return tracker_error(error.status, error.message, error.code)
    except VerdictError as error:
        message = " ".join((error.message, *(str(problem) for problem in error.problems)))
        return tracker_error(_REFUSED.get(error.status, error.status), message)


def _answered(request: HttpRequest, path: str, slug: str) -> HttpResponseBase:
    handler, named = _handler(str(request.method), path)
    token = _token(request)
    if token is None:
        return _unknown()
    fields = _query(request) if request.method in ("GET", "DELETE") else {}
    if request.method != "GET" and (request.method != "DELETE" or request.body):
        fields = fields | api_bodies.read_object(request)
    answer = handler(Call(token, slug, Fields(fields | named)))
    return HttpResponse(
        json.dumps(answer or {}, separators=(",", ":"), allow_nan=False),
        content_type="application/json",
    )


def _file(request: HttpRequest, path: str, slug: str) -> HttpResponseBase:
    handler = mlflow_artifacts.METHODS.get(str(request.method))
    if handler is None:
        raise MlflowError(f"Files take no {str(request.method)[:20]}.", "METHOD_NOT_ALLOWED")
    token = _token(request)
    if token is None:
        return _unknown()
    return handler(request, Call(token, slug, Fields(_query(request))), path)


def _token(request: HttpRequest) -> ApiToken | None:
    """The token of a request, whose use is noted."""
    secret = tokens.secret_in(request.headers.get("Authorization", ""))
    token = token_access.find(tokens.digest(secret)) if secret else None
    if token is not None:
        tokens.touch(token=token)
    return token


def _unknown() -> HttpResponseBase:
    refused = tracker_error(
        401, "A valid token is needed: set MLFLOW_TRACKING_TOKEN, or send it as the password."
    )
    refused["WWW-Authenticate"] = "Bearer"  # asked for Basic, browsers keep a password
    return refused


def _query(request: HttpRequest) -> dict[str, Any]:
    """The query as fields: a name that stands several times, or may do so, is a list."""
    return {
        name: values if len(values) > 1 or name.endswith(_LISTS) else values[0]
        for name, values in request.GET.lists()
    }


def _handler(method: str, path: str) -> tuple[Handler, dict[str, Any]]:
    """Handler of a call, and the fields that its path names."""
    route, named = mlflow_models.route_of(path)
    found = ROUTES.get((method, route))
    if found is not None:
        return found, named
    if path.split("/", 1)[0] in _NOT_OFFERED:
        raise MlflowError(
            "Verdict keeps runs, their files and models; traces, prompts, evaluation, the "
            "gateway and webhooks of MLflow are not offered.",
            "NOT_IMPLEMENTED",
        )
    if any(known == route for _, known in ROUTES):
        raise MlflowError(f"{path[:200]} takes no {method[:20]}.", "METHOD_NOT_ALLOWED")
    raise MlflowError(f"There is nothing at {method[:20]} {path[:200]}.", "ENDPOINT_NOT_FOUND")
