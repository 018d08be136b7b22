"""Errors as MLflow's clients know them: `{"error_code", "message"}` and an HTTP status."""

from __future__ import annotations

import json

from experiments.errors import VerdictError

# Codes of MLflow by the status that they come with; clients go by the code.
INVALID, UNKNOWN, TAKEN = (
    "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS",
)  # fmt: skip
_STATUSES = {
    INVALID: 400,
    TAKEN: 400,
    "BAD_REQUEST": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    UNKNOWN: 404,
    "ENDPOINT_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "REQUEST_LIMIT_EXCEEDED": 413,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
    "INTERNAL_ERROR": 500,
}
_HINT = " See the API docs for more information about request parameters."


class MlflowError(VerdictError):
    """An error with one of MLflow's codes."""

    def __init__(self, message: str, code: str = INVALID) -> None:
        super().__init__(message)
        self.code = code
        self.status = _STATUSES[code]


def missing(name: str, *, hint: bool = True) -> MlflowError:
    text = f"Missing value for required parameter '{name}'."
    return MlflowError(text + _HINT * hint)


def wrong_type(name: str, value: object) -> MlflowError:
    return invalid(name, value, f" Hint: Value was of type '{type(value).__name__}'.{_HINT}")


def invalid(name: str, value: object, why: str = "") -> MlflowError:
    written = json.dumps(value, sort_keys=True, separators=(",", ":"))[:2000]
    end = f": {why}" if why else "."
    return MlflowError(f"Invalid value {written} for parameter '{name}' supplied{end}")


def too_long(name: str, most: int) -> MlflowError:
    return MlflowError(f"'{name}' exceeds the maximum length of {most} characters")
