"""Search spaces to begin with, each with its source: YAML files next to this module.

A list replaces the hyperparameters of a file. A preset by budget adds what that many trials of
an arm can tune to the hyperparameters that are there, and fixes the rest at its usual value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from experiments.design.document import experiment_yaml
from experiments.errors import NotFound, Problem

FOLDER = Path(__file__).parent
# What a file without a number of trials is taken to have.
USUAL_TRIALS = 20
_SPACE = re.compile(r"^hyperparameters:\n((?:[ ]{2}.*\n)+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PresetChange:
    """Change of a file by a preset.

    Either `whole`, the lines that replace its hyperparameters, or `entries`, which are set among
    them; `extra` holds other keys of the file.
    """

    whole: str = ""
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Band:
    """From how many trials of an arm on these hyperparameters can be tuned."""

    trials: int
    tune: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preset:
    """`source` says where the numbers come from, `note` what to know before it is used.

    `link` is the source's address, "" when it has none.
    """

    name: str
    title: str
    source: str
    link: str
    note: str
    lines: str
    space: Mapping[str, Mapping[str, Any]]
    usual: Mapping[str, Any]
    bands: tuple[Band, ...]
    extra: Mapping[str, Any]

    @property
    def by_budget(self) -> bool:
        return bool(self.bands)

    def change(self, document: Mapping[str, Any]) -> PresetChange:
        """Change that the preset makes to a file with this content."""
        if not self.by_budget:
            return PresetChange(whole=self.lines, extra=self.extra)
        tuned = self.tuned(_trials(document))
        entries = {
            name: entry if name in tuned else {"role": "fixed", "value": self.usual[name]}
            for name, entry in self.space.items()
        }
        if self._is_compared(document):
            # The arms stay, and what only this optimizer has exists in its arm alone.
            condition = {"when": {"optimizer": self.usual["optimizer"]}}
            del entries["optimizer"]
            entries = {
                name: entry if name == "learning_rate" else {**entry, **condition}
                for name, entry in entries.items()
            }
        return PresetChange(entries=entries)

    def _is_compared(self, document: Mapping[str, Any]) -> bool:
        """Test whether the file compares this optimizer with others."""
        space = document.get("hyperparameters")
        optimizer = space.get("optimizer") if isinstance(space, Mapping) else None
        choices = optimizer.get("choices") if isinstance(optimizer, Mapping) else None
        return isinstance(choices, list) and self.usual["optimizer"] in choices

    def tuned(self, trials: int) -> tuple[str, ...]:
        """Hyperparameters that can be tuned with so many trials of an arm."""
        fitting = [band.tune for band in self.bands if band.trials <= trials]
        return fitting[-1] if fitting else self.bands[0].tune


def _trials(document: Mapping[str, Any]) -> int:
    search = document.get("search")
    trials = search.get("trials") if isinstance(search, Mapping) else None
    good = isinstance(trials, int) and not isinstance(trials, bool)
    return trials if good and trials is not None else USUAL_TRIALS


@cache
def all_presets() -> tuple[Preset, ...]:
    """Every preset, lists first."""
    found = [_read(path) for path in sorted(FOLDER.glob("*.yaml"))]
    return tuple(sorted(found, key=lambda preset: preset.by_budget))


def find(name: object) -> Preset:
    """Raises NotFound when there is no preset of that name."""
    for preset in all_presets():
        if preset.name == name:
            return preset
    raise NotFound("There is no such preset.", [Problem("preset", f"found {name!r:.60}")])


def _read(path: Path) -> Preset:
    text = path.read_text(encoding="utf-8")
    data = experiment_yaml.load(text, [])
    lines = _SPACE.search(text)
    assert lines is not None, f"{path.name} has no hyperparameters in lines"
    return Preset(
        name=path.stem,
        title=data["title"],
        source=data["source"],
        link=data.get("link", ""),
        note=data["note"],
        lines=lines[1],
        space=data["hyperparameters"],
        usual=data.get("usual", {}),
        bands=tuple(Band(band["trials"], tuple(band["tune"])) for band in data.get("bands", ())),
        extra=data.get("extra", {}),
    )
