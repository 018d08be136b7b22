"""The panel of learning curves: of the leading trials, the best ones, an arm, the replicates of a
replication, or some that were picked.

The address says which: `trials=best-10`, `trials=arm-1`, `trials=seeds` or `trials=12,13` (ids).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np

from experiments.charts.learning_curves import Ending, LearningCurves, Line, Mark, Mean, Onset
from experiments.design.queries.records import ExperimentRecord
from experiments.trials.findings.queries.findings import FindingRow
from experiments.trials.panels.metric_groups import (
    SYSTEM,
    MetricGroup,
    first_group,
    metric_groups,
)
from experiments.trials.panels.panel import Chart, Panel
from experiments.trials.panels.parts import ExperimentParts
from experiments.trials.series.queries.curves import (
    MOST_POINTS,
    CurveTrial,
    DrawnSeries,
    TrialCurves,
    best_trials,
    chosen_trials,
    curves_of,
    earlier_attempts,
    leading_trials,
    mean_curves,
    replicates,
)

MOST_PICKED = 50  # curves of one chart
POINTS = 12_000  # of all its lines of one metric together
FEWEST_POINTS = 100
BEST = (3, 10, 25)
MOST_OF_AN_ARM = 8
SEEDS = "seeds"  # in an address: the replicates of the newest replication
Onsets = tuple[str, str, float]  # trial, rule, step


@dataclass(frozen=True, slots=True)
class CurvePanel(Panel):
    """Learning curves, and what can be chosen about them.

    `who`: value in the address and words of each choice of trials; `exports`: the query of a
    download of what is drawn; `extra`: charts of the machine under the one of the metric.
    """

    who: Sequence[tuple[str, str]] = ()
    has_epochs: bool = False
    exports: str = ""
    extra: Sequence[Chart] = ()
    thinned: bool = False


def wanted_trials(
    experiment: ExperimentRecord, arms: int, picked: str, replication: int | None
) -> list[CurveTrial]:
    """The trials that an address asks for; else the best and those that run.

    `replication`: the one whose replicates may be drawn, None between two looks.
    """
    if picked == SEEDS:
        return replicates(replication, arms) if replication else []
    kind, _, text = picked.rpartition("-")
    number = int(text) if text.isdecimal() and len(text) < 4 else 0
    if kind == "best" and number:
        count = min(number, max(BEST))
        return best_trials(experiment.pk, arms, direction=experiment.direction, count=count)
    if kind == "arm" and text.isdecimal() and number < arms:
        direction, count = experiment.direction, MOST_OF_AN_ARM
        return best_trials(experiment.pk, arms, direction=direction, count=count, arm=number)
    numbers = [part for part in picked.split(",") if part.isdecimal() and len(part) < 16]
    if numbers:
        return chosen_trials(
            experiment.pk, arms, [int(picked_number) for picked_number in numbers[:MOST_PICKED]]
        )
    return leading_trials(experiment.pk, arms, direction=experiment.direction)


def choices_of(parts: ExperimentParts, picked: str) -> list[tuple[str, str]]:
    """Trials that can be drawn: value in the address, words."""
    found = [("", "best and running")]
    finished = parts.experiment.trial_count
    found += [(f"best-{count}", f"best {count}") for count in BEST if finished > count]
    if len(parts.arms) > 1:
        found += [(f"arm-{arm.index}", f"arm {arm.label}") for arm in parts.arms]
    if parts.has_replicates:
        found.append((SEEDS, "seeds: mean and band"))
    if picked and picked not in dict(found):
        found.append((picked, "those ticked below"))
    return found


def encode_cursor(curves: Sequence[TrialCurves]) -> str:
    """Cursor of each trial's curves as sent: "12:1.4r" is trial 12, attempt 1, batch 4."""
    return ",".join(
        f"{curve.trial.id}:{curve.cursor[0]}.{curve.cursor[1]}{'f' if curve.cursor[2] else 'r'}"
        for curve in curves
    )


def curves_panel(
    parts: ExperimentParts,
    trials: Sequence[CurveTrial],
    group: str,
    picked: str = "",
    onsets: Sequence[Onsets] | None = None,
) -> Panel:
    """Learning curves of some trials in one group of metrics."""
    points = min(MOST_POINTS, max(FEWEST_POINTS, POINTS // max(1, len(trials))))
    curves = curves_of(trials, parts.declared, points=points)
    names = {name for curve in curves for name in curve.series}
    found = metric_groups(names, parts.declared, parts.experiment.official_metric)
    chosen = first_group(found, group)
    shared: dict[str, Any] = {
        "cursor": encode_cursor(curves),
        "picked": picked,
        "who": choices_of(parts, picked),
    }
    if chosen is None:
        return CurvePanel("curves", empty=_no_curves(parts, picked), **shared)
    lines, marks = lines_of(curves, chosen)
    if onsets is not None:
        lines += earlier_lines(trials, parts, chosen)
    onset_list = onsets_of(parts.findings.open) if onsets is None else onsets
    means = means_of(trials, parts, chosen)
    figure = LearningCurves(
        lines, marks, _onsets(onset_list, curves, chosen), means, y_title=chosen.title
    )
    ticked = len(picked.split(",")) if onsets is None else 0
    ranked = onsets is None and not picked
    return CurvePanel(
        "curves",
        [Chart("figure-curves", "", figure, f"Learning curves: {chosen.title}")],
        note=_curve_note(
            parts, curves, chosen, marks, ranked=ranked, ticked=ticked, means=bool(means)
        ),
        groups=list(found.values()),
        group=chosen.key,
        log_y=_spans_decades(lines),
        has_epochs=any(line.epochs is not None for line in lines),
        exports=_exports(trials, chosen),
        extra=extra_charts(curves) if onsets is not None else (),
        thinned=_points(curves, chosen)[0] < _points(curves, chosen)[1],
        **shared,
    )


def _exports(trials: Sequence[CurveTrial], group: MetricGroup) -> str:
    ids = ",".join(str(trial.id) for trial in trials)
    return urlencode([("trials", ids), *(("metric", name) for name in group.members)])


def means_of(
    trials: Sequence[CurveTrial], parts: ExperimentParts, group: MetricGroup
) -> list[Mean]:
    """Mean curves of the sides of a replication; none where other trials are drawn."""
    if not any(trial.side for trial in trials):
        return []
    found = mean_curves(trials, parts.declared, group.members)
    return [
        Mean(side, name, name in group.train, curve, *group.apart(name))
        for (side, name), curve in found.items()
    ]


def earlier_lines(
    trials: Sequence[CurveTrial], parts: ExperimentParts, group: MetricGroup
) -> list[Line]:
    """Curves of ended attempts from before they were taken over: nothing is taken back."""
    return [
        Line(
            trial=trial.id,
            trial_name=trial.name,
            series=name,
            is_train=name in group.train,
            variant=group.apart(name)[0],
            label=group.apart(name)[1],
            steps=drawn.steps,
            values=drawn.values,
            seconds=drawn.seconds,
            epochs=drawn.epochs,
            earlier=attempt,
            started_ms=trial.started_ms,
        )
        for trial in trials
        for attempt, columns in earlier_attempts(trial, parts.declared, group.members).items()
        for name, drawn in columns.items()
        if name in group.members
    ]


def extra_charts(curves: Sequence[TrialCurves]) -> list[Chart]:
    """System metrics of one trial: a small chart a measure."""
    names = dict.fromkeys(n for curve in curves for n in curve.series if n.startswith(SYSTEM))
    charts = []
    for place, name in enumerate(names):
        group = MetricGroup(key=name, members=(name,), train=frozenset())
        lines, _ = lines_of(curves, group)
        words = name.removeprefix(SYSTEM).replace("_", " ")
        title = words.replace(" percent", ", %").replace(" mb", ", MiB").replace("cpu", "CPU")
        title = title.replace("gpu", "GPU ")
        figure = LearningCurves(lines, legend=False, margin={"l": 50, "t": 8, "b": 40})
        charts.append(Chart(f"figure-system-{place}", title, figure, title, "short"))
    return charts


def _no_curves(parts: ExperimentParts, picked: str) -> str:
    if picked == SEEDS:
        return (
            "Curves over seeds appear when all replicates of the present look have ended: "
            "looking earlier would bias the verdict."
        )
    if parts.experiment.trial_count:
        return "These trials logged no series." if picked else "The best trials logged no series."
    return "Curves appear with the first evaluations of the first trial."


def lines_of(curves: Sequence[TrialCurves], group: MetricGroup) -> tuple[list[Line], list[Mark]]:
    """Lines of the group's series, and marks at best checkpoints, prunings and failures."""
    lines, marks = [], []
    for curve in curves:
        for name in group.members:
            drawn = curve.series.get(name)
            if drawn is None:
                continue
            is_train = name in group.train
            line = Line(
                trial=curve.trial.id,
                trial_name=curve.trial.name,
                series=name,
                is_train=is_train,
                steps=drawn.steps,
                values=drawn.values,
                seconds=drawn.seconds,
                running=not curve.trial.finished,
                epochs=drawn.epochs,
                group=curve.trial.side,
                variant=group.apart(name)[0],
                label=group.apart(name)[1],
                started_ms=curve.trial.started_ms,
            )
            lines.append(line)
            if not is_train and not name.startswith(SYSTEM):
                marks += _marks(curve.trial, drawn)
    return lines, marks


def _marks(trial: CurveTrial, drawn: DrawnSeries) -> list[Mark]:
    found: list[Mark] = []
    finite = np.flatnonzero(np.isfinite(drawn.values))
    if not len(finite) or not trial.finished or trial.side:
        return found
    if trial.best_step is not None:
        at = int(np.argmin(np.abs(drawn.steps - trial.best_step)))
        if math.isfinite(drawn.values[at]):
            found.append(_mark(trial, drawn, at, "best"))
    if trial.state == "pruned" or trial.state == "failed":
        kind: Ending = "pruned" if trial.state == "pruned" else "failed"
        found.append(_mark(trial, drawn, int(finite[-1]), kind))
    return found


def _mark(trial: CurveTrial, drawn: DrawnSeries, at: int, kind: Ending) -> Mark:
    epoch = None if drawn.epochs is None else float(drawn.epochs[at])
    x, y, seconds = drawn.steps[at], drawn.values[at], drawn.seconds[at]
    return Mark(trial.id, float(x), float(y), float(seconds), kind, epoch, trial.started_ms)


def onsets_of(findings: Sequence[FindingRow]) -> list[Onsets]:
    """(trial, rule, step) of the open findings that speak of a step on a curve."""
    found = []
    for row in findings:
        step = row.evidence.get("onset_step")
        if row.is_open and isinstance(step, int | float):
            found.append((row.trial, row.rule.replace("_", " "), float(step)))
    return found


def _onsets(
    found_onsets: Sequence[Onsets], curves: Sequence[TrialCurves], group: MetricGroup
) -> list[Onset]:
    """Bands for the drawn trials, at most two so that their words stay readable."""
    shown = {drawn.trial.name: drawn for drawn in curves}
    found = []
    for trial, rule, step in found_onsets:
        curve = shown.get(trial) or (curves[0] if not trial and len(curves) == 1 else None)
        if curve is None:
            continue
        ends = [
            drawn.steps[-1]
            for name, drawn in curve.series.items()
            if name in group.members and len(drawn.steps)
        ]
        if ends:
            words = f"{curve.trial.name}: {rule} from step {step:g}"
            found.append(Onset(curve.trial.name, step, float(max(ends)), words))
    return found[:2]


def _spans_decades(lines: Sequence[Line]) -> bool:
    """Test whether a linear axis would show the end of training as one flat line."""
    values = np.concatenate([line.values for line in lines]) if lines else np.empty(0)
    values = values[np.isfinite(values)]
    if values.size < 10 or values.min() <= 0:
        return False
    return bool(values.max() / np.median(values) > 5 and values.max() / values.min() > 10)


def _points(curves: Sequence[TrialCurves], group: MetricGroup) -> tuple[int, int]:
    """Points that are drawn, and points that there are."""
    drawn = [
        curve.series[name] for curve in curves for name in group.members if name in curve.series
    ]
    return sum(len(series.steps) for series in drawn), sum(series.total for series in drawn)


def points_words(curves: Sequence[TrialCurves], group: MetricGroup) -> str:
    drawn, total = _points(curves, group)
    if drawn == total:
        return f"All {total:,} points shown"
    return f"{drawn:,} of {total:,} points shown; zoom in for more"


def _curve_note(
    parts: ExperimentParts,
    curves: Sequence[TrialCurves],
    group: MetricGroup,
    marks: Sequence[Mark],
    *,
    ranked: bool,
    ticked: int,
    means: bool,
) -> str:
    """Note on what is drawn and how to read it, with the number of points where some are not."""
    finished = [curve for curve in curves if curve.trial.finished]
    running = len(curves) - len(finished)
    count = f"{parts.experiment.trial_count:,}"
    who = f"best {len(finished)} of {count} trials" if finished and ranked else ""
    if ticked > MOST_PICKED:
        who = f"the first {MOST_PICKED} of {ticked:,} ticked trials"
    if running and ranked:
        who += f"{' and ' if who else ''}{running} running"
    ends = ["solid validation, dotted train"] if group.train else []
    if means:
        ends.append(
            "mean over seeds, the band one standard deviation to each side, single runs thin"
        )
    words = {
        "best": "the dot marks the best checkpoint",
        "pruned": "the square where a trial was pruned",
        "failed": "the cross where one failed",
    }
    kinds = {mark.kind for mark in marks}
    ends += [text for kind, text in words.items() if kind in kinds]
    drawn, total = _points(curves, group)
    thinned = points_words(curves, group) if drawn < total else ""
    sentences = [thinned, who, "; ".join(ends)]
    return ". ".join(f"{text[0].upper()}{text[1:]}" for text in sentences if text) + "."


def curve_news(curves: Sequence[TrialCurves], group: MetricGroup | None) -> list[dict[str, Any]]:
    """Data with which the script continues its figures: whole trials, or points to add."""
    lines, marks = lines_of(curves, group) if group else ([], [])
    return [
        {
            "trial": curve.trial.id,
            "whole": curve.whole,
            "beside": _beside_news(curve),
            "figure": LearningCurves(
                [line for line in lines if line.trial == curve.trial.id],
                [mark for mark in marks if mark.trial == curve.trial.id],
            ).figure()["data"],
        }
        for curve in curves
    ]


def _beside_news(curves: TrialCurves) -> dict[str, Any]:
    """New points of the machine, by the names of their series."""
    return {
        name: LearningCurves(
            lines_of([curves], MetricGroup(key=name, members=(name,), train=frozenset()))[0]
        ).figure()["data"]
        for name in curves.series
        if name.startswith(SYSTEM)
    }
