"""Series that belong in one chart: train_loss and validation_loss are the group "loss"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from experiments.design.metrics import Metric, guess

SYSTEM = "system/"  # what a run logs of its machine by itself
_SPLIT_WORDS = re.compile(
    r"(?:^|[_/. -])(train|training|trn|validation|valid|val|dev|eval)(?=$|[_/. -])"
)


@dataclass(frozen=True, slots=True)
class MetricGroup:
    """`members` are metric names; `train` those of them measured on training data."""

    key: str
    members: tuple[str, ...]
    train: frozenset[str]
    holds_official: bool = False

    def apart(self, name: str) -> tuple[int, str]:
        """Place of a name among those of its split, and the name itself where there are
        several: "loss" and "val/loss" would look the same otherwise."""
        alike = [
            member for member in self.members if (member in self.train) == (name in self.train)
        ]
        return alike.index(name), name if len(alike) > 1 else ""

    @property
    def title(self) -> str:
        return self.key.replace("_", " ").strip() or self.members[0]


def metric_groups(
    names: Iterable[str], declared: Mapping[str, Metric], official: str
) -> dict[str, MetricGroup]:
    """Groups by key: what is judged first, then losses, other metrics, the rest by name."""
    found: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        found.setdefault(_key(name).casefold(), []).append(name)
    built = {
        (key := _key(members[0])): MetricGroup(
            key=key,
            members=tuple(sorted(members, key=lambda name: _split(name, declared) == "train")),
            train=frozenset(name for name in members if _split(name, declared) == "train"),
            holds_official=official in members,
        )
        for members in found.values()
    }
    return dict(sorted(built.items(), key=lambda pair: _rank(pair[1], declared)))


def first_group(found: Mapping[str, MetricGroup], wanted: str = "") -> MetricGroup | None:
    """The group asked for; else the official metric's, else one of training beside validation.

    Machine metrics are shown where they are asked for only: None while nothing else was logged.
    """
    if wanted in found:
        return found[wanted]
    logged = [group for group in found.values() if not group.members[0].startswith(SYSTEM)]
    both = [group for group in logged if group.train and len(group.members) > len(group.train)]
    official = [group for group in logged if group.holds_official]
    return next(iter([*official, *both, *logged]), None)


def _key(name: str) -> str:
    if name.startswith(SYSTEM):
        return name
    return _SPLIT_WORDS.sub("", name).strip("_/. -") or name


def _split(name: str, declared: Mapping[str, Metric]) -> str:
    return (declared.get(name) or guess(name)).split


def _rank(group: MetricGroup, declared: Mapping[str, Metric]) -> tuple[int, str]:
    if group.holds_official:
        return (0, "")
    if group.members[0].startswith(SYSTEM):
        return (9, group.key)
    kinds = {(declared.get(name) or guess(name)).kind for name in group.members}
    order = ("loss", "metric", "learning_rate", "gradient_norm")
    return (1 + min((order.index(k) for k in kinds if k in order), default=len(order)), group.key)
