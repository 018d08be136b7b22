"""Layout of the charts beside a runs table, as an address and a saved view hold it.

Each `panel` (several, in their order) is `kind:key,key@WIDTHxHEIGHT`: `curves:loss`,
`scatter:params.dropout,score@2x1`. Keys are percent-encoded where they hold a comma or an @; the
size is left out where it is 1x1. `panel=none` is a layout without panels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args
from urllib.parse import quote, unquote

from experiments.errors import VerdictError
from experiments.trials.table.columns import column_of
from experiments.trials.table.filter_language import canonical, field_of

Kind = Literal["curves", "scatter", "bars", "parallel"]
KINDS: dict[Kind, str] = {
    "curves": "Learning curves",
    "scatter": "Scatter plot",
    "bars": "Bar chart",
    "parallel": "Parallel coordinates",
}
_KEYS: dict[Kind, tuple[int, int]] = {
    "curves": (1, 6),
    "scatter": (2, 2),
    "bars": (1, 1),
    "parallel": (0, 12),  # without any: the searched hyperparameters and the score
}
# Columns that hold no value of their own for a chart to place.
_UNDRAWN = ("run", "chips", "hash")
WIDEST, HIGHEST = 3, 3
MOST_PANELS = 24
LONGEST_KEY = 500
NONE = "none"
_SIZE = re.compile(r"([1-9])x([1-9])")


class InvalidPanel(VerdictError):
    """A panel that cannot be read."""


@dataclass(frozen=True, slots=True)
class PanelSpec:
    """One panel. `keys` are metric groups or metrics of curves, else columns of the table; `width`
    is in columns of the grid, `height` in rows.
    """

    kind: Kind
    keys: tuple[str, ...]
    width: int = 1
    height: int = 1

    def __str__(self) -> str:
        text = f"{self.what}@{self.width}x{self.height}"
        return text.removesuffix("@1x1")

    @property
    def what(self) -> str:
        """The panel without its size."""
        return f"{self.kind}:{','.join(quote(key, safe='/. -+()') for key in self.keys)}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that it draws; of parallel coordinates the last one ranks the runs:
        a metric, else the score.
        """
        if self.kind != "parallel" or (self.keys and _ranks(self.keys[-1])):
            return self.keys
        return (*(key for key in self.keys if key != "score"), "score")


@dataclass(frozen=True, slots=True)
class Layout:
    """Panels in their order, and what is wrong with others; `chosen` where somebody has said
    which, even none.
    """

    panels: tuple[PanelSpec, ...] = ()
    problems: tuple[str, ...] = ()
    chosen: bool = False


def read_layout(texts: Sequence[str], metrics: Sequence[str] = ()) -> Layout:
    """The layout of an address; `metrics` are those of an earlier one (`metric`), which drew
    curves alone.
    """
    panels: dict[str, PanelSpec] = {}
    problems = []
    for text in filter(lambda text: text and text != NONE, texts):
        try:
            panel = panel_of(text)
        except InvalidPanel as error:
            problems.append(error.message)
            continue
        panels.setdefault(panel.what, panel)
    if not texts:
        older = (PanelSpec("curves", (key,)) for key in dict.fromkeys(metrics) if key)
        panels = {panel.what: panel for panel in older}
    if len(panels) > MOST_PANELS:
        problems.append(f"A page holds {MOST_PANELS} panels; these are {len(panels)}.")
    first = tuple(panels.values())[:MOST_PANELS]
    return Layout(first, tuple(dict.fromkeys(problems)), chosen=bool(texts or first))


def panel_of(text: str) -> PanelSpec:
    """The panel of a text.

    Raises:
        InvalidPanel: saying what is wrong with it.
    """
    kind, colon, rest = text.partition(":")
    if not colon or kind not in get_args(Kind):
        raise InvalidPanel(f"The panel {text!r:.80} is none of {', '.join(KINDS)}.")
    listed, at, size = rest.partition("@")
    found = _SIZE.fullmatch(size)
    if at and found is None:
        raise InvalidPanel(f"The size of the panel {text!r:.80} must be like 2x1.")
    keys = [unquote(key) for key in listed.split(",") if key]
    if kind != "curves":
        keys = [canonical(key) for key in keys]
    panel = PanelSpec(cast(Kind, kind), tuple(dict.fromkeys(keys)))
    _check(panel, text)
    if found:
        width, height = (int(number) for number in found.groups())
        panel = replace(panel, width=min(width, WIDEST), height=min(height, HIGHEST))
    return panel


def _check(panel: PanelSpec, text: str) -> None:
    fewest, most = _KEYS[panel.kind]
    if not fewest <= len(panel.keys) <= most:
        wanted = str(most) if fewest == most else f"{fewest} to {most}"
        raise InvalidPanel(
            f"The panel {text!r:.80} names {len(panel.keys)} columns or metrics; "
            f"{KINDS[panel.kind].lower()} have {wanted}."
        )
    for key in panel.keys:
        unknown = panel.kind != "curves" and not _is_drawn(key)
        if unknown or len(key) > LONGEST_KEY or "\0" in key:  # a database takes no NUL
            raise InvalidPanel(
                f"The panel {text!r:.80} names {key!r:.60}; runs have no such field."
            )


def _ranks(key: str) -> bool:
    return key == "score" or field_of(key).entity in ("metric", "best", "at_best")


def _is_drawn(key: str) -> bool:
    column = column_of(key)
    return column is not None and column.kind not in _UNDRAWN
