"""A sound design, and variations of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.analysis.design.design import Design, DesignArm, DesignParameter, Part, part_of


def parameter(name: str, role: str, **changes: Any) -> DesignParameter:
    """A hyperparameter whose part its name tells: a continuum unless `values` says else."""
    given: dict[str, Any] = {"low": 1e-4, "high": 1e-1, "log": True, "part": part_of(name)}
    if role == "fixed":
        given |= {"values": 1, "choices": (0.1,)}
    return DesignParameter(name, role, **{**given, **changes})


def choice(name: str, role: str, *choices: object, **changes: Any) -> DesignParameter:
    return parameter(name, role, values=len(choices), choices=choices, **changes)


SMOOTHING = choice("label_smoothing", "scientific", 0.0, 0.1)
RATE = parameter("learning_rate", "nuisance")
DROPOUT = parameter("dropout", "nuisance", low=0.0, high=0.5, log=False)
OPTIMIZER = choice("optimizer", "fixed", "adam")
EPOCHS = choice("epochs", "fixed", 60)


def design(*parameters: DesignParameter, trials: int = 24, **changes: Any) -> Design:
    """Two arms, as the scientific hyperparameter has two values; all nuisance ones searched."""
    held = parameters or (SMOOTHING, RATE, DROPOUT, OPTIMIZER, EPOCHS)
    mixed = bool(changes.get("mixed"))
    searched = tuple(
        setting.name
        for setting in held
        if setting.role == "nuisance" or (mixed and setting.role == "scientific")
    )
    fixed = {setting.name: setting.choices[0] for setting in held if setting.role == "fixed"}
    labels = ("",) if mixed else ("smoothing = 0", "smoothing = 0.1")
    arms = tuple(DesignArm(label, trials, searched, fixed) for label in labels)
    return replace(Design("Does smoothing help?", held, arms), **changes)


__all__ = (
    "DROPOUT",
    "EPOCHS",
    "OPTIMIZER",
    "RATE",
    "SMOOTHING",
    "Part",
    "choice",
    "design",
    "parameter",
)
