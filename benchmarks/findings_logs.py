"""Findings on training logs of Ultralytics, Lightning and Transformers, for a person to judge.

    python benchmarks/findings_logs.py FOLDER [--json]

Reads every `*.csv` (Ultralytics' results.csv, Lightning's metrics.csv, a column a series) and
every `*.json` with a `log_history` (Transformers' trainer_state.json) under FOLDER, and prints
one line a finding: what an engineer who looks at the curve calls right, trivial or wrong.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiments.analysis.curves.learning_curve import (
    Curve,
    Direction,
    MetricKind,
    observed_resolution,
)
from experiments.analysis.curves.trial_findings import DeclaredSeries, diagnose_trial
from experiments.analysis.diagnosis import Diagnosis
from experiments.design.metrics import guess

STEPS = ("step", "global_step", "epoch")
# What a person would name the official metric; else the first one, else the validation loss.
OFFICIAL = ("mAP50-95", "accuracy_top1", "f1", "accuracy", "acc", "wer")


def read_logs(folder: Path) -> Iterator[tuple[str, list[DeclaredSeries]]]:
    """Yield the name and the series of each log under a folder, those without points left out."""
    for path in sorted([*folder.rglob("*.csv"), *folder.rglob("*.json")]):
        series = declared(read_points(path))
        if series:
            yield str(path.relative_to(folder)), series


def read_points(path: Path) -> dict[str, dict[float, float]]:
    """Return the values of each series by step; nothing of a file of another kind."""
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return _points(csv.DictReader(file))
    found = json.loads(path.read_text())
    return _points(found.get("log_history", ()) if isinstance(found, dict) else ())


def _points(rows: Iterable[Mapping[str, object]]) -> dict[str, dict[float, float]]:
    series: dict[str, dict[float, float]] = {}
    for row in rows:
        numbers = {str(name).strip(): _number(value) for name, value in row.items()}
        step = next((numbers[name] for name in STEPS if numbers.get(name) is not None), None)
        if step is None:
            continue
        for name, value in numbers.items():
            if value is not None and name not in STEPS:
                series.setdefault(name, {})[step] = value
    return series


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def declared(points: Mapping[str, Mapping[float, float]]) -> list[DeclaredSeries]:
    """Return what the names declare, as a trial's series are; the test split left out."""
    known = [
        _series(name, Curve.of([*values.values()], [*values]))
        for name, values in points.items()
        if guess(name).kind != "other" and guess(name).split != "test"
    ]
    judged = [
        metric for metric in known if metric.split == "validation" and metric.curve.values.size
    ]
    metrics = [metric for metric in judged if metric.kind is MetricKind.METRIC]
    named = [metric for word in OFFICIAL for metric in metrics if word in metric.name]
    official = next(iter([*named, *metrics, *judged]), None)
    return [replace(metric, official=metric is official) for metric in known]


def _series(name: str, curve: Curve) -> DeclaredSeries:
    metric = guess(name)
    kind = MetricKind(metric.kind)
    counted = kind is MetricKind.METRIC
    return DeclaredSeries(
        name,
        curve,
        "train" if name == "loss" else metric.split,
        kind,
        Direction(metric.direction or "minimize"),
        observed_resolution(curve.values) if counted else 0.0,
    )


def alarms(series: list[DeclaredSeries]) -> list[Diagnosis]:
    """Return what fired; values that are no numbers are told once, as the divergence."""
    fired = [diagnosis for diagnosis in diagnose_trial(series) if diagnosis.fired]
    diverged = any(diagnosis.rule == "divergence" for diagnosis in fired)
    return [diagnosis for diagnosis in fired if not (diverged and diagnosis.rule == "non_finite")]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true", help="JSON lines instead of text")
    options = parser.parse_args(arguments)
    runs, counted = 0, Counter[str]()
    for name, series in read_logs(options.folder):
        runs += 1
        for found in alarms(series):
            counted[found.rule] += 1
            line = {"run": name, "rule": found.rule, "title": found.title, "detail": found.detail}
            print(json.dumps(line) if options.json else "\t".join(line.values()))
    if not options.json:
        print(f"{runs} runs, {counted.total()} findings: {dict(counted.most_common())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
