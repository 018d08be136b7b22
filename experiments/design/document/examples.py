"""Experiment files of the bundled problems, to begin a new experiment with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from experiments.design.document import experiment_file

FOLDER = Path(__file__).parents[3] / "workers" / "problems" / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    """A bundled experiment file. `problem` is its first comment; `metric` the official one."""

    name: str
    problem: str
    goal: str
    objective: str
    metric: str
    direction: str
    text: str


@cache
def all_examples() -> tuple[Example, ...]:
    """Every bundled experiment file, by the name of its problem."""
    found = [_read(path) for path in FOLDER.glob("*.yaml")]
    return tuple(sorted(found, key=lambda example: example.problem))


def find(name: str) -> Example | None:
    """The example of that name, if there is one."""
    return next((example for example in all_examples() if example.name == name), None)


def _read(path: Path) -> Example:
    text = path.read_text(encoding="utf-8")
    comment, _, body = text.partition("\n")
    file = experiment_file.parse(body)
    return Example(
        name=path.stem,
        problem=comment.removeprefix("#").strip(),
        goal=file.goal,
        objective=file.objective,
        metric=file.official,
        direction=file.metrics[file.official].direction or "",
        text=body,
    )
