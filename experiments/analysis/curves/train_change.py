"""Change of training loss while validation got worse: tells overfitting from the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import (
    Curve,
    at,
    median,
    noise_beside_trend,
    smooth,
)


@dataclass(frozen=True, slots=True)
class TrainChange:
    """Change of the smoothed training loss since the onset.

    share: of its whole fall. onset: its level there, start: that of the first evaluations. noise:
    of one evaluation.
    """

    height: float
    share: float
    onset: float
    start: float
    fall: float
    noise: float

    @property
    def falls_on(self) -> bool:
        """Test whether it went on falling by a twentieth of its whole fall."""
        return self.share < -thresholds.TRAIN_RISE_SHARE

    @property
    def never_fell(self) -> bool:
        """Test whether it stayed within the noise of where it began."""
        return not self.fall > thresholds.RISE_NOISE_FACTOR * self.noise

    def rises_with(self, height: float, *, of_loss: bool) -> bool:
        """Test whether it rises as validation does by a height, not wandering at its floor."""
        if not (self.share > thresholds.TRAIN_RISE_SHARE or self._above_onset):
            return False
        half = thresholds.TRAIN_RISE_HALF
        return not of_loss or self.height > half * height or self.share > half

    @property
    def _above_onset(self) -> bool:
        end = self.onset + self.height
        fitted = abs(end) <= thresholds.PERFECT_FIT_SHARE * abs(self.start)
        beyond_noise = self.height > thresholds.RISE_NOISE_FACTOR * self.noise
        return (
            self.onset > 0
            and end > thresholds.TRAIN_RISE_RATIO * self.onset
            and beyond_noise
            and not fitted
        )


def train_change_since(train: Curve | None, start: float, end: float) -> TrainChange | None:
    """Return the change of the smoothed training loss between two steps; None if unknown."""
    curve = None if train is None else train.in_step_order().finite()
    if curve is None or len(curve) < thresholds.SMOOTHING_MINIMUM:
        return None
    with np.errstate(all="ignore"):
        smoothed = Curve(curve.steps, smooth(curve.values))
        onset = at(smoothed, start)
        change = at(smoothed, end) - onset
        fall = float(smoothed.values[0] - smoothed.values.min())
        # One value that explodes is no start.
        first = median(curve.values[: thresholds.SMOOTHING_MINIMUM])
        noise = noise_beside_trend(curve.values)
    unfallen = math.copysign(math.inf, change) if change else 0.0
    part = change / fall if fall > 0 else unfallen
    return TrainChange(change, part, onset, first, fall, noise)
