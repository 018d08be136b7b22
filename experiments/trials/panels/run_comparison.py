"""Runs side by side: what differs in their metrics, parameters, code, files and media."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from django.http import QueryDict

from experiments.charts.theme import HUES, Plot
from experiments.team.queries.access import Access
from experiments.trials.artifacts.queries.artifacts import KeptFile
from experiments.trials.panels.compared_rows import (
    Section,
    code_rows,
    metric_names,
    metric_rows,
    parameter_rows,
    run_rows,
    section_of,
)
from experiments.trials.panels.media_previews import overlay_of
from experiments.trials.panels.panel import with_legend
from experiments.trials.panels.run_charts import RunCharts, charts_of
from experiments.trials.panels.text_differences import (
    Differing,
    TextDifference,
    differing_texts,
    text_difference,
)
from experiments.trials.table.compare_state import MOST_RUNS, CompareState, read_compare_state
from experiments.trials.table.queries.compared_files import (
    ComparedFiles,
    compared_files,
    marks_of,
    place,
)
from experiments.trials.table.queries.compared_runs import (
    ComparedRun,
    compared_runs,
    experiment_sources,
    named_runs,
)
from experiments.trials.table.queries.drawn_runs import DrawnRuns, curve_trials
from experiments.trials.table.queries.run_scope import RunScope, fields_in, scope_of
from experiments.trials.table.queries.seed_deviations import seed_deviations

MOST_MEDIA = 12  # names that are shown until somebody chooses
MOST_EMPTY = 6  # runs beyond which those without a file have no frame


@dataclass(frozen=True, slots=True)
class Head:
    """Head of a run's column: `alone` is the address without the run, `compared` the one that
    makes it the baseline.
    """

    run: ComparedRun
    is_baseline: bool
    compared: str
    without: str


@dataclass(frozen=True, slots=True)
class MediaFrame:
    """Files of one run under a name, in the order of their steps."""

    run: ComparedRun
    files: tuple[KeptFile, ...]


@dataclass(frozen=True, slots=True)
class MediaRow:
    """One name of media over all runs; `steps` are those of any run."""

    name: str
    kind: str
    frames: tuple[MediaFrame, ...]
    steps: tuple[float, ...]
    overlay: Plot | None = None  # the newest figures of all runs in one chart

    @property
    def chart(self) -> str:
        return f"figure-overlay-{zlib.crc32(self.name.encode()):08x}"


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Runs of a comparison, the baseline first, and what an address asks to be shown of them."""

    state: CompareState
    runs: tuple[ComparedRun, ...]
    heads: tuple[Head, ...]
    sections: tuple[Section, ...]
    problems: tuple[str, ...]
    text: TextDifference | None
    media: tuple[MediaRow, ...]
    media_names: tuple[str, ...]
    files_cut: bool
    everything_switch: str
    base: str  # the address without a choice of text
    most: int = MOST_RUNS

    @property
    def experiments(self) -> list[str]:
        return list(dict.fromkeys(run.experiment for run in self.runs if run.experiment))

    @property
    def ids(self) -> str:
        return ",".join(str(run.id) for run in self.runs)

    @property
    def has_deviations(self) -> bool:
        return any(row.detail for section in self.sections for row in section.rows)

    @property
    def moving(self) -> bool:
        """Test whether a run can still change by itself."""
        return any(run.unfinished for run in self.runs)


def changed(query: QueryDict, **values: str | Sequence[str] | None) -> str:
    """The query of an address with some of its values replaced; None and "" take one out."""
    found = query.copy()
    for name in ("since", "tab"):
        found.pop(name, None)
    for name, value in values.items():
        found.pop(name, None)
        given = [value] if isinstance(value, str) else list(value or ())
        found.setlist(name, [text for text in given if text])
    return found.urlencode(safe=",:")


class Comparing:
    """One reading of a comparison: each part is read once, and only when it is asked for."""

    def __init__(self, access: Access, query: QueryDict) -> None:
        self._access = access
        self._query = query
        self.state = read_compare_state(query)
        self._named = named_runs(access.project_id, self.state)
        self.ids = self._named.ids

    @cached_property
    def runs(self) -> tuple[ComparedRun, ...]:
        """The runs, the baseline first."""
        found = compared_runs(self._named)
        return tuple(sorted(found, key=lambda run: run.id != self.state.baseline))

    @cached_property
    def scope(self) -> RunScope:
        names = list(dict.fromkeys(run.experiment for run in self.runs if run.experiment))
        return scope_of(self._access, names)

    @cached_property
    def files(self) -> ComparedFiles:
        return compared_files([run.id for run in self.runs])

    @cached_property
    def differing(self) -> Differing:
        """Texts that differ between the runs."""
        sources = experiment_sources(self._access.project_id, self.runs)
        return differing_texts(self.runs, self.files, sources)

    def charts(self) -> RunCharts:
        """Charts of the runs, usually curves over one another."""
        trials = curve_trials(self.scope, self.ids)  # so a new baseline keeps the colours
        drawn = DrawnRuns(trials, "")
        found = charts_of(drawn, self.scope, self._query, fields=fields_in(self.scope))
        # Colours stand beside the names in the table.
        return replace(found, charts=[with_legend(chart, False) for chart in found.charts])

    def comparison(self) -> RunComparison:
        """Everything beside the charts."""
        names, media = self._media()
        return RunComparison(
            state=self.state,
            runs=self.runs,
            heads=tuple(self._head(run) for run in self.runs),
            sections=self._sections() if self.runs else (),
            problems=self._named.problems,
            text=text_difference(self.runs, self.files, self.differing, self.state),
            media=media,
            media_names=names,
            files_cut=self.files.cut,
            everything_switch=changed(self._query, all="" if self.state.everything else "1"),
            base=changed(self._query, diff=None, **{"with": None}),
        )

    def _head(self, run: ComparedRun) -> Head:
        return Head(
            run,
            is_baseline=run is self.runs[0],
            compared=changed(self._query, baseline=str(run.id)),
            without=self._without(run),
        )

    def _without(self, run: ComparedRun) -> str:
        """The address of the others: experiments become the runs that stand for them."""
        left = ",".join(str(pk) for pk in self._named.ids if pk != run.id)
        return changed(self._query, run=left, experiment=None)

    def _sections(self) -> tuple[Section, ...]:
        runs, state = self.runs, self.state
        names = metric_names(runs, self.scope, state)
        deviations = (
            seed_deviations(self._access.project_id, runs[0].configuration_id, names, state.values)
            if len(runs) > 1
            else {}
        )
        changes = marks_of(self.files.changes())
        sections = [
            section_of("Metrics", metric_rows(runs, self.scope, state, deviations), state),
            section_of("Parameters", parameter_rows(runs), state),
            section_of("Code and environment", code_rows(runs, changes, self.differing), state),
            section_of("Runs", run_rows(runs), state),
        ]
        return tuple(section for section in sections if section.total)

    def _media(self) -> tuple[tuple[str, ...], tuple[MediaRow, ...]]:
        found = self.files.media()
        names = tuple(dict.fromkeys(name for name, _ in found))
        wanted = {name for name in self._query.getlist("media") if name in names}
        shown = wanted or set(names[:MOST_MEDIA])
        rows = [
            self._media_row(name, kind, of_run)
            for (name, kind), of_run in found.items()
            if name in shown
        ]
        return names, tuple(rows)

    def _media_row(
        self, name: str, kind: str, of_run: Mapping[int, Sequence[KeptFile]]
    ) -> MediaRow:
        frames = [
            MediaFrame(run, tuple(of_run.get(run.id, ())))
            for run in self.runs
            if run.id in of_run or len(self.runs) <= MOST_EMPTY
        ]
        steps = {place(file) for frame in frames for file in frame.files if file.step is not None}
        hues = {pk: HUES[place % len(HUES)] for place, pk in enumerate(self.ids)}
        newest = [(f.run.label, hues[f.run.id], f.files[-1]) for f in frames if f.files]
        overlay = overlay_of(newest) if kind == "figure" else None
        return MediaRow(name, kind, tuple(frames), tuple(sorted(steps)), overlay)
