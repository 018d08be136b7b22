"""Measure the verdict: false adopts, right adopts, coverage, against what people do instead.

    python benchmarks/verdicts.py DATA [--json] [--live FILE]

DATA holds `tabm_seeds/eval_15seeds.csv.gz`. --live reads end-to-end comparisons, one JSON object
a line with the fields of `LiveComparison` (`verdicts_live.py` writes them), and adds their rows.
Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import sequential_stops, skewed_tests
from benchmarks._table import Row, markdown, row
from benchmarks.seed_tables import FRESH_SEEDS, Floats, SeedTable, clustered, read_tabm
from experiments.analysis.seeds.comparison import paired_t, replay
from experiments.analysis.seeds.looks import DEFAULT, TOTAL_ERROR, plan
from experiments.analysis.seeds.replication import Direction
from experiments.analysis.seeds.verdict import judge

HALF = FRESH_SEEDS // 2
SCHEDULE = plan((3, 5, 7))
NULL_DRAWS = 40  # of each configuration
SPLITS = 6  # of the seeds of each pair into test and truth
RESOLVED = 3.0  # standard errors between the truths of a pair
COVERAGE_DRAWS = 200_000
BOOTSTRAP_DRAWS = 4_000


# A/A: one configuration against itself


@dataclass(frozen=True, slots=True)
class Null:
    """Disjoint halves of one configuration's seeds, many draws: left, right [D, 7]."""

    left: Floats
    right: Floats
    case: NDArray[np.int64]


def draw_null(table: SeedTable, rng: np.random.Generator) -> Null:
    case = np.repeat(np.arange(len(table.fresh)), NULL_DRAWS)
    shuffled = rng.permuted(table.fresh[case], axis=1)
    return Null(shuffled[:, :HALF], shuffled[:, HALF:], case)


def same_against_same(table: SeedTable, null: Null, rng: np.random.Generator) -> list[Row]:
    clusters = table.data_set[null.case]
    adopted = replay(null.left - null.right, SCHEDULE).outcome == 1
    mean_of_3 = null.left[:, :3].mean(axis=1) > null.right[:, :3].mean(axis=1)
    single = null.left[:, 0] > null.right[:, 0]
    tuned = table.tuning[:, None] > table.fresh
    resampled = draw_resampled(table, rng)
    long_run = replay(resampled, DEFAULT).outcome == 1
    rows = [
        at_most_level("A/A false adopts, looks 3, 5, 7; peer: higher mean of 3 wins",
                      adopted, clusters, peer=float(mean_of_3.mean())),
        at_most_level("A/A false adopts, looks 3, 5, 7; peer: best single score wins",
                      adopted, clusters, peer=float(single.mean())),
        at_most_level("A/A false adopts, looks 3, 5, 7; peer: tuning score against a fresh run",
                      adopted, clusters, peer=float(tuned.mean())),
        at_most_level("A/A false adopts, looks 10, 20, 30, resampled residuals",
                      long_run, clusters, peer=None),
    ]  # fmt: skip
    return rows


def draw_resampled(table: SeedTable, rng: np.random.Generator) -> Floats:
    """Differences [D, 30] of two arms whose runs are redrawn from the same residuals."""
    residuals = table.fresh - table.fresh.mean(axis=1, keepdims=True)
    case = np.repeat(np.arange(len(residuals)), NULL_DRAWS)
    picked = rng.integers(0, FRESH_SEEDS, size=(2, len(case), DEFAULT.looks[-1]))
    left, right = (residuals[case[:, None], one] for one in picked)
    return np.asarray(left - right)


def at_most_level(
    what: str, adopted: NDArray[np.bool_], clusters: NDArray[np.str_], peer: float | None
) -> Row:
    rate, error = clustered(adopted, clusters)
    limit = TOTAL_ERROR + (2 * error if isfinite(error) else 0.0)
    return row(what, rate, peer, "share", f"at most {limit:.4f}", rate <= limit)


# A/B: different configurations on one problem, truth from seeds that no test has seen


@dataclass(frozen=True, slots=True)
class Pairs:
    """Ordered pairs of configurations with a resolved truth, [P] each.

    `candidate`, `baseline` [P, 7]: the seeds a test may use. `gain`: true gain from the other
    seven. `spread`: pooled seed deviation. `tuned`: the difference of the winners' tuning scores.
    """

    candidate: Floats
    baseline: Floats
    gain: Floats
    spread: Floats
    tuned: Floats
    problem: NDArray[np.str_]
    data_set: NDArray[np.str_]


def draw_pairs(table: SeedTable, rng: np.random.Generator) -> Pairs:
    same = table.problem[:, None] == table.problem[None, :]
    left, right = (
        np.repeat(side, SPLITS) for side in np.nonzero(same & ~np.eye(len(same), dtype=bool))
    )
    order = rng.permuted(np.tile(np.arange(FRESH_SEEDS), (len(left), 1)), axis=1)
    ours = np.take_along_axis(table.fresh[left], order, axis=1)
    theirs = np.take_along_axis(table.fresh[right], order, axis=1)
    truth = ours[:, HALF:].mean(axis=1) - theirs[:, HALF:].mean(axis=1)
    variances = ours[:, HALF:].var(axis=1, ddof=1) + theirs[:, HALF:].var(axis=1, ddof=1)
    kept = np.abs(truth) > RESOLVED * np.sqrt(variances / HALF)
    spread = np.sqrt((table.deviation[left] ** 2 + table.deviation[right] ** 2) / 2)
    return Pairs(
        candidate=ours[kept, :HALF],
        baseline=theirs[kept, :HALF],
        gain=truth[kept],
        spread=spread[kept],
        tuned=(table.tuning[left] - table.tuning[right])[kept],
        problem=table.problem[left][kept],
        data_set=table.data_set[left][kept],
    )


def single_score(candidate: Floats, baseline: Floats) -> Floats:
    return np.asarray(candidate[:, 0] - baseline[:, 0])


def mean_of_3(candidate: Floats, baseline: Floats) -> Floats:
    return np.asarray(candidate[:, :3].mean(axis=1) - baseline[:, :3].mean(axis=1))


def mean_of_7(candidate: Floats, baseline: Floats) -> Floats:
    return np.asarray(candidate.mean(axis=1) - baseline.mean(axis=1))


Habit = Callable[[Floats, Floats], Floats]
HABITS: dict[str, Habit] = {
    "best single score wins": single_score,
    "higher mean of 3 wins": mean_of_3,
}
# The same number of seeds as the schedule's last look: no habit, a bound on what one could reach.
SAME_COST = {"higher mean of 7 wins": mean_of_7}


def different_configurations(table: SeedTable, null: Null, rng: np.random.Generator) -> list[Row]:
    pairs = draw_pairs(table, rng)
    ours = replay(pairs.candidate - pairs.baseline, SCHEDULE)
    adopted = ours.outcome == 1
    false_rate = float((replay(null.left - null.right, SCHEDULE).outcome == 1).mean())
    rows = []
    for name, habit in (HABITS | SAME_COST).items():
        wins = at_threshold(table, null, pairs, habit, false_rate)
        rows += against(pairs, adopted, wins, f"{name}, threshold for equal A/A false adopts",
                        judged=name in HABITS)  # fmt: skip
        known = habit(pairs.candidate, pairs.baseline) / pairs.spread
        null_known = habit(null.left, null.right) / table.deviation[null.case]
        wins = known > np.quantile(null_known, 1 - false_rate)
        rows += against(pairs, adopted, wins, f"{name}, told each pair's true seed deviation",
                        judged=False)[:1]  # fmt: skip
    as_used = {
        "best tuning score wins, as used": pairs.tuned > 0,
        "higher mean of 3 wins, as used": mean_of_3(pairs.candidate, pairs.baseline) > 0,
    }
    for name, wins in as_used.items():
        rows += against(pairs, adopted, wins, name, judged=False)
    rows.append(
        row("A/B mean pairs of seeds until the verdict", float(ours.pairs.mean()), 3.0, "pairs")
    )
    rows.append(row("A/B resolved comparisons", float(len(pairs.gain)), None, "comparisons"))
    return rows


def at_threshold(
    table: SeedTable, null: Null, pairs: Pairs, habit: Habit, false_rate: float
) -> NDArray[np.bool_]:
    """Adopts of a habit given, on each problem, the threshold that makes its false adopts equal.

    The threshold is in the metric's unit and fitted on that problem's own A/A draws.
    """
    null_gains = habit(null.left, null.right)
    null_problem = table.problem[null.case]
    gains = habit(pairs.candidate, pairs.baseline)
    threshold = np.empty(len(gains))
    for problem in np.unique(pairs.problem):
        limit = np.quantile(null_gains[null_problem == problem], 1 - false_rate)
        threshold[pairs.problem == problem] = limit
    return np.asarray(gains > threshold)


def against(
    pairs: Pairs, ours: NDArray[np.bool_], peer: NDArray[np.bool_], name: str, *, judged: bool
) -> list[Row]:
    better = pairs.gain > 0
    difference, error = clustered(
        ours[better].astype(float) - peer[better].astype(float), pairs.data_set[better]
    )
    by = f"by {difference:+.4f}, standard error {error:.4f}"
    goal = f"more than the peer ({by})" if judged else f"printed ({by})"
    loss = np.abs(pairs.gain) / pairs.spread
    regret = [float(np.where(said == better, 0.0, loss).mean()) for said in (ours, peer)]
    rates = [(float(said[better].mean()), float(said[~better].mean())) for said in (ours, peer)]
    return [
        row(f"A/B right adopts; peer: {name}", rates[0][0], rates[1][0], "share",
            goal, difference > 0 if judged else None),
        row(f"A/B wrong adopts; peer: {name}", rates[0][1], rates[1][1], "share"),
        row(f"A/B regret; peer: {name}", regret[0], regret[1], "seed deviations"),
    ]  # fmt: skip


# Coverage of the interval that a page shows


def coverage(rng: np.random.Generator) -> list[Row]:
    shapes: dict[str, Callable[[tuple[int, int]], Floats]] = {
        "normal": lambda size: rng.standard_normal(size),
        "t3": lambda size: rng.standard_t(3, size),
        "exponential": lambda size: rng.exponential(size=size) - 1,
    }
    rows = []
    for shape, draw in shapes.items():
        for n in (3, 5, 10):
            gains = draw((COVERAGE_DRAWS, n))
            found = paired_t(gains, margin=0.0, level=0.05)
            held = float(((found.lower <= 0) & (found.upper >= 0)).mean())
            rows.append(row(f"Coverage of the 90 % interval, {shape}, {n} pairs; peer: percentile "
                            "bootstrap", held, bootstrap_coverage(gains, rng), "share",
                            *coverage_goal(shape, held)))  # fmt: skip
            if shape == "exponential":
                tail = float((found.upper < 0).mean())
                rows.append(row(f"Error of that interval's worse tail, {shape}, {n} pairs",
                                tail, None, "share"))  # fmt: skip
    return rows


def coverage_goal(shape: str, held: float) -> tuple[str, bool | None]:
    if shape == "normal":
        return "0.885 to 0.915", 0.885 <= held <= 0.915
    if shape == "t3":
        return "at least 0.885", held >= 0.885
    return "printed", None


def bootstrap_coverage(gains: Floats, rng: np.random.Generator) -> float:
    rows = gains[:BOOTSTRAP_DRAWS]
    n = rows.shape[1]
    weights = rng.multinomial(n, np.full(n, 1 / n), size=(len(rows), 500)) / n
    means = np.einsum("rbn,rn->rb", weights, rows)
    low, high = np.quantile(means, [0.05, 0.95], axis=1)
    return float(((low <= 0) & (high >= 0)).mean())


# End to end: two searches of one space on a bundled problem, winners re-run


@dataclass(frozen=True, slots=True)
class LiveComparison:
    """Winners of two searches of one space, each re-run over common fresh seeds.

    `candidate`, `baseline`: scores in the order of the seeds, up to the last look at least.
    `held_out_gain`: candidate's minus baseline's mean over seeds that the verdict did not use
    (negated for a metric that is minimised), the truth. `cluster`: what kind of comparison it is.
    """

    candidate: tuple[float, ...]
    baseline: tuple[float, ...]
    held_out_gain: float
    cluster: str
    direction: Direction = "maximize"
    margin: float = 0.0
    looks: tuple[int, ...] = DEFAULT.looks


def live_adopts(comparison: LiveComparison) -> bool:
    """Whether following the declared looks adopts the candidate."""
    schedule = plan(comparison.looks)
    for index, count in enumerate(schedule.looks):
        said = judge(
            comparison.candidate[:count],
            comparison.baseline[:count],
            direction=comparison.direction,
            margin=comparison.margin,
            schedule=schedule,
            look_index=index,
        )
        if said.outcome != "undecided":
            return said.outcome == "adopt"
    return False


def live_rows(comparisons: Sequence[LiveComparison]) -> list[Row]:
    """False adopts of end-to-end comparisons: adopted though the held-out gain is not enough.

    A row for each cluster; its comparisons are independent draws.
    """
    rows = []
    for cluster in dict.fromkeys(one.cluster for one in comparisons):
        own = [one for one in comparisons if one.cluster == cluster]
        false = [live_adopts(one) and not one.held_out_gain > one.margin for one in own]
        rate = float(np.mean(false))
        limit = TOTAL_ERROR + 2 * float(np.sqrt(TOTAL_ERROR * (1 - TOTAL_ERROR) / len(own)))
        what = f"A/A false adopts end to end, {cluster}, {len(own)} pairs"
        rows.append(row(what, rate, None, "share", f"at most {limit:.4f}", rate <= limit))
    return rows


def read_live(path: Path) -> list[LiveComparison]:
    found = []
    for line in path.read_text().splitlines():
        fields = json.loads(line)
        for name in ("candidate", "baseline", "looks"):
            if name in fields:
                fields[name] = tuple(fields[name])
        found.append(LiveComparison(**fields))
    return found


# The table


def measure(table: SeedTable, live: Sequence[LiveComparison] = (), seed: int = 0) -> list[Row]:
    rng = np.random.default_rng(seed)
    null = draw_null(table, rng)
    rows = same_against_same(table, null, rng)
    rows += live_rows(live)
    rows += different_configurations(table, null, rng)
    return rows + coverage(rng) + sequential_stops.rows(rng)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    parser.add_argument("--live", type=Path, help="end-to-end comparisons, JSON lines")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    live = read_live(options.live) if options.live else []
    table = read_tabm(options.data)
    forms = skewed_tests.measures(table, np.random.default_rng(options.seed))
    rows = measure(table, live, options.seed) + skewed_tests.rows(forms)
    if options.json:
        print("\n".join(json.dumps(asdict(one)) for one in rows))
    else:
        print(markdown(rows), skewed_tests.markdown(forms), sep="\n\n")
    return 1 if any(one.met is False for one in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
