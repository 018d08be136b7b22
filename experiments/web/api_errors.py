"""The one shape of every error that the API answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from experiments.errors import Problem, VerdictError


def error_response(status: int, message: str, problems: Sequence[Problem] = ()) -> JsonResponse:
    """`{ok, error, errors: [{where, message}], status}`."""
    return JsonResponse(
        {
            "ok": False,
            "error": message,
            "errors": [
                {"where": problem.where, "message": problem.message} for problem in problems
            ],
            "status": status,
        },
        status=status,
    )


# Addresses below a project's, or the server's, that MLflow's clients use.
_TRACKER = re.compile(r"(/projects/[^/]+)?/api/\d+\.\d+/mlflow(-artifacts)?(/|$)")
# MLflow's codes by the status that they come with; its clients go by the code.
_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    413: "REQUEST_LIMIT_EXCEEDED",
    501: "NOT_IMPLEMENTED",
    503: "TEMPORARILY_UNAVAILABLE",
}


def is_of_program(path: str) -> bool:
    """Tell the addresses of programs from those of pages."""
    return path.startswith("/api/") or _TRACKER.match(path) is not None


def tracker_error(status: int, message: str, code: str = "") -> JsonResponse:
    """`{error_code, message}`, as MLflow's clients know errors."""
    known = code or _CODES.get(status, "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST")
    return JsonResponse({"error_code": known, "message": message}, status=status)


def error_for(path: str, status: int, message: str) -> JsonResponse:
    """An error in the shape that programs at this address know."""
    if _TRACKER.match(path):
        return tracker_error(status, message)
    return error_response(status, message)


@csrf_exempt  # it writes nothing, and a program is to be answered in the one shape
def unknown_path(request: HttpRequest) -> HttpResponse:
    """Any path under /api/ that is none of ours."""
    return error_response(404, "There is nothing at this address.")


def in_one_shape(view: Callable[..., Any]) -> Callable[..., Any]:
    """The view, but a method that it does not know is refused in the one shape."""

    @wraps(view)
    def shaped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer: HttpResponseBase = view(request, *args, **kwargs)
        if answer.status_code != 405:
            return answer
        allowed = ", ".join(sorted(answer["Allow"].split(", ")))
        refused = error_response(405, f"{request.method} is not known here; expected {allowed}.")
        refused["Allow"] = allowed
        return refused

    return shaped


def install(api: NinjaAPI) -> None:
    """Make every exception of `api` answer in the one shape."""

    @api.exception_handler(VerdictError)
    def _domain(request: HttpRequest, error: VerdictError | type[VerdictError]) -> HttpResponse:
        if isinstance(error, type):
            return error_response(error.status, "")
        return error_response(error.status, error.message, error.problems)

    @api.exception_handler(AuthenticationError)
    def _unauthenticated(request: HttpRequest, error: Any) -> HttpResponse:
        response = error_response(
            401, "A valid token is needed: send it as Authorization: Bearer TOKEN."
        )
        response["WWW-Authenticate"] = "Bearer"
        return response

    @api.exception_handler(ValidationError)
    def _invalid(request: HttpRequest, error: Any) -> HttpResponse:
        problems = [
            Problem(
                ".".join(str(part) for part in detail["loc"][1:]),
                str(detail["msg"]).removeprefix("Value error, "),
            )
            for detail in error.errors
        ]
        return error_response(422, "The request has errors.", problems)

    @api.exception_handler(HttpError)
    def _refused(request: HttpRequest, error: Any) -> HttpResponse:
        return error_response(error.status_code, str(error))
