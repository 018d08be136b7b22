"""Parameters, tags and times of a run as texts and as they are stored."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

from experiments.design.document.experiment_file import NAME
from experiments.trials.table.queries.filtered_trials import SEED_PARAMETER

SEED_TAGS = ("verdict.train_seed", "verdict.split_seed", "verdict.search_seed")
# Parameters that name a seed, unless a tag of the experiment names others.
SEED_NAMES: Mapping[str, tuple[str, ...]] = {
    "train_seed": ("train_seed", "seed", "random_state", "random_seed", "seed_everything"),
    "split_seed": ("split_seed", "data_seed", "split_random_state"),
    "search_seed": ("search_seed", "sampler_seed"),
}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def stored_value(text: str) -> str | int | float:
    """A number where its shortest text is the very text, so that axes can show it."""
    number = number_of(text)
    return text if number is None else number


def number_of(text: str) -> float | int | None:
    """The number that a parameter's text is stored as; None where its text would be lost."""
    if re.fullmatch(r"-?\d{1,16}", text):
        whole = int(text)
        return whole if str(whole) == text and abs(whole) < 2**53 else None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and repr(number) == text else None


def text_of(value: Any) -> str:
    """The text of a stored parameter."""
    return value if isinstance(value, str) else repr(value)


def parameters_of(parameters: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, str]:
    """All parameters of a run as texts, those that became seeds among them."""
    found = {name: text_of(value) for name, value in parameters.items()}
    for name, value in system.items():
        if name.startswith(SEED_PARAMETER):
            found[name.removeprefix(SEED_PARAMETER)] = str(value)
    return found


def seeds_in(
    parameters: Mapping[str, str], experiment_tags: Mapping[str, Any]
) -> dict[str, tuple[str, int]]:
    """Parameters that are seeds: name -> (train_seed, split_seed or search_seed, its number)."""
    found = {}
    for tag, (seed, names) in zip(SEED_TAGS, SEED_NAMES.items(), strict=True):
        chosen = str(experiment_tags.get(tag, "")).strip()
        for name in re.split(r"[,\s]+", chosen) if chosen else names:
            if re.fullmatch(r"\d{1,18}", parameters.get(name, "")):
                found[name] = (seed, int(parameters[name]))
    return found


def address_name(name: str) -> str:
    """The name of an experiment of ours for one that a client chose: the same where our
    addresses can hold it.
    """
    if re.fullmatch(NAME, name) and name != "new":
        return name
    plain = re.sub(r"[^\w .+=-]", "-", name).lstrip(" .+=-")[:180]
    return f"{plain or 'experiment'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def moment(milliseconds: int | None) -> dt.datetime | None:
    """A time since 1970; None for none, and for one that no calendar holds."""
    if milliseconds is None:
        return None
    try:
        return _EPOCH + dt.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def milliseconds(time: dt.datetime | None) -> int | None:
    """Milliseconds since 1970."""
    return None if time is None else (time - _EPOCH) // dt.timedelta(milliseconds=1)
