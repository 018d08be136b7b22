"""Curves that people have labelled, as JSON lines, and what the overfitting rule says of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.findings_algoperf import Counts, count
from experiments.analysis.curves.curves import overfitting
from experiments.analysis.curves.learning_curve import (
    Curve,
    Direction,
    Floats,
    MetricKind,
    is_bounded,
    to_errors,
)

LABELS = {"overfit": True, "non_overfit": False}


@dataclass(frozen=True, slots=True)
class LabelledCurve:
    """A validation curve, the training errors beside it (None if unknown), and the label."""

    validation: Curve
    train: Curve | None
    kind: MetricKind
    direction: Direction
    overfit: bool


def files(path: Path) -> list[Path]:
    """Return the file, or those of a folder's *.jsonl (and below) that begin with a label."""
    return (
        [path] if path.is_file() else sorted(filter(_begins_with_a_label, path.rglob("*.jsonl")))
    )


def read(path: Path) -> list[LabelledCurve]:
    """Read one file. Raises ValueError naming the line that is no labelled curve."""
    curves = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        if text.strip():
            try:
                curves.append(_curve(json.loads(text)))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path}, line {number} is no labelled curve: {error!r}"
                ) from error
    return curves


def counts(curves: Sequence[LabelledCurve], rule: Callable[[LabelledCurve], bool]) -> Counts:
    return count([(rule(curve), curve.overfit) for curve in curves])


def says_overfit(curve: LabelledCurve) -> bool:
    found = overfitting(curve.validation, curve.train, kind=curve.kind, direction=curve.direction)
    return found.fired


def raw_says_overfit(curve: LabelledCurve) -> bool:
    """Prechelt's GL5 as published, on raw values."""
    errors = _errors(curve.validation.finite(), curve.kind, curve.direction)
    return bool(errors.size and errors[-1] > 1.05 * errors.min())


def _begins_with_a_label(path: Path) -> bool:
    with path.open() as file:
        first = next((line for line in file if line.strip()), "")
    try:
        return {"validation", "label"} <= set(json.loads(first))
    except (TypeError, ValueError):
        return False


def _curve(line: dict[str, Any]) -> LabelledCurve:
    kind = MetricKind(line.get("kind", "loss"))
    default = Direction.MINIMIZE if kind is MetricKind.LOSS else Direction.MAXIMIZE
    direction = Direction(line.get("direction") or default)
    validation = Curve.of(_values(line["validation"]))
    return LabelledCurve(
        validation,
        _train(_values(line.get("train") or []), validation, kind, direction),
        kind,
        direction,
        LABELS[line["label"]],
    )


def _values(row: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else float(value) for value in row]


def _train(
    values: list[float], validation: Curve, kind: MetricKind, direction: Direction
) -> Curve | None:
    """Return the training errors, however many, over the steps of the validation curve."""
    if not values or not len(validation):
        return None
    curve = Curve.of(values, np.linspace(0, validation.steps[-1], len(values)))
    return Curve(curve.steps, _errors(curve, kind, direction))


def _errors(curve: Curve, kind: MetricKind, direction: Direction) -> Floats:
    return to_errors(curve.values, direction, bounded=is_bounded(curve, kind))
