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
    """What is read off one trial once: errors have lower is better.

    gain: what the last quarter of its steps brought to validation; first, late: its training
    loss at the start, and the lowest after a quarter of its steps.
    """

    trial: RateTrial
    diverged: bool
    gain: float
    best: float
    noise: float
    first: float
    late: float
    jitter: float


@dataclass(frozen=True, slots=True)
class _Study:
    """What all trials together tell: training loss before training, and the best one's fall."""

    reads: tuple[_Read, ...]
    start: float
    fall: float
    trial_sd: float | None

    def gap(self, read: _Read) -> float:
        """Return by how much another run must beat this one to be better."""
        deviation = max(read.noise, self.trial_sd or 0.0)
        # Two single runs differ by the root of two more than one does from its mean.
        return thresholds.REGIME_DEVIATIONS * math.sqrt(2) * deviation

    def tie(self, read: _Read) -> float:
        """Return by how much another run may beat this one and still be no better."""
        deviation = read.noise if self.trial_sd is None else self.trial_sd
        return thresholds.REGIME_TIE * math.sqrt(2) * deviation

    def trained(self, read: _Read) -> bool:
        """Whether training loss fell by a tenth of the best fall, whatever happened first."""
        if read.diverged or not math.isfinite(read.late):
            return False
        # A first value far above the others' is an explosion, not a start.
        start = max(self.start, min(read.first, self.start + self.fall))
        needed = start - thresholds.REGIME_TRAINED_SHARE * self.fall + read.jitter
        return read.late < needed


def learning_rate_regimes(
    trials: Sequence[RateTrial],
    *,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    trial_sd: float | None = None,
) -> list[Regime]:
    """Return the regime of each trial's learning rate; pruned trials cannot be told.

    Too large: it diverged, or its training loss never fell by a tenth of the best trial's fall
    after a quarter of the steps, while a smaller rate trains; or, all else equal, about a tenth
    of the rate validates better. Too small: all else equal, about ten times the rate validates
    better and has the better training loss at the same step. Fits: neither is better, both were
    tried, and validation has settled. "About": the nearest to a factor of ten among those three
    to thirty times apart. "Better": by two deviations over seeds (`trial_sd`) of a difference, or
    of the evaluation noise where that is unknown.
    """
    # Differences of extreme finite values overflow: data, not an error.
    with np.errstate(all="ignore"):
        reads = tuple(_read(trial, direction, resolution) for trial in trials)
        study = _study(reads, trial_sd)
        return [_regime(read, study) for read in reads]


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
    first, late = math.nan, math.nan
    if len(loss) >= 2:
        after = loss.steps[0] + thresholds.REGIME_TRAINED_AFTER * (loss.steps[-1] - loss.steps[0])
        first = float(loss.values[0])
        late = float(smooth(loss.values)[loss.steps >= after].min())
    return _Read(
        trial=trial,
        diverged=find_break(trial.train_loss) is not None,
        gain=end.gain if end is not None and end.improving else 0.0,
        best=float(smooth(errors).min()) if errors.size else math.inf,
        noise=step_noise(errors, resolution),
        first=first,
        late=late,
        jitter=step_noise(loss.values),
    )


def _study(reads: tuple[_Read, ...], trial_sd: float | None) -> _Study:
    steady = [read for read in reads if not read.diverged and math.isfinite(read.late)]
    start = float(np.median([read.first for read in steady])) if steady else math.nan
    fall = max((start - read.late for read in steady), default=0.0)
    return _Study(reads, start, max(fall, 0.0), trial_sd)


def _regime(read: _Read, study: _Study) -> Regime:
    rate = read.trial.rate
    if read.trial.pruned or not 0 < rate < math.inf or not study.fall > 0:
        return Regime.CANNOT_TELL
    others = [o for o in study.reads if not o.trial.pruned and 0 < o.trial.rate < math.inf]
    if not study.trained(read):
        return _of_untrained(read, others, study)
    tenth, tenfold = _neighbour(read, others, -1), _neighbour(read, others, 1)
    gains = [-math.inf if o is None else read.best - o.best for o in (tenth, tenfold)]
    gap, tie = study.gap(read), study.tie(read)
    if tenfold is not None and gains[1] > gap and gains[0] <= tie:
        ahead = _loss_at_end(tenfold, read) < _loss_at_end(read, read)
        return Regime.TOO_SMALL if ahead else Regime.CANNOT_TELL
    if gains[0] > gap and gains[1] <= tie:
        return Regime.TOO_LARGE
    settled = read.gain <= tie
    both = tenth is not None and tenfold is not None
    return Regime.FITS if both and settled and max(gains) <= tie else Regime.CANNOT_TELL


def _neighbour(read: _Read, others: Sequence[_Read], side: int) -> _Read | None:
    """Return the trial, all else equal, whose rate is nearest to ten times (or a tenth of) it."""
    closest: tuple[float, _Read] | None = None
    for other in others:
        decades = side * (math.log10(other.trial.rate) - math.log10(read.trial.rate))
        apart = abs(decades - 1)
        twin = other.trial.others == read.trial.others
        if twin and apart <= thresholds.REGIME_REACH and (closest is None or apart < closest[0]):
            closest = apart, other
    return None if closest is None else closest[1]


def _of_untrained(read: _Read, others: Sequence[_Read], study: _Study) -> Regime:
    trained = [other for other in others if study.trained(other)]
    smaller = any(other.trial.rate < read.trial.rate for other in trained)
    enough = thresholds.REGIME_FACTOR * read.trial.rate
    larger = any(
        other.trial.rate >= enough and other.trial.others == read.trial.others for other in trained
    )
    if smaller and (read.diverged or not larger):
        return Regime.TOO_LARGE
    falls = read.first > read.late and not read.diverged
    return Regime.TOO_SMALL if larger and falls and not smaller else Regime.CANNOT_TELL


def _loss_at_end(read: _Read, until: _Read) -> float:
    """Return the smoothed training loss of a trial where another trial ended."""
    loss = read.trial.train_loss.in_step_order().finite()
    if not len(loss) or not len(until.trial.train_loss):
        return math.inf
    last = float(until.trial.train_loss.steps.max())
    if last >= float(loss.steps[-1]):
        return tail(loss.values)
    return at(Curve(loss.steps, smooth(loss.values)), last)
