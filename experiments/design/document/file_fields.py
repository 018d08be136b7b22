"""Parts of an experiment file as pydantic models: what each key may hold, in words when wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import ErrorDetails

from experiments.errors import Problem

MISSING = "is missing"
MOST_FIRST = 1000  # configurations in a file's `first:`
NO_VALUES = "Enter a range, choices or a value."


class Part(BaseModel):
    """A mapping of an experiment file; its fields are the keys that it may have.

    What is wrong becomes a problem under its key and the field's default stands in for it, so
    that all problems of a file are found together.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _collected(
        cls, value: Any, check: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        prefix, problems = cast(tuple[str, list[Problem]], info.context)
        field = cls.model_fields[str(info.field_name)]
        try:
            return check(value)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                inside = "".join(f".{_place(key)}" for key in detail["loc"])
                message = describe_error(detail, field.metadata)
                if message == MISSING and field.description:
                    message += f"; {field.description}"
                problems.append(Problem(f"{prefix}{info.field_name}{inside}", message))
            return field.get_default(call_default_factory=True)


P = TypeVar("P", bound=Part)


def required(hint: str) -> Any:
    """A key that must be there; `hint` says what to write when it is missing."""
    return Field(default=None, validate_default=True, description=hint)


def checked(part: type[P], found: Any, where: str, problems: list[Problem]) -> P:
    """A part of the file as its model, with what is wrong added to `problems`.

    A key that is null is as good as one that is not there, but where anything may stand.
    """
    if found is None:
        found = {}
    if not isinstance(found, Mapping):
        problems.append(Problem(where, f"must be a mapping of {', '.join(part.model_fields)}"))
        return part.model_construct()
    prefix = f"{where}." if where else ""
    known = part.model_fields
    given = {}
    for key, value in found.items():
        if key not in known:
            message = f"unknown key; use one of {', '.join(known)}"
            problems.append(Problem(f"{prefix}{key_text(key)}", message))
        elif value is not None or known[key].annotation is Any:
            given[key] = value
    return part.model_validate(given, context=(prefix, problems))


def _place(key: int | str) -> str:
    return str(key + 1) if isinstance(key, int) else key_text(key)


_LIMITS = ("greater_than_equal", "less_than_equal")
_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a finite number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "literal_error": "one of {expected}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "string_too_long": "at most {max_length} characters",
    "too_short": "a list of at least {min_length} values",
    "too_long": "a list of at most {max_length} values",
}


def describe_error(error: ErrorDetails, limits: Sequence[Any] = (), alternatives: str = "") -> str:
    """Error and its mend in words; `alternatives` is what else would be right.

    limits: of the field, so that both ends of what a whole number may be are said at once.
    """
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if found is None or (isinstance(found, str) and not found.strip()):
        return MISSING
    low = [limit.ge for limit in limits if hasattr(limit, "ge")]
    high = [constraint.le for constraint in limits if hasattr(constraint, "le")]
    if "expected" in context:
        context = {"expected": context["expected"].replace("'", "").replace(" or ", ", ")}
    plain = {
        key: f"{value:g}" if isinstance(value, float) else value for key, value in context.items()
    }
    wanted = _WANTED.get(kind, "something else").format_map(plain)
    if low and high and kind in ("int_type", "int_from_float", *_LIMITS):
        wanted = f"a whole number from {low[0]} to {high[0]}"
    sizes = [
        getattr(constraint, name)
        for name in ("min_length", "max_length")
        for constraint in limits
        if hasattr(constraint, name)
    ]
    if len(sizes) == 2 and kind in ("list_type", "too_short", "too_long"):
        wanted = f"a list of {sizes[0]} to {sizes[1]} values"
    return f"must be {wanted}{alternatives} (found {short(found)})"


def is_unfinished(problem: Problem) -> bool:
    """Tell what has not been filled in yet from what is wrong."""
    return problem.message.startswith(MISSING) or problem.message == NO_VALUES


def is_number(value: Any) -> bool:
    """Test whether a value is a number that a float can hold, and finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _number(value: Any) -> Any:
    if value is None:
        raise ValueError(MISSING)
    if not is_number(value):
        raise ValueError(f"must be a finite number (found {short(value)})")
    return value


def _positive(value: Any) -> Any:
    if value is not None and _number(value) <= 0:
        raise ValueError(f"must be more than 0 (found {short(value)})")
    return value


def is_scalar(value: Any) -> bool:
    """Test whether a hyperparameter can have this value."""
    if isinstance(value, str):
        return len(value) <= 1000
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and abs(value) < 2**63)


def _scalar(value: Any) -> Any:
    if not is_scalar(value):
        raise ValueError(
            f"must be text, a finite number, true, false or null (found {short(value)})"
        )
    return value


Number = Annotated[Any, AfterValidator(_number)]
Positive = Annotated[Any, AfterValidator(_positive)]
AnyScalar = Annotated[Any, AfterValidator(_scalar)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Long = Annotated[str, StringConstraints(strip_whitespace=True)]


def matching(pattern: str, wanted: str) -> AfterValidator:
    """A check of a text that may be left out; `wanted` says what would be right."""

    def check(value: str) -> str:
        if value and not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"{wanted} (found {short(value)})")
        return value

    return AfterValidator(check)


def short(value: Any, longest: int = 60) -> str:
    """A value as Python writes it, for a message: never long, whatever it is."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**longest:
        return f"a whole number of {value.bit_length()} bits"  # Python refuses to write long ones
    if isinstance(value, (list, tuple, Mapping)) and len(value) > longest:
        return f"{'a mapping' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    try:
        text = repr(value[: longest + 1] if isinstance(value, (str, bytes)) else value)
    except ValueError:  # a long whole number inside
        return f"a {type(value).__name__}"
    return text if len(text) <= longest else text[: longest - 3] + "..."


def key_text(key: Any, longest: int = 200) -> str:
    """A key as a message names it."""
    text = key if isinstance(key, str) else short(key, longest)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def check_texts(document: Any, problems: list[Problem]) -> None:
    """Add every text that cannot be stored: with NUL, or half of a surrogate pair."""
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, Mapping):
            prefix = f"{where}." if where else ""
            for key, member in value.items():
                at = f"{prefix}{key_text(key)}"
                waiting.append((at, member))
                if isinstance(key, str) and not _storable(key):
                    problems.append(Problem(ascii(at)[1:-1], "holds NUL or half a character"))
        elif isinstance(value, list):
            waiting += [(f"{where}.{index + 1}", element) for index, element in enumerate(value)]
        elif isinstance(value, str) and not _storable(value):
            problems.append(Problem(where, "holds NUL or half a character; leave them out"))


def _storable(text: str) -> bool:
    try:
        return "\x00" not in text and bool(text.encode() or True)
    except UnicodeEncodeError:
        return False
