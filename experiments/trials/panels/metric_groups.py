"""Series that belong in one chart: train_loss and validation_loss are the group "loss"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from experiments.design.metrics import Metric, guess

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
        alike = [each for each in self.members if (each in self.train) == (name in self.train)]
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
    """The group asked for; else one that shows training beside validation, else the official."""
    if wanted in found:
        return found[wanted]
    both = [each for each in found.values() if each.train and len(each.members) > len(each.train)]
    official = [each for each in found.values() if each.holds_official]
    for choice in ([each for each in official if each in both], both, official):
        if choice:
            return choice[0]
    return next(iter(found.values()), None)


def _key(name: str) -> str:
    return _SPLIT_WORDS.sub("", name).strip("_/. -") or name


def _split(name: str, declared: Mapping[str, Metric]) -> str:
    return (declared.get(name) or guess(name)).split


def _rank(group: MetricGroup, declared: Mapping[str, Metric]) -> tuple[int, str]:
    if group.holds_official:
        return (0, "")
    kinds = {(declared.get(name) or guess(name)).kind for name in group.members}
    order = ("loss", "metric", "learning_rate", "gradient_norm")
    return (1 + min((order.index(k) for k in kinds if k in order), default=len(order)), group.key)
