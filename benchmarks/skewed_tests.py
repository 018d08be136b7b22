"""Forms of the verdict's test under skew and unequal shapes: all that were tried.

Each form says whether gains [R, N] are adopted at a one-sided level. Called by `verdicts.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from benchmarks._table import Row, row
from benchmarks.seed_tables import FRESH_SEEDS, Floats, SeedTable, clustered
from experiments.analysis.seeds.comparison import paired_t
from experiments.analysis.seeds.looks import DEFAULT, TOTAL_ERROR, Schedule, plan

Rule = Callable[[Floats, float], NDArray[np.bool_]]

OURS = "Hall's transformation, 1.3 against, 0.4 in favour, at most twice (chosen)"
STUDENT = "Student's t (before)"
DRAWS = 60_000
REAL_DRAWS = 4  # of each ordered pair of configurations
BOOTSTRAPS = 400
BOOTSTRAPPED = 3_000  # rows: it is slow
LATEST = 30
ONE_LOOK = plan((10,))
FEW = plan((3, 5, 7))


def student(rows: Floats, level: float) -> NDArray[np.bool_]:
    return np.asarray(paired_t(rows, margin=0.0, level=level, corrected=False).lower > 0)


def chosen(rows: Floats, level: float) -> NDArray[np.bool_]:
    return np.asarray(paired_t(rows, margin=0.0, level=level).lower > 0)


def _moments(rows: Floats) -> tuple[Floats, Floats, float]:
    """t statistics, skewness over the root of N, and the degrees of freedom."""
    n = rows.shape[1]
    mean = rows.mean(axis=1)
    deviations = rows - mean[:, None]
    squares = np.maximum((deviations**2).mean(axis=1), 1e-300)
    lean = (deviations**3).mean(axis=1) / squares**1.5 / sqrt(n)
    return mean / np.sqrt(squares / (n - 1)), lean, n - 1.0


def johnson(rows: Floats, level: float) -> NDArray[np.bool_]:
    t, lean, degrees = _moments(rows)
    return np.asarray(t + lean / 6 + lean * t**2 / 3 > stdtrit(degrees, 1 - level))


def johnson_or_student(rows: Floats, level: float) -> NDArray[np.bool_]:
    """The stricter of both."""
    return johnson(rows, level) & student(rows, level)


def chen(rows: Floats, level: float) -> NDArray[np.bool_]:
    t, lean, degrees = _moments(rows)
    a = lean / 6
    corrected = t + a * (1 + 2 * t**2) + 4 * a**2 * (t + 2 * t**3)
    return np.asarray(corrected > stdtrit(degrees, 1 - level))


def hall(rows: Floats, level: float) -> NDArray[np.bool_]:
    t, lean, degrees = _moments(rows)
    step = lean * t
    corrected = t * (1 + step / 3 + step**2 / 27) + lean / 6
    return np.asarray(corrected > stdtrit(degrees, 1 - level))


def tilt(rows: Floats, level: float) -> NDArray[np.bool_]:
    """Signed root of the exponentially tilted likelihood ratio, against Student's quantile."""
    n = rows.shape[1]
    scaled = rows / rows.std(axis=1, keepdims=True).clip(1e-300)
    slope = np.zeros((len(rows), 1))
    for _ in range(40):
        weights = np.exp(np.clip(slope * scaled, -50, 50))
        first = (weights * scaled).sum(axis=1, keepdims=True)
        second = (weights * scaled**2).sum(axis=1, keepdims=True)
        slope = np.clip(slope - np.clip(first / second, -1, 1), -50, 50)
    cumulant = np.log(np.exp(np.clip(slope * scaled, -50, 50)).mean(axis=1))
    root = np.sign(rows.mean(axis=1)) * np.sqrt(np.maximum(0, -2 * n * cumulant))
    return np.asarray(root > stdtrit(n - 1, 1 - level))


def bootstrap_t(rows: Floats, level: float) -> NDArray[np.bool_]:
    rng = np.random.default_rng(0)
    t, _, _ = _moments(rows)
    n = rows.shape[1]
    adopted = np.zeros(len(rows), dtype=bool)
    for index in np.flatnonzero(t > 0.5):
        centred = rows[index] - rows[index].mean()
        drawn = centred[rng.integers(0, n, (BOOTSTRAPS, n))]
        with np.errstate(divide="ignore", invalid="ignore"):
            statistics = drawn.mean(axis=1) / (drawn.std(axis=1, ddof=1) / sqrt(n))
        adopted[index] = np.mean(~(statistics < t[index])) < level
    return adopted


def hold_back(sds: float) -> Rule:
    """Adopt only unless the sample leans to the bad side by so many of its standard errors."""

    def rule(rows: Floats, level: float) -> NDArray[np.bool_]:
        _, lean, degrees = _moments(rows)
        n = degrees + 1
        error = sqrt(6 * (n - 2) / ((n + 1) * (n + 3)))
        return student(rows, level) & (lean * sqrt(n) > -sds * error)

    return rule


FORMS: Mapping[str, Rule] = {
    STUDENT: student,
    "Johnson's t": johnson,
    "Johnson's t, never easier than Student's": johnson_or_student,
    "Chen's t": chen,
    "Hall's transformation": hall,
    "exponential tilt": tilt,
    "bootstrap-t": bootstrap_t,
    "held back at any lean to the bad side": hold_back(0.0),
    "held back at a lean of one standard error": hold_back(1.0),
    OURS: chosen,
}


def adopts(rule: Rule, gains: Floats, schedule: Schedule) -> NDArray[np.bool_]:
    """Whether a form adopts at one of the looks; it rejects as it would adopt the negative."""
    adopted = np.zeros(len(gains), dtype=bool)
    going = np.arange(len(gains))
    for count in schedule.looks:
        rows = gains[going, :count]
        varied = np.ptp(rows, axis=1) > 1e-12
        up, down = (
            varied & rule(np.where(varied[:, None], sign * rows, 1.0), schedule.level)
            for sign in (1.0, -1.0)
        )
        adopted[going[up]] = True
        going = going[~(up | down)]
    return adopted


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the table: what, its goal in words, the largest or smallest value that meets it.

    `values`: by form.
    """

    what: str
    goal: str
    values: Mapping[str, float]
    met: bool | None


def measures(table: SeedTable, rng: np.random.Generator) -> list[Measure]:
    """All columns: simulated shapes, power, real shapes."""
    normal = rng.standard_normal((DRAWS, LATEST))
    tail = 1 - rng.exponential(size=(DRAWS, LATEST))
    noisy = tail - 0.5 * normal
    found = [
        _at_most("exponential tail, 10 pairs", tail, ONE_LOOK, 0.08),
        _at_most("the same with a normal baseline of half its spread", noisy, ONE_LOOK, 0.08),
        _at_most("exponential tail, looks 10, 20, 30", tail, DEFAULT, 0.08),
        _at_most("normal, 10 pairs", normal, ONE_LOOK, TOTAL_ERROR + 0.002),
        _at_most("normal, looks 10, 20, 30", normal, DEFAULT, TOTAL_ERROR + 0.002),
        _power("power at 1 SD, 10 pairs", 1 + normal, ONE_LOOK),
        _power("power at 1 SD, looks 3, 5, 7", 1 + normal, FEW),
    ]
    for together in (True, False):
        gains, clusters = real_shapes(table, rng, together=together)
        how = "same seeds" if together else "own seeds"
        for schedule in (ONE_LOOK, FEW, DEFAULT):
            looks = ", ".join(map(str, schedule.looks))
            found.append(_real(f"real shapes, {how}, {looks}", gains, clusters, schedule))
    return found


def real_shapes(
    table: SeedTable, rng: np.random.Generator, *, together: bool
) -> tuple[Floats, NDArray[np.str_]]:
    """Gains [D, 30] of two configurations of one problem, each centred, redrawn; and data sets.

    `together`: pairs of runs keep their common seed; else each side is drawn by itself.
    """
    residuals = table.fresh - table.fresh.mean(axis=1, keepdims=True)
    same = table.problem[:, None] == table.problem[None, :]
    left, right = (
        np.repeat(side, REAL_DRAWS) for side in np.nonzero(same & ~np.eye(len(same), dtype=bool))
    )
    ours = rng.integers(0, FRESH_SEEDS, size=(len(left), LATEST))
    theirs = ours if together else rng.integers(0, FRESH_SEEDS, size=ours.shape)
    gains = residuals[left[:, None], ours] - residuals[right[:, None], theirs]
    return gains, table.data_set[left]


def _rates(gains: Floats, schedule: Schedule) -> dict[str, float]:
    return {
        name: float(adopts(rule, _fewer(rule, gains), schedule).mean())
        for name, rule in FORMS.items()
    }


def _fewer(rule: Rule, gains: Floats) -> Floats:
    return gains[:: max(1, len(gains) // BOOTSTRAPPED)] if rule is bootstrap_t else gains


def _at_most(what: str, gains: Floats, schedule: Schedule, most: float) -> Measure:
    rates = _rates(gains, schedule)
    return Measure(what, f"at most {most:g}", rates, rates[OURS] <= most)


def _power(what: str, gains: Floats, schedule: Schedule) -> Measure:
    rates = _rates(gains, schedule)
    least = rates[STUDENT] - 0.05
    return Measure(what, f"at least {least:.3f}", rates, rates[OURS] >= least)


def _real(what: str, gains: Floats, clusters: NDArray[np.str_], schedule: Schedule) -> Measure:
    rates = _rates(gains, schedule)
    _, error = clustered(adopts(chosen, gains, schedule).astype(float), clusters)
    most = TOTAL_ERROR + 2 * error
    return Measure(what, f"at most {most:.4f}", rates, rates[OURS] <= most)


def markdown(found: Sequence[Measure]) -> str:
    """One line a form, one column a measure, the goals below."""
    lines = [
        f"| form | {' | '.join(form.what for form in found)} |",
        f"|---|{'---:|' * len(found)}",
    ]
    for name in FORMS:
        rates = " | ".join(f"{form.values[name]:.4f}" for form in found)
        lines.append(f"| {name} | {rates} |")
    lines.append(f"| goal | {' | '.join(form.goal for form in found)} |")
    return "\n".join(lines)


def rows(found: Sequence[Measure]) -> list[Row]:
    """Our form of the test against Student's; `markdown` has all forms."""
    return [
        row(f"Adopts, {one.what}; peer: Student's t", one.values[OURS],
            one.values[STUDENT], "share", one.goal, one.met)
        for one in found
    ]  # fmt: skip
