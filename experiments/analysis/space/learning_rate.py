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
from experiments.analysis.curves.learning_curve import (
    Curve,
    Direction,
    smooth,
    step_noise,
    to_errors,
)
from experiments.analysis.curves.progress import ending
from experiments.analysis.curves.stability import find_break
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, figure

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


# Points of a training loss that are kept to compare it with another's end.
_LOSS_POINTS = 64


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
class RateReading:
    """What is read off one trial once, so that its curves need not be read again.

    Errors have lower is better. gain: what the last quarter of its steps brought to validation;
    first, late: its training loss at the start, and the lowest after a quarter of its steps.
    loss_steps, loss: its smoothed training loss at a few steps; last_step: where it ended.
    """

    rate: float
    diverged: bool
    gain: float
    best: float
    noise: float
    first: float
    late: float
    jitter: float
    last_step: float = math.nan
    loss_steps: tuple[float, ...] = ()
    loss: tuple[float, ...] = ()
    others: str = ""
    pruned: bool = False


@dataclass(frozen=True, slots=True)
class _Study:
    """What all trials together tell: training loss before training, and the best one's fall."""

    reads: tuple[RateReading, ...]
    start: float
    fall: float
    trial_sd: float | None

    def gap(self, read: RateReading) -> float:
        """Return by how much another run must beat this one to be better."""
        deviation = max(read.noise, self.trial_sd or 0.0)
        # Two single runs differ by the root of two more than one does from its mean.
        return thresholds.REGIME_DEVIATIONS * math.sqrt(2) * deviation

    def tie(self, read: RateReading) -> float:
        """Return by how much another run may beat this one and still be no better."""
        deviation = read.noise if self.trial_sd is None else self.trial_sd
        return thresholds.REGIME_TIE * math.sqrt(2) * deviation

    def trained(self, read: RateReading) -> bool:
        """Whether training loss fell by a tenth of the best fall, whatever happened first."""
        if read.diverged or not math.isfinite(read.late):
            return False
        # A first value far above the others' is an explosion, not a start.
        start = max(self.start, min(read.first, self.start + self.fall))
        needed = start - thresholds.REGIME_TRAINED_SHARE * self.fall + read.jitter
        return read.late < needed


def learning_rate_regimes(
    trials: Sequence[RateTrial | RateReading],
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
        reads = tuple(_readings(trials, direction, resolution))
        study = _study(reads, trial_sd)
        return [_regime(read, study) for read in reads]


def _readings(
    trials: Sequence[RateTrial | RateReading], direction: Direction, resolution: float
) -> list[RateReading]:
    return [
        each
        if isinstance(each, RateReading)
        else read_rate_trial(each, direction=direction, resolution=resolution)
        for each in trials
    ]


def learning_rate_regime(
    trials: Sequence[RateTrial | RateReading],
    *,
    direction: Direction = Direction.MINIMIZE,
    resolution: float = 0.0,
    trial_sd: float | None = None,
) -> Diagnosis:
    """Tell whether the best trial's learning rate is too large or too small, and which fit."""
    with np.errstate(all="ignore"):
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
            "No two finished trials tell learning rates apart.", evidence
        )
    best = int(np.argmin([trial.best for trial in finished]))
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
    trials: Sequence[RateReading], regimes: Sequence[Regime], wanted: Regime
) -> list[float]:
    return sorted(
        trial.rate for trial, regime in zip(trials, regimes, strict=True) if regime is wanted
    )


def _spread(rates: Sequence[float]) -> str:
    low, high = figure(rates[0], 2), figure(rates[-1], 2)
    return low if low == high else f"{low} to {high}"


def read_rate_trial(
    trial: RateTrial, *, direction: Direction = Direction.MINIMIZE, resolution: float = 0.0
) -> RateReading:
    """Return what the rule needs of one trial's curves."""
    with np.errstate(all="ignore"):
        return _read(trial, direction, resolution)


def _read(trial: RateTrial, direction: Direction, resolution: float) -> RateReading:
    loss = trial.train_loss.in_step_order().finite()
    errors = to_errors(trial.validation.in_step_order().finite().values, direction)
    end = ending(trial.validation, direction=direction, resolution=resolution)
    first, late = math.nan, math.nan
    smoothed = smooth(loss.values)
    if len(loss) >= 2:
        after = loss.steps[0] + thresholds.REGIME_TRAINED_AFTER * (loss.steps[-1] - loss.steps[0])
        first = float(loss.values[0])
        late = float(smoothed[loss.steps >= after].min())
    shown = np.unique(np.linspace(0, len(loss) - 1, _LOSS_POINTS).astype(int))[: len(loss)]
    ended = float(trial.train_loss.steps.max()) if len(trial.train_loss) else math.nan
    return RateReading(
        rate=trial.rate,
        diverged=find_break(trial.train_loss) is not None,
        gain=end.gain if end is not None and end.improving else 0.0,
        best=float(smooth(errors).min()) if errors.size else math.inf,
        noise=step_noise(errors, resolution),
        first=first,
        late=late,
        jitter=step_noise(loss.values),
        last_step=ended,
        loss_steps=tuple(float(loss.steps[at]) for at in shown),
        loss=tuple(float(smoothed[at]) for at in shown),
        others=trial.others,
        pruned=trial.pruned,
    )


def _study(reads: tuple[RateReading, ...], trial_sd: float | None) -> _Study:
    steady = [read for read in reads if not read.diverged and math.isfinite(read.late)]
    start = float(np.median([read.first for read in steady])) if steady else math.nan
    fall = max((start - read.late for read in steady), default=0.0)
    return _Study(reads, start, max(fall, 0.0), trial_sd)


def _regime(read: RateReading, study: _Study) -> Regime:
    rate = read.rate
    if read.pruned or not 0 < rate < math.inf or not study.fall > 0:
        return Regime.CANNOT_TELL
    others = [o for o in study.reads if not o.pruned and 0 < o.rate < math.inf]
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


def _neighbour(read: RateReading, others: Sequence[RateReading], side: int) -> RateReading | None:
    """Return the trial, all else equal, whose rate is nearest to ten times (or a tenth of) it."""
    closest: tuple[float, RateReading] | None = None
    for other in others:
        decades = side * (math.log10(other.rate) - math.log10(read.rate))
        apart = abs(decades - 1)
        twin = other.others == read.others
        if twin and apart <= thresholds.REGIME_REACH and (closest is None or apart < closest[0]):
            closest = apart, other
    return None if closest is None else closest[1]


def _of_untrained(read: RateReading, others: Sequence[RateReading], study: _Study) -> Regime:
    trained = [other for other in others if study.trained(other)]
    smaller = any(other.rate < read.rate for other in trained)
    enough = thresholds.REGIME_FACTOR * read.rate
    larger = any(other.rate >= enough and other.others == read.others for other in trained)
    if smaller and (read.diverged or not larger):
        return Regime.TOO_LARGE
    falls = read.first > read.late and not read.diverged
    return Regime.TOO_SMALL if larger and falls and not smaller else Regime.CANNOT_TELL


def _loss_at_end(read: RateReading, until: RateReading) -> float:
    """Return the smoothed training loss of a trial where another trial ended."""
    if not read.loss or not math.isfinite(until.last_step):
        return math.inf
    return float(np.interp(until.last_step, read.loss_steps, read.loss))
