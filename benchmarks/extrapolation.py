"""Replay published training logs under pruners: training saved, and good runs given up.

    python benchmarks/extrapolation.py DATA [--json] [--studies N] [--trials N] [--seed N]

DATA holds `algoperf/trials.csv.gz` and `eval_curves.csv.gz` (mlcommons/submissions_algorithms,
Apache-2.0). A study takes runs of one workload and ruleset in random order, one after the other;
each reports its evaluations until a pruner ends it. Steps are thousandths of a run, as AlgoPerf
bounds runs by time and every submission gets another number of steps out of it. A run's value is
the best of all its evaluations, as in a search. Peers: Optuna's median pruner and successive
halving, told the same.
Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import optuna
from optuna.pruners import BasePruner, MedianPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._table import Row, as_text, row
from benchmarks.findings_algoperf import Run, read_runs
from experiments.analysis.curves.learning_curve import Curve, Direction
from workers.search.extrapolation import ExtrapolationPruner

MOST_KILLED = 0.02  # of the runs that ended in the best tenth
BEST_SHARE = 0.1
FEWEST_EVALUATIONS = 20
WHOLE = 1000  # steps of a run
PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "extrapolation": ExtrapolationPruner,
    "median": lambda: MedianPruner(n_startup_trials=10),
    "successive halving": SuccessiveHalvingPruner,
}


@dataclass(frozen=True, slots=True)
class Saved:
    """What a pruner did over all studies, in thousandths of runs and runs."""

    steps: int
    steps_run: int
    best: int
    best_killed: int
    pruned: int
    runs: int

    @property
    def saved(self) -> float:
        """Share of all training that was not run."""
        return 1 - self.steps_run / self.steps

    @property
    def killed(self) -> float:
        """Share of the runs that would have ended in the best tenth and were given up."""
        return self.best_killed / self.best

    def __add__(self, other: Saved) -> Saved:
        return Saved(
            self.steps + other.steps,
            self.steps_run + other.steps_run,
            self.best + other.best,
            self.best_killed + other.best_killed,
            self.pruned + other.pruned,
            self.runs + other.runs,
        )


def workloads(folder: Path, fewest: int) -> dict[str, list[Run]]:
    """The runs of each ruleset and workload with at least `fewest`, whatever framework ran it."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in read_runs(folder):
        if len(run.validation.finite()) >= FEWEST_EVALUATIONS:
            ruleset = "self" if "self_tuning" in run.name else "external"
            workload = re.sub("_(jax|pytorch)$", "", run.workload)
            found[f"{ruleset} {workload}"].append(replace(run, validation=in_shares(run)))
    return {name: runs for name, runs in sorted(found.items()) if len(runs) >= fewest}


def in_shares(run: Run) -> Curve:
    """A run's validation curve by thousandths of the run; of equal ones the last."""
    steps = run.validation.steps
    shares = np.maximum(1, np.floor(WHOLE * steps / steps[-1]))
    return Curve(shares, run.validation.values).in_step_order()


def best_value(curve: Curve, direction: Direction) -> float:
    values = curve.finite().values
    return float(values.max() if direction is Direction.MAXIMIZE else values.min())


def replay(runs: Sequence[Run], pruner: BasePruner) -> Saved:
    """One study over `runs` in the given order."""
    direction = runs[0].direction
    study = optuna.create_study(direction=direction.value, pruner=pruner)
    stopped = [_replay_run(study, run) for run in runs]
    values = np.array([best_value(run.validation, direction) for run in runs])
    order = np.argsort(-values if direction is Direction.MAXIMIZE else values, kind="stable")
    best = order[: max(1, round(BEST_SHARE * len(runs)))]
    lengths = [int(run.validation.steps[-1]) for run in runs]
    return Saved(
        steps=sum(lengths),
        steps_run=sum(
            length if step is None else step for length, step in zip(lengths, stopped, strict=True)
        ),
        best=len(best),
        best_killed=sum(stopped[index] is not None for index in best),
        pruned=sum(step is not None for step in stopped),
        runs=len(runs),
    )


def _replay_run(study: optuna.Study, run: Run) -> int | None:
    """The step at which the pruner ended a run, None when it let it finish."""
    trial = study.ask()
    steps, values = run.validation.steps, run.validation.values
    for step, value in zip(steps[:-1], values[:-1], strict=True):  # the last ends nothing
        trial.report(float(value), int(step))
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return int(step)
    trial.report(float(values[-1]), int(steps[-1]))
    study.tell(trial, best_value(run.validation, run.direction))
    return None


def measure(folder: Path, *, studies: int, trials: int, seed: int) -> dict[str, Saved]:
    """The same studies, in the same order, under each pruner."""
    known = workloads(folder, fewest=trials)
    if not known:
        raise SystemExit(f"{folder}: no workload has {trials} runs")
    rng = np.random.default_rng(seed)
    found = {name: Saved(0, 0, 0, 0, 0, 0) for name in PRUNERS}
    names = list(known)
    for index in range(studies):
        runs = known[names[index % len(names)]]
        drawn = [runs[i] for i in rng.permutation(len(runs))[:trials]]
        for name, make in PRUNERS.items():
            found[name] += replay(drawn, make())
    return found


def rows(found: dict[str, Saved], trials: int) -> list[Row]:
    ours = found["extrapolation"]
    error = (max(ours.killed, 1 / ours.best) * (1 - ours.killed) / ours.best) ** 0.5
    table = []
    for name, peer in found.items():
        if peer is ours:
            continue
        table.append(row(f"training saved; peer: {name}", ours.saved, peer.saved))
        table.append(
            row(
                f"runs of the best tenth given up (standard error {error:.4f}); peer: {name}",
                ours.killed,
                peer.killed,
                goal=f"at most {MOST_KILLED:g}",
                met=ours.killed <= MOST_KILLED,
            )
        )
    table.append(row("runs given up", ours.pruned / ours.runs))
    table.append(row(f"runs replayed, {trials} a study", float(ours.runs), unit="runs"))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    parser.add_argument("--studies", type=int, default=160)
    parser.add_argument("--trials", type=int, default=40, help="of each study")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found = measure(
        options.data, studies=options.studies, trials=options.trials, seed=options.seed
    )
    table = rows(found, options.trials)
    print(as_text(table, as_json=options.json))
    return 1 if any(one.met is False for one in table) else 0


if __name__ == "__main__":
    sys.exit(main())
