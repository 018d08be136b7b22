"""The one shape of every error that the API answers."""

from __future__ import annotations

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
            "errors": [{"where": each.where, "message": each.message} for each in problems],
            "status": status,
        },
        status=status,
    )


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
        refused = error_response(405, f"{request.method} is not known here; want {allowed}.")
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
                ".".join(str(part) for part in each["loc"][1:]),
                str(each["msg"]).removeprefix("Value error, "),
            )
            for each in error.errors
        ]
        return error_response(422, "The request has errors.", problems)

    @api.exception_handler(HttpError)
    def _refused(request: HttpRequest, error: Any) -> HttpResponse:
        return error_response(error.status_code, str(error))
