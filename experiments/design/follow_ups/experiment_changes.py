"""An experiment's file made from another's: changes applied, and the difference in words.

A search space never changes: what is searched next is a new file, and what the two differ in is
the question that the new one asks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, Literal

from experiments.design.document import experiment_file, experiment_yaml
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.space.search_space import (
    Choices,
    CodeAndData,
    Fixed,
    Hyperparameter,
    Range,
    show,
)
from experiments.design.yaml_editing.yaml_editing import CannotEdit, dumped, updated
from experiments.errors import InvalidExperiment, Problem

LONGEST_NAME = 200
DifferenceKind = Literal["added", "removed", "wider", "narrower", "changed"]
# Said elsewhere on the page, or without a part in what is compared.
_UNSAID = frozenset(
    {"project", "name", "goal", "notes", "tags", "config_link", "space", "metrics", "parallel",
     "queue", "gpus", "extends", "earlier_trials", "margin", "smallest_gain"}
)  # fmt: skip
_IN_WORDS = {"trials": "trials of each arm", "first": "known-good configurations"}


@dataclass(frozen=True, slots=True)
class Change:
    """One place of an experiment file and its new value; None takes the key out.

    where: the keys that lead there, as ("hyperparameters", "dropout", "high").
    """

    where: tuple[str, ...]
    value: Any = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A hyperparameter or setting that two files do not share, in words."""

    name: str
    before: str  # "" when it is new
    after: str  # "" when it is gone
    kind: DifferenceKind

    def __str__(self) -> str:
        if not self.before:
            return f"{self.name}: new, {self.after}"
        if not self.after:
            return f"{self.name}: left out, was {self.before}"
        return f"{self.name}: {self.before} → {self.after}"


def with_changes(source: str, changes: Sequence[Change], *, name: str, extends: str = "") -> str:
    """The file of a new experiment: `source` under another name, changed.

    Known-good configurations that do not fit the changed space are left out.

    Raises:
        InvalidExperiment: when `source` is no experiment file, or a change leads nowhere.
    """
    problems: list[Problem] = []
    document = experiment_yaml.load(source, problems)
    if problems or not isinstance(document, dict):
        raise InvalidExperiment("The older experiment has no file to begin from.", problems)
    for change in changes:
        _apply(document, change)
    document = _renamed(document, name, extends)
    if extends == "":
        document.get("search", {}).pop("earlier_trials", None)
    if "first" in document and _first_is_wrong(document):
        del document["first"]
    return as_file(source, document)


def as_file(source: str, document: Mapping[str, Any]) -> str:
    """`source` changed to say `document`, with its comments as far as its YAML can be edited."""
    try:
        return updated(source, document)
    except CannotEdit:
        return dumped(document)


def _apply(document: dict[str, Any], change: Change) -> None:
    *path, last = change.where
    at: Any = document
    for key in path:
        at = at.setdefault(key, {}) if isinstance(at, dict) else None
    if not isinstance(at, dict):
        where = ".".join(change.where)
        raise InvalidExperiment("The edit cannot be applied.", [Problem(where, "no mapping")])
    if change.value is None:
        at.pop(last, None)
    else:
        at[last] = change.value


def _renamed(document: Mapping[str, Any], name: str, extends: str) -> dict[str, Any]:
    """With the new name, and what it extends right below it."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        if key == "extends":
            continue
        found[key] = name[:LONGEST_NAME] if key == "experiment" else value
        if key == "experiment" and extends:
            found["extends"] = extends
    return found


def _first_is_wrong(document: Mapping[str, Any]) -> bool:
    try:
        experiment_file.parse_document(document)
    except InvalidExperiment as error:
        return any(problem.where.startswith("first") for problem in error.problems)
    return False


def differences(older: ExperimentFile, newer: ExperimentFile) -> tuple[Difference, ...]:
    """Differences of two files: hyperparameters in their order, code and data, settings."""
    return (
        *_of_space(older, newer),
        *_of_code_and_data(older, newer),
        *_of_settings(older, newer),
    )


def _of_space(older: ExperimentFile, newer: ExperimentFile) -> Iterator[Difference]:
    before = {
        hyperparameter.name: hyperparameter for hyperparameter in older.space.hyperparameters
    }
    after = {hyperparameter.name: hyperparameter for hyperparameter in newer.space.hyperparameters}
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        yield Difference(
            name,
            hyperparameter_words(old) if old else "",
            hyperparameter_words(new) if new else "",
            _kind(old, new),
        )


def _kind(old: Hyperparameter | None, new: Hyperparameter | None) -> DifferenceKind:
    if old is None:
        return "added"
    if new is None:
        return "removed"
    if holds_all(new, old) and not holds_all(old, new):
        return "wider"
    if holds_all(old, new) and not holds_all(new, old):
        return "narrower"
    return "changed"


def holds_all(outer: Hyperparameter, inner: Hyperparameter) -> bool:
    """Test whether every value of `inner` is one of `outer`, by their limits or choices."""
    wide, narrow = outer.domain, inner.domain
    if isinstance(narrow, Fixed):
        if isinstance(wide, Fixed) or narrow.by:
            return wide == narrow
        return wide.holds(narrow.value)
    if isinstance(wide, Choices) and isinstance(narrow, Choices):
        return all(wide.holds(value) for value in narrow.values)
    if isinstance(wide, Range) and isinstance(narrow, Range):
        return wide.low <= narrow.low and narrow.high <= wide.high
    return False


def hyperparameter_words(hyperparameter: Hyperparameter) -> str:
    """Values, scale and role: "0.0001 to 0.1, log, nuisance"; a fixed one's value alone."""
    domain = hyperparameter.domain
    if isinstance(domain, Fixed):
        words = show(domain.value)
        if domain.by:
            listed = ", ".join(f"{key}: {show(value)}" for key, value in domain.values.items())
            words = f"by {domain.by}: {listed}"
        return f"{words}, fixed"
    if isinstance(domain, Choices):
        words = ", ".join(show(value) for value in domain.values)
        words = f"{words} (ordered)" if domain.ordered else words
    else:
        words = f"{show(domain.low)} to {show(domain.high)}"
        words += ", log" if domain.log else ""
        words += f", step {domain.step:g}" if domain.step else ""
    when = "; ".join(
        f"where {name} is {' or '.join(show(value) for value in among)}"
        for name, among in hyperparameter.when.items()
    )
    return ", ".join(part for part in (words, hyperparameter.role, when) if part)


def _of_code_and_data(older: ExperimentFile, newer: ExperimentFile) -> Iterator[Difference]:
    old, new = older.space, newer.space
    if old.runs != new.runs:
        yield Difference("code and data", _runs_words(old.runs), _runs_words(new.runs), "changed")
    for name in dict.fromkeys((*old.named, *new.named)):
        before, after = old.named.get(name), new.named.get(name)
        if before != after:
            yield Difference(
                f"arm {name}",
                _runs_words(before) if before else "",
                _runs_words(after) if after else "",
                "changed" if before and after else "added" if after else "removed",
            )


def _runs_words(runs: CodeAndData) -> str:
    """Commit and data: "commit 4f1c2e9, name digits, version 2"."""
    data = [f"{key} {value}" for key, value in runs.data.items()]
    commit = [f"commit {runs.commit}"] if runs.commit else []
    return ", ".join([*commit, *data]) or "whatever the worker runs"


def _of_settings(older: ExperimentFile, newer: ExperimentFile) -> Iterator[Difference]:
    for field in fields(ExperimentFile):
        if field.name in _UNSAID:
            continue
        old, new = getattr(older, field.name), getattr(newer, field.name)
        if old != new:
            title = _IN_WORDS.get(field.name, field.name.replace("_", " "))
            yield Difference(title, _setting_words(old), _setting_words(new), "changed")


def _setting_words(value: Any) -> str:
    if value is None or value == "" or value == () or value == {}:
        return "none"
    if isinstance(value, (str, int, float)):
        return show(value)
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    if isinstance(plain, (list, tuple)):
        return str(len(plain))
    return json.dumps(plain, default=str)
