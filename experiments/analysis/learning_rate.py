"""Which learning rates of a study are too large, too small, or fit: told across trials only.

One curve cannot tell; a smaller rate also regularises. Source: Tuning Playbook, "Examining the
training curves"; the rule and its labels by construction are ours: a rate is too small if ten
times it (or four times the steps) validates better, too large if a tenth of it does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure
from experiments.analysis.learning_curve import (
    Curve,
    Direction,
    at,
    smooth,
    step_noise,
    tail,
    to_errors,
)
from experiments.analysis.progress import ending
from experiments.analysis.stability import find_break

LEARNING_RATE_REGIME = Rule(
    name="learning_rate_regime",
    version=1,
    severity=Severity.NOTICE,
    question="Which learning rates are too large or too small?",
    passed_title="The best trial's learning rate fits",
    meaning="The best trial so far is held back by its learning rate.",
    advice="Search again around the learning rates that fit.",
    section="Tuning Playbook, 'Examining the training curves'",
    action="extend",
)


class Regime(StrEnum):
    """What a learning rate is, as far as the other trials tell."""

    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    FITS = "fits"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class RateTrial:
    """One trial of a study: its learning rate and its two curves.

    others: a key of the other hyperparameters. Trials with the same key differ in the learning
    rate alone and are compared directly.
    """

    rate: float
    train_loss: Curve
    validation: Curve
    others: str = ""
    pruned: bool = False


@dataclass(frozen=True, slots=True)
class _Read:
    """What is read off one trial once: errors have lower is better."""

    trial: RateTrial
    diverged: bool
    improving: bool
    best: float
    noise: float
    first_loss: float
    lowest_late: float
    fall: float
    jitter: float


def learning_rate_regimes(
    trials: Sequence[RateTrial],
    *,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    trial_sd: float | None = None,
) -> list[Regime]:
    """Return the regime of each trial's learning rate; pruned trials cannot be told.

    Too large: it diverged, or its training loss never fell by a tenth of the best trial's fall
    after a quarter of the steps, while a smaller rate trains; or, all else equal, a rate at least
    three times smaller validates better and trains no worse. Too small: a rate at least three
    times larger has a better training loss at the same step and validates better, all else
    equal. Fits: neither, with rates on both sides, and no longer improving. "Better": by two
    deviations over seeds (`trial_sd`), or of the evaluation noise where that is unknown.
    """
    reads = [_read(trial, direction, resolution) for trial in trials]
    trained = [read for read in reads if not read.diverged and math.isfinite(read.fall)]
    best_fall = max((read.fall for read in trained), default=0.0)
    return [_regime(read, reads, best_fall, trial_sd) for read in reads]


def learning_rate_regime(
    trials: Sequence[RateTrial],
    *,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    trial_sd: float | None = None,
) -> Diagnosis:
    """Tell whether the best trial's learning rate is too large or too small, and which fit."""
    finished = [trial for trial in trials if not trial.pruned]
    regimes = learning_rate_regimes(
        finished, direction=direction, resolution=resolution, trial_sd=trial_sd
    )
    rates = {regime: _rates_of(finished, regimes, regime) for regime in Regime}
    evidence: dict[str, object] = {"trials": len(finished), "trial_sd": trial_sd} | {
        f"rates_{regime}": values for regime, values in rates.items()
    }
    if len(finished) < 2 or len(rates[Regime.CANNOT_TELL]) == len(finished):
        return LEARNING_RATE_REGIME.cannot_tell(
            "No two finished trials tell learning rates apart.", evidence
        )
    scores = [_best_error(trial, direction) for trial in finished]
    best = int(np.argmin(np.where(np.isnan(scores), np.inf, scores)))
    evidence |= {"best_rate": finished[best].rate, "best_regime": regimes[best]}
    detail = "; ".join(
        f"{words}: {_spread(rates[regime])}"
        for regime, words in (
            (Regime.TOO_SMALL, "too small"),
            (Regime.FITS, "fit"),
            (Regime.TOO_LARGE, "too large"),
        )
        if rates[regime]
    )
    if regimes[best] in (Regime.TOO_LARGE, Regime.TOO_SMALL):
        words = "large" if regimes[best] is Regime.TOO_LARGE else "small"
        return LEARNING_RATE_REGIME.fires(
            f"The best trial's learning rate looks too {words}", f"{detail}.", evidence
        )
    return LEARNING_RATE_REGIME.passes(f"{detail}.", evidence, title=_title(regimes[best]))


def _title(regime: Regime) -> str | None:
    return None if regime is Regime.FITS else "Learning rates compared across trials"


def _rates_of(
    trials: Sequence[RateTrial], regimes: Sequence[Regime], wanted: Regime
) -> list[float]:
    return sorted(
        trial.rate for trial, regime in zip(trials, regimes, strict=True) if regime is wanted
    )


def _spread(rates: Sequence[float]) -> str:
    low, high = figure(rates[0], 2), figure(rates[-1], 2)
    return low if low == high else f"{low} to {high}"


def _best_error(trial: RateTrial, direction: Direction) -> float:
    values = trial.validation.in_step_order().finite().values
    return float(smooth(to_errors(values, direction)).min()) if values.size else math.nan


def _read(trial: RateTrial, direction: Direction, resolution: float) -> _Read:
    loss = trial.train_loss.in_step_order().finite()
    errors = to_errors(trial.validation.in_step_order().finite().values, direction)
    end = ending(trial.validation, direction=direction, resolution=resolution)
    first, lowest_late, fall = math.nan, math.nan, math.nan
    if len(loss) >= 2:
        smoothed = smooth(loss.values)
        after = loss.steps[0] + thresholds.REGIME_TRAINED_AFTER * (loss.steps[-1] - loss.steps[0])
        first = float(loss.values[0])
        lowest_late = float(smoothed[loss.steps >= after].min())
        fall = first - float(smoothed.min())
    return _Read(
        trial=trial,
        diverged=find_break(trial.train_loss) is not None,
        improving=end is not None and end.improving,
        best=float(smooth(errors).min()) if errors.size else math.inf,
        noise=step_noise(errors, resolution),
        first_loss=first,
        lowest_late=lowest_late,
        fall=fall,
        jitter=step_noise(loss.values),
    )


def _regime(
    read: _Read, reads: Sequence[_Read], best_fall: float, trial_sd: float | None
) -> Regime:
    if read.trial.pruned or not read.trial.rate > 0:
        return Regime.CANNOT_TELL
    others = [other for other in reads if not other.trial.pruned and other.trial.rate > 0]
    smaller = [o for o in others if o.trial.rate * thresholds.REGIME_FACTOR <= read.trial.rate]
    larger = [o for o in others if o.trial.rate >= thresholds.REGIME_FACTOR * read.trial.rate]
    twins = {id(o) for o in others if o.trial.others == read.trial.others}
    if _did_not_train(read, best_fall):
        return _of_untrained(read, others, twins, best_fall)
    gap = thresholds.REGIME_DEVIATIONS * (read.noise if trial_sd is None else trial_sd)
    below_better = [o for o in smaller if id(o) in twins and o.best < read.best - gap]
    above_better = [o for o in larger if id(o) in twins and o.best < read.best - gap]
    if above_better and not below_better:
        ahead = any(_loss_at_end(o, read) < _loss_at_end(read, read) for o in above_better)
        return Regime.TOO_SMALL if ahead or read.improving else Regime.CANNOT_TELL
    if below_better and not above_better:
        return Regime.TOO_LARGE
    sides = any(id(o) in twins for o in smaller) and any(id(o) in twins for o in larger)
    settled = not below_better and not above_better and not read.improving
    return Regime.FITS if sides and settled else Regime.CANNOT_TELL


def _of_untrained(
    read: _Read, others: Sequence[_Read], twins: set[int], best_fall: float
) -> Regime:
    trained = [other for other in others if not _did_not_train(other, best_fall)]
    enough = thresholds.REGIME_FACTOR * read.trial.rate
    smaller = any(other.trial.rate < read.trial.rate for other in trained)
    larger = any(other.trial.rate >= enough and id(other) in twins for other in trained)
    if smaller and (read.diverged or not larger):
        return Regime.TOO_LARGE
    falls = read.first_loss > read.lowest_late and not read.diverged
    return Regime.TOO_SMALL if larger and falls and not smaller else Regime.CANNOT_TELL


def _did_not_train(read: _Read, best_fall: float) -> bool:
    needed = read.first_loss - thresholds.REGIME_TRAINED_SHARE * best_fall + read.jitter
    return read.diverged or (best_fall > 0 and read.lowest_late > needed)


def _loss_at_end(read: _Read, until: _Read) -> float:
    """Return the smoothed training loss of a trial where another trial ended."""
    loss = read.trial.train_loss.in_step_order().finite()
    if not len(loss) or not len(until.trial.train_loss):
        return math.inf
    last = float(until.trial.train_loss.steps.max())
    if last >= float(loss.steps[-1]):
        return tail(loss.values)
    return at(Curve(loss.steps, smooth(loss.values)), last)
