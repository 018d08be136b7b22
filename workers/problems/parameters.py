"""Read the parameters of a trial into a problem's dataclass, naming what cannot be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol, TypeVar


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Values = TypeVar("Values", bound=_Dataclass)


def read(kind: type[Values], params: Mapping[str, Any]) -> Values:
    """The parameters as `kind`, whose fields are annotated str, int or float.

    Raises:
        ValueError: that names an unknown parameter or one that cannot be read.
    """
    known = {field.name: str(field.type) for field in fields(kind)}
    for name in params:
        if name not in known:
            raise ValueError(f"unknown parameter {name!r}; known are {', '.join(known)}")
    return kind(**{name: _convert(name, known[name], value) for name, value in params.items()})


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises ValueError when `value` is none of the allowed names."""
    if value not in allowed:
        raise ValueError(f"{name}: found {value!r}, expected one of {', '.join(allowed)}")


def check_number(name: str, value: float, low: float, high: float = math.inf) -> None:
    """Raises ValueError unless `low` <= value < `high`."""
    if not low <= value < high:
        raise ValueError(f"{name}: found {value}, expected {low} <= {name} < {high}")


def _convert(name: str, kind: str, value: Any) -> Any:
    """Read a value as the field's type; files and samplers write 64 as 64.0, too."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "str" and isinstance(value, str):
        return value
    if kind == "float" and number:
        return float(value)
    if kind == "int" and number and float(value).is_integer():
        return int(value)
    wanted = {"str": "a name", "float": "a number", "int": "a whole number"}[kind]
    raise ValueError(f"{name}: found {value!r}, expected {wanted}")
