"""Names of trials: 17, or B17 where an experiment has several arms.

A number alone is unique in a study only; with the arm's letter it is unique in the experiment.
Trials that belong to no search (replicates) are called by their study: s31-4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_SEARCH = re.compile(r"([A-Z]{0,3})(0|[1-9]\d{0,8})")
_OTHER = re.compile(r"s([1-9]\d{0,17})-(0|[1-9]\d{0,8})")


@dataclass(frozen=True, slots=True)
class TrialReference:
    """A parsed name: `arm` and number of a search trial, or `study` and number of another."""

    number: int
    arm: int | None = None
    study: int | None = None


@lru_cache(maxsize=256)
def arm_letter(index: int) -> str:
    """A for arm 0, B for 1, .. Z, AA, as columns of a sheet."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def trial_name(number: int, *, arm: int, arms: int) -> str:
    """The name of a search trial in an experiment with so many arms."""
    return f"{arm_letter(arm)}{number}" if arms > 1 else str(number)


def other_trial_name(study: int, number: int) -> str:
    """The name of a trial outside the searches, such as a replicate."""
    return f"s{study}-{number}"


def parse_trial_name(text: str) -> TrialReference | None:
    """Reference of a name, None when it is no name. A missing letter is arm 0."""
    if match := _OTHER.fullmatch(text):
        return TrialReference(int(match[2]), study=int(match[1]))
    match = _SEARCH.fullmatch(text)
    if match is None:
        return None
    arm = 0
    for letter in match[1]:
        arm = arm * 26 + ord(letter) - ord("A") + 1
    return TrialReference(int(match[2]), arm=arm - 1 if match[1] else 0)
