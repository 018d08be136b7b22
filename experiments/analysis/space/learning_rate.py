"""Regimes of the learning rate across trials: too small, fit, too large.

One curve cannot tell; a smaller rate also regularises. Source: Tuning Playbook, "Examining the
training curves"; the rule and its labels by construction are ours: a rate is too small if ten
times it (or four times the steps) validates better, too large if a tenth of it does. Every trial
counts: a Gaussian process over the rate takes out what the other hyperparameters do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import special

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import (
    Curve,
    Direction,
    Floats,
    median,
    step_noise,
    to_errors,
)
from experiments.analysis.curves.progress import ending
from experiments.analysis.curves.stability import find_break
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure
from experiments.analysis.space.rate_model import fit_rate_model

LEARNING_RATE_REGIME = Rule(
    name="learning_rate_regime",
    version=2,
    severity=Severity.NOTICE,
    question="Which learning rates are too large or too small?",
    passed_title="The best trial's learning rate fits",
    meaning=(
        "Too large: training and validation stay flat and jump about. Too small: training is "
        "still on its way when the steps end."
    ),
    advice="Search again around the learning rates that fit.",
    section="Tuning Playbook, 'Examining the training curves'",
    action="extend",
)


class Regime(StrEnum):
    """Regime of a learning rate, as far as the other trials tell."""

    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    FITS = "fits"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class RateTrial:
    """One trial of a study: its learning rate and its two curves.

    others: a key of the other hyperparameters, for studies that know no places of them.
    """

    rate: float
    train_loss: Curve
    validation: Curve
    others: str = ""
    pruned: bool = False


@dataclass(frozen=True, slots=True)
class RateReading:
    """Reading of one trial, kept so that its curves need not be read again.

    Errors have lower is better. first, best: of validation; half: what the second half of its
    steps brought to the smoothed best; noise: of one evaluation. place: positions of the other
    hyperparameters, each 0 to 1; trials of one study have equally many.
    """

    rate: float
    diverged: bool
    first: float
    best: float
    half: float
    noise: float
    others: str = ""
    pruned: bool = False
    place: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Odds:
    """Chances [N] that ten times the rate (or more steps), or a tenth of it, is better.

    behind: [N] distance to the best trial, as a share of the whole fall; half: what the second
    half of the steps brought; sure: the least gain that counts. inside: rates with others
    tried on both sides.
    """

    more: Floats
    less: Floats
    behind: Floats
    half: Floats
    sure: float
    inside: NDArray[np.bool_]


def learning_rate_regimes(
    trials: Sequence[RateTrial | RateReading],
    *,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    trial_sd: float | None = None,
) -> list[Regime]:
    """Return the regime of each trial's learning rate; pruned trials cannot be told.

    Validation is modelled over the logarithm of the rate with the other hyperparameters beside
    it, from all trials. Too large: a tenth of the rate validates better with probability 0.9, or
    it diverged above a rate that trains. Too small: ten times the rate does, or more steps would.
    Fits: neither is likely, both sides were tried, and it lies near the best. "Better": by two
    deviations over seeds (`trial_sd`; the evaluation noise where unknown), more where a trial has
    hardly trained. Regimes keep one order: too small, fits, too large; what contradicts it cannot
    be told.
    """
    # Differences of extreme finite values overflow: data, not an error.
    with np.errstate(all="ignore"):
        reads = _readings(trials, direction, resolution)
        regimes = [Regime.CANNOT_TELL] * len(reads)
        places = [at for at, read in enumerate(reads) if _usable(read)]
        regimes_read = _regimes_of([reads[at] for at in places], resolution, trial_sd)
        for at, regime in zip(places, regimes_read, strict=True):
            regimes[at] = regime
        return regimes


def learning_rate_regime(
    trials: Sequence[RateTrial | RateReading],
    *,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    trial_sd: float | None = None,
) -> Diagnosis:
    """Tell whether the best trial's learning rate is too large or too small, and which fit."""
    finished = _readings([t for t in trials if not t.pruned], direction, resolution)
    regimes = learning_rate_regimes(
        finished, direction=direction, resolution=resolution, trial_sd=trial_sd
    )
    rates = {regime: _rates_of(finished, regimes, regime) for regime in Regime}
    evidence: dict[str, object] = {"trials": len(finished), "trial_sd": trial_sd} | {
        f"rates_{regime}": values for regime, values in rates.items()
    }
    if len(finished) < 2 or len(rates[Regime.CANNOT_TELL]) == len(finished):
        return LEARNING_RATE_REGIME.cannot_tell(
            "Trials do not tell learning rates apart.", evidence
        )
    best = int(np.argmin([trial.best for trial in finished]))
    evidence |= {"best_rate": finished[best].rate, "best_regime": regimes[best]}
    detail = _detail(rates)
    if regimes[best] in (Regime.TOO_LARGE, Regime.TOO_SMALL):
        words = "large" if regimes[best] is Regime.TOO_LARGE else "small"
        return LEARNING_RATE_REGIME.fires(
            f"The best trial's learning rate, {figure(finished[best].rate, 2)}, is too {words}",
            detail,
            evidence,
        )
    title = None if regimes[best] is Regime.FITS else "Learning rates compared across trials"
    return LEARNING_RATE_REGIME.passes(detail, evidence, title=title)


def _detail(rates: Mapping[Regime, Sequence[float]]) -> str:
    small, fits, large = (
        rates[regime] for regime in (Regime.TOO_SMALL, Regime.FITS, Regime.TOO_LARGE)
    )
    parts = []
    if small:
        parts.append(f"too small up to {figure(small[-1], 2)}")
    if fits:
        low, high = figure(fits[0], 2), figure(fits[-1], 2)
        parts.append(f"fits at {low}" if low == high else f"fits from {low} to {high}")
    if large:
        parts.append(f"too large from {figure(large[0], 2)}")
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _readings(
    trials: Sequence[RateTrial | RateReading], direction: Direction, resolution: float
) -> list[RateReading]:
    return [
        trial
        if isinstance(trial, RateReading)
        else read_rate_trial(trial, direction=direction, resolution=resolution)
        for trial in trials
    ]


def _rates_of(
    trials: Sequence[RateReading], regimes: Sequence[Regime], wanted: Regime
) -> list[float]:
    return sorted(
        trial.rate for trial, regime in zip(trials, regimes, strict=True) if regime is wanted
    )


def read_rate_trial(
    trial: RateTrial, *, direction: Direction = Direction.MINIMIZE, resolution: float = 0.0
) -> RateReading:
    """Return what the rule needs of one trial's curves."""
    with np.errstate(all="ignore"):
        curve = trial.validation.in_step_order().finite()
        errors = to_errors(curve.values, direction)
        end = ending(trial.validation, direction=direction, resolution=resolution)
        return RateReading(
            rate=trial.rate,
            diverged=find_break(trial.train_loss) is not None,
            first=float(errors[0]) if errors.size else math.nan,
            best=float(errors.min()) if errors.size else math.inf,
            half=0.0 if end is None else end.half,
            noise=step_noise(errors, resolution),
            others=trial.others,
            pruned=trial.pruned,
        )


def _usable(read: RateReading) -> bool:
    return not read.pruned and 0 < read.rate < math.inf


def _regimes_of(
    reads: Sequence[RateReading], resolution: float, trial_sd: float | None
) -> list[Regime]:
    firsts = [read.first for read in reads if math.isfinite(read.first)]
    if len(reads) < 2 or not firsts:
        return [Regime.CANNOT_TELL] * len(reads)
    # What ends worse than untrained, or with no number, is as good as untrained.
    start = float(np.median(firsts))
    errors = np.array([min(read.best, start) for read in reads])
    errors[~np.isfinite(errors)] = start
    fall = start - float(errors.min())
    noises = [read.noise for read in reads if math.isfinite(read.noise)]
    deviation = trial_sd or max(median(np.array(noises)) if noises else 0.0, resolution)
    if not 0 < fall < math.inf:
        return [Regime.CANNOT_TELL] * len(reads)
    odds = _odds(reads, (errors - errors.min()) / fall, fall, deviation / fall)
    regimes = [_regime(at, reads, odds) for at in range(len(reads))]
    return _ordered([read.rate for read in reads], regimes)


def _odds(reads: Sequence[RateReading], behind: Floats, fall: float, deviation: float) -> _Odds:
    """Return the chances of each trial; errors and deviation as shares of the whole fall."""
    decades = np.log10([read.rate for read in reads])
    model = fit_rate_model(decades, _places(reads), behind)
    spread = max(deviation, thresholds.REGIME_NOISE_SHARE * model.noise)
    sure = max(thresholds.REGIME_DEVIATIONS * spread, thresholds.REGIME_LEAST_GAIN)
    # An untrained run varies over seeds by far more than a good one.
    needed = sure + thresholds.REGIME_UNTRAINED_SHARE * np.clip(behind, 0, 1)
    low = decades < decades.min() + thresholds.REGIME_MARGIN
    high = decades > decades.max() - thresholds.REGIME_MARGIN
    tenfold, tenth = model.gain(1.0), model.gain(-1.0)
    halves = np.array([read.half for read in reads]) / fall
    half = np.where(np.isfinite(halves), np.maximum(halves, 0), 0)
    # Four times the steps go about as far as four times the rate, and as far again as before.
    fourfold, doubt = model.gain(math.log10(thresholds.REGIME_LONGER))
    longer = np.maximum(fourfold, 0) + half / 2
    steps = special.ndtr((longer - needed) / np.hypot(np.hypot(doubt, 0.2 * needed), 0.3 * half))
    more = np.where(high, 0, _chance(tenfold, needed))
    return _Odds(
        more=np.maximum(more, steps),
        less=np.where(low, 0, _chance(tenth, needed)),
        behind=behind,
        half=half,
        sure=sure,
        inside=~low & ~high,
    )


def _chance(gain: tuple[Floats, Floats], needed: Floats) -> Floats:
    found: Floats = special.ndtr(
        (gain[0] - needed) / np.hypot(gain[1], thresholds.REGIME_DOUBT * needed)
    )
    return found


def _places(reads: Sequence[RateReading]) -> Floats:
    """Return [N, D] positions of the other hyperparameters; by their key where there are none."""
    if len({len(read.place) for read in reads}) == 1 and reads[0].place:
        return np.array([read.place for read in reads])
    keys = sorted({read.others for read in reads})
    return np.array([[key == read.others for key in keys] for read in reads], dtype=np.float64)


def _regime(at: int, reads: Sequence[RateReading], odds: _Odds) -> Regime:
    read = reads[at]
    more, less = float(odds.more[at]), float(odds.less[at])
    trains = [
        other.rate
        for other, behind in zip(reads, odds.behind, strict=True)
        if behind < thresholds.REGIME_TRAINS and not other.diverged
    ]
    if read.diverged or not math.isfinite(read.best):
        above = bool(trains) and read.rate > min(trains)
        lost = less > thresholds.REGIME_UNLIKELY or not math.isfinite(read.best)
        return Regime.TOO_LARGE if above and lost else Regime.CANNOT_TELL
    if less > max(thresholds.REGIME_LIKELY, more):
        return Regime.TOO_LARGE
    if more > thresholds.REGIME_LIKELY:
        return Regime.TOO_SMALL
    near = odds.behind[at] < thresholds.REGIME_NEAR
    settled = odds.half[at] < thresholds.REGIME_SETTLED * odds.sure
    unlikely = max(more, less) < thresholds.REGIME_UNLIKELY
    fits = bool(odds.inside[at]) and near and settled and unlikely
    return Regime.FITS if fits else Regime.CANNOT_TELL


def _ordered(rates: Sequence[float], regimes: Sequence[Regime]) -> list[Regime]:
    """Return the regimes with those that contradict the best single order taken back.

    The order: every rate below a first limit is too small, every one above a second too large,
    those between fit. The limits are those that the fewest trials contradict.
    """
    order = sorted(range(len(rates)), key=lambda at: rates[at])
    row = [regimes[at] for at in order]

    def before(kinds: tuple[Regime, ...]) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum([regime in kinds for regime in row])])

    small, fits, large = (
        before((regime,)) for regime in (Regime.TOO_SMALL, Regime.FITS, Regime.TOO_LARGE)
    )
    wrong_below = fits + large
    wrong_above = (small[-1] - small) + (fits[-1] - fits)
    other = small + large
    # [first limit, second limit]: those that contradict below, between and above.
    wrong = wrong_below[:, None] + (other[None, :] - other[:, None]) + wrong_above[None, :]
    wrong = np.where(np.tri(len(row) + 1, k=-1, dtype=bool), np.iinfo(np.int64).max, wrong)
    first, second = np.unravel_index(int(np.argmin(wrong)), wrong.shape)
    ordered = list(regimes)
    for place, at in enumerate(order):
        due = (
            Regime.TOO_SMALL
            if place < first
            else Regime.FITS
            if place < second
            else Regime.TOO_LARGE
        )
        if regimes[at] is not due:
            ordered[at] = Regime.CANNOT_TELL
    return ordered
