"""The charts of a search, one tab at a time: read the trials, think, draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.axes import MOST_DRAWN, AxisPoints, axis_plot
from experiments.charts.learning_curves import Line, Mark, Onset, learning_curves
from experiments.charts.searches import (
    MOST_DOTS,
    MOST_LINES,
    ArmScores,
    Coordinate,
    history_plot,
    isolation_plot,
    parallel_plot,
)
from experiments.charts.theme import Figure
from experiments.queries.curves import (
    CurveTrial,
    TrialCurves,
    chosen_trials,
    curves_of,
    leading_trials,
)
from experiments.queries.findings import FindingRow, Findings
from experiments.queries.trial_table import Point, finished_trials
from experiments.search_space import Hyperparameter, Range, searched_domain, show
from experiments.views.experiment_parts import ExperimentParts
from experiments.views.metric_families import Family, families, first_family

TABS = {
    "curves": "Learning curves",
    "axes": "Axes",
    "isolation": "Isolation",
    "parallel": "Parallel",
    "history": "History",
}
MOST_PICKED = 8
Onsets = tuple[str, str, float]  # trial, rule, step


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with its place on the page."""

    id: str
    title: str
    figure: Figure
    label: str
    shape: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One tab: its charts, what they leave out, and what the script needs to continue them."""

    tab: str
    charts: Sequence[Chart] = ()
    note: str = ""
    empty: str = ""
    families: Sequence[Family] = ()
    family: str = ""
    log_y: bool = False
    cursor: str = ""
    picked: str = ""


def panel(parts: ExperimentParts, *, tab: str, family: str = "", picked: str = "") -> Panel:
    """The panel of a tab, learning curves for one that does not exist."""
    draw = {
        "axes": _axes,
        "isolation": _isolation,
        "parallel": _parallel,
        "history": _history,
    }.get(tab)
    if draw is None:
        return curves_panel(
            parts, wanted_trials(parts.experiment, len(parts.arms), picked), family, picked
        )
    trials = finished_trials(parts.experiment.pk, len(parts.arms))
    if not any(row.score is not None for row in trials):
        return Panel(tab, empty="This chart appears with the first complete trial.")
    return draw(parts, trials)


def wanted_trials(experiment: Any, arms: int, picked: str) -> list[CurveTrial]:
    """The trials that somebody picked; else the best and those that run."""
    numbers = [each for each in picked.split(",") if each.isdecimal() and len(each) < 16]
    if numbers:
        return chosen_trials(experiment.pk, arms, [int(each) for each in numbers[:MOST_PICKED]])
    return leading_trials(experiment.pk, arms, direction=experiment.direction)


def encode_cursor(curves: Sequence[TrialCurves]) -> str:
    """How far each trial's curves have been sent: "12:1.4r" is trial 12, attempt 1, batch 4."""
    return ",".join(
        f"{each.trial.id}:{each.cursor[0]}.{each.cursor[1]}{'f' if each.cursor[2] else 'r'}"
        for each in curves
    )


def curves_panel(
    parts: ExperimentParts,
    trials: Sequence[CurveTrial],
    family: str,
    picked: str = "",
    onsets: Sequence[Onsets] | None = None,
) -> Panel:
    """Learning curves of some trials in one family of metrics."""
    curves = curves_of(trials, parts.declared)
    names = {name for each in curves for name in each.series}
    found = families(names, parts.declared, parts.experiment.official_metric)
    chosen = first_family(found, family)
    if chosen is None:
        return Panel(
            "curves",
            empty=_no_curves(parts),
            cursor=encode_cursor(curves),
            picked=picked,
        )
    lines, marks = lines_of(curves, chosen)
    told = onsets_of(parts.findings.open) if onsets is None else onsets
    figure = learning_curves(lines, marks, _onsets(told, curves, chosen), y_title=chosen.title)
    chart = Chart("figure-curves", "", figure, f"Learning curves: {chosen.title} by step")
    return Panel(
        "curves",
        [chart],
        note=_curve_note(
            parts, curves, chosen, marks=bool(marks), ranked=onsets is None and not picked
        ),
        families=list(found.values()),
        family=chosen.key,
        log_y=_spans_decades(lines),
        cursor=encode_cursor(curves),
        picked=picked,
    )


def _no_curves(parts: ExperimentParts) -> str:
    if parts.experiment.trial_count:
        return "The best trials logged no series."
    return "Curves appear with the first evaluations of the first trial."


def lines_of(curves: Sequence[TrialCurves], family: Family) -> tuple[list[Line], list[Mark]]:
    """The family's series of some trials as lines, and the best checkpoint of each."""
    lines, marks = [], []
    for each in curves:
        for name in family.members:
            drawn = each.series.get(name)
            if drawn is None:
                continue
            is_train = name in family.train
            line = Line(
                trial=each.trial.id,
                trial_name=each.trial.name,
                series=name,
                is_train=is_train,
                steps=drawn.steps,
                values=drawn.values,
                seconds=drawn.seconds,
                running=not each.trial.finished,
            )
            lines.append(line)
            if each.trial.finished and not is_train and each.trial.best_step is not None:
                at = int(np.argmin(np.abs(drawn.steps - each.trial.best_step)))
                if math.isfinite(drawn.values[at]):
                    x, y, t = drawn.steps[at], drawn.values[at], drawn.seconds[at]
                    marks.append(Mark(each.trial.id, float(x), float(y), float(t)))
    return lines, marks


def onsets_of(findings: Sequence[FindingRow]) -> list[Onsets]:
    """(trial, rule, step) of the open findings that speak of a step on a curve."""
    found = []
    for row in findings:
        step = row.evidence.get("onset_step")
        if row.is_open and isinstance(step, int | float):
            found.append((row.trial, row.rule.replace("_", " "), float(step)))
    return found


def _onsets(told: Sequence[Onsets], curves: Sequence[TrialCurves], family: Family) -> list[Onset]:
    """Bands for the drawn trials, at most two so that their words stay readable."""
    shown = {each.trial.name: each for each in curves}
    found = []
    for trial, rule, step in told:
        held = shown.get(trial) or (curves[0] if not trial and len(curves) == 1 else None)
        if held is None:
            continue
        ends = [
            drawn.steps[-1]
            for name, drawn in held.series.items()
            if name in family.members and len(drawn.steps)
        ]
        if ends:
            words = f"{held.trial.name}: {rule} from step {step:g}"
            found.append(Onset(held.trial.name, step, float(max(ends)), words))
    return found[:2]


def _spans_decades(lines: Sequence[Line]) -> bool:
    """Whether a linear axis would show the end of training as one flat line."""
    values = np.concatenate([line.values for line in lines]) if lines else np.empty(0)
    values = values[np.isfinite(values)]
    if values.size < 10 or values.min() <= 0:
        return False
    return bool(values.max() / np.median(values) > 5 and values.max() / values.min() > 10)


def _curve_note(
    parts: ExperimentParts,
    curves: Sequence[TrialCurves],
    family: Family,
    *,
    marks: bool,
    ranked: bool,
) -> str:
    drawn = sum(len(s.steps) for c in curves for n, s in c.series.items() if n in family.members)
    total = sum(s.total for c in curves for n, s in c.series.items() if n in family.members)
    points = f"{drawn:,} of {total:,} points shown"
    finished = [each for each in curves if each.trial.finished]
    running = len(curves) - len(finished)
    count = f"{parts.experiment.trial_count:,}"
    who = f"best {len(finished)} of {count} trials" if finished and ranked else ""
    if running and ranked:
        who += f"{' and ' if who else ''}{running} running"
    ends = ["solid validation, dotted train"] if family.train else []
    if marks:
        ends.append("the dot marks the best checkpoint")
    sentences = [points, who, "; ".join(ends)]
    return ". ".join(f"{each[0].upper()}{each[1:]}" for each in sentences if each) + "."


def _searched(parts: ExperimentParts) -> list[Hyperparameter]:
    if parts.file is None:
        return []
    return [parts.file.space[name] for name in parts.parameters]


def _scores(trials: Sequence[Point]) -> NDArray[np.float64]:
    return np.array([math.nan if row.score is None else row.score for row in trials])


def _axes(parts: ExperimentParts, trials: Sequence[Point]) -> Panel:
    maximize = parts.experiment.direction == "maximize"
    rows = [row for row in trials if row.state != "pruned"]
    labels = [arm.label for arm in parts.arms]
    charts = []
    for place, each in enumerate(_searched(parts)):
        held = [row for row in rows if each.name in row.parameters]
        domain = searched_domain(each)
        points = AxisPoints(
            name=each.name,
            values=[row.parameters[each.name] for row in held],
            scores=_scores(held),
            names=[row.name for row in held],
            groups=np.array([row.arm for row in held], dtype=np.int64),
            group_labels=labels if len(labels) > 1 else (),
            log=isinstance(domain, Range) and domain.log,
            low=domain.low if isinstance(domain, Range) else None,
            high=domain.high if isinstance(domain, Range) else None,
            choices=None if isinstance(domain, Range) else tuple(domain.values),
            band=_band(parts.findings, each.name),
        )
        figure = axis_plot(points, metric=parts.experiment.official_metric, maximize=maximize)
        scale = " (log)" if points.log else ""
        charts.append(
            Chart(
                id=f"figure-axis-{place}",
                title=f"{each.name}{scale}",
                figure=figure,
                label=f"Scores along {each.name}",
                shape="short",
            )
        )
    failed = sum(row.score is None for row in rows)
    note = f"{len(rows):,} trials, each dot one."
    if len(rows) > MOST_DRAWN:
        note = (
            f"{MOST_DRAWN:,} of {len(rows):,} trials drawn: the best and an even draw of the rest."
        )
    if failed:
        note += f" {failed} failed: crosses at the edge."
    if len(labels) > 1:
        note += " One colour an arm."
    return Panel("axes", charts, note=note, empty="" if charts else "No search space is known.")


def _band(findings: Findings, name: str) -> tuple[float, float] | None:
    """The outer fifth of the range that an open boundary finding speaks of."""
    for row in findings.open:
        found = row.evidence
        if row.rule != "boundary" or found.get("hyperparameter") != name:
            continue
        low, high = found.get("low"), found.get("high")
        if not isinstance(low, int | float) or not isinstance(high, int | float) or high <= low:
            return None
        log = bool(found.get("log")) and low > 0
        edge = 0.2 if found.get("edge") == "low" else 0.8
        inner = low * (high / low) ** edge if log else low + edge * (high - low)
        return (low, inner) if edge == 0.2 else (inner, high)
    return None


def _isolation(parts: ExperimentParts, trials: Sequence[Point]) -> Panel:
    if len(parts.arms) < 2:
        return Panel(
            "isolation",
            empty="An isolation plot compares the arms of a scientific hyperparameter; this "
            "search has one arm.",
        )
    arms = []
    for arm in parts.arms:
        held = [row for row in trials if row.arm == arm.index and row.score is not None]
        arms.append(ArmScores(arm.label, _scores(held), [row.name for row in held]))
    maximize = parts.experiment.direction == "maximize"
    figure = isolation_plot(arms, metric=parts.experiment.official_metric, maximize=maximize)
    chart = Chart("figure-isolation", "", figure, "Scores of each arm, the best marked")
    return Panel(
        "isolation",
        [chart],
        note="Each arm with its nuisance hyperparameters tuned; the diamond is its best trial. "
        "The best of more trials is higher by luck alone: compare arms of equal counts.",
    )


def _parallel(parts: ExperimentParts, trials: Sequence[Point]) -> Panel:
    rows = [row for row in trials if row.score is not None]
    uprights = [_coordinate(each, rows) for each in _searched(parts)]
    if not uprights:
        return Panel("parallel", empty="No search space is known.")
    maximize = parts.experiment.direction == "maximize"
    metric = parts.experiment.official_metric
    figure = parallel_plot(uprights, _scores(rows), metric=metric, maximize=maximize)
    label = "Each trial as a line across its values"
    note = f"The best {min(MOST_LINES, len(rows))} of {len(rows):,} trials."
    return Panel("parallel", [Chart("figure-parallel", "", figure, label, "tall")], note=note)


def _coordinate(each: Hyperparameter, rows: Sequence[Point]) -> Coordinate:
    domain = searched_domain(each)
    positions = np.full(len(rows), math.nan)
    for index, row in enumerate(rows):
        value = row.parameters.get(each.name)
        if value is not None and domain.holds(value):
            positions[index] = domain.to_unit(value)
    if isinstance(domain, Range):
        return Coordinate(each.name, positions, f"{domain.low:.4g}", f"{domain.high:.4g}")
    return Coordinate(each.name, positions, show(domain.values[0]), show(domain.values[-1]))


def _history(parts: ExperimentParts, trials: Sequence[Point]) -> Panel:
    figure = history_plot(
        _scores(trials),
        [row.name for row in trials],
        metric=parts.experiment.official_metric,
        maximize=parts.experiment.direction == "maximize",
    )
    chart = Chart("figure-history", "", figure, "Scores in order and the best so far")
    note = "Each dot a trial; the line is the best so far."
    if len(trials) > MOST_DOTS:
        note += f" {MOST_DOTS:,} of {len(trials):,} dots drawn."
    return Panel("history", [chart], note=note)


def curve_news(curves: Sequence[TrialCurves], family: Family) -> Any:
    """What the script needs to continue its figure: whole trials, or points to add."""
    lines, marks = lines_of(curves, family)
    return [
        {
            "trial": each.trial.id,
            "whole": each.whole,
            "figure": learning_curves(
                [line for line in lines if line.trial == each.trial.id],
                [mark for mark in marks if mark.trial == each.trial.id],
            )["data"],
        }
        for each in curves
    ]
