"""The panel of learning curves, of a search's leading trials or of some that were picked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.charts.learning_curves import Line, Mark, Onset, learning_curves
from experiments.queries.curves import (
    CurveTrial,
    TrialCurves,
    chosen_trials,
    curves_of,
    leading_trials,
)
from experiments.queries.findings import FindingRow
from experiments.views.experiment_parts import ExperimentParts
from experiments.views.metric_families import Family, families, first_family
from experiments.views.panels import Chart, Panel

MOST_PICKED = 8
Onsets = tuple[str, str, float]  # trial, rule, step


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
