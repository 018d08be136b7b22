"""Every number that decides whether a rule fires, with where it comes from.

"Playbook" is Google's Deep Learning Tuning Playbook (google-research/tuning_playbook). "Chosen"
marks a number of ours, with its reason: nobody published one.
"""

from __future__ import annotations

from typing import Final

# --- Curves in general ---------------------------------------------------------------------
# Chosen: with fewer evaluations a median of three decides alone.
MIN_EVALUATIONS: Final = 8
# Chosen: the smoothing window is a twentieth of the curve, at least three, odd.
SMOOTHING_SHARE: Final = 1 / 20
SMOOTHING_MINIMUM: Final = 3
# Chosen: below so many evaluations most one-step changes of a curve that turns are trend.
SHORT_CURVE: Final = 30
# Consistency of the median absolute deviation with a normal standard deviation.
MAD_TO_SD: Final = 1.4826
# Chosen: Theil-Sen compares all pairs; beyond this many points block medians stand in.
THEIL_SEN_POINTS: Final = 60

# --- Overfitting ---------------------------------------------------------------------------
# Prechelt (1998), "Early stopping - but when?": generalisation loss GL, stop at 5 %.
GENERALISATION_LOSS_PERCENT: Final = 5.0
# The same source's smaller limit, which alone fires too often.
SMALL_LOSS_PERCENT: Final = 2.0
# Chosen, the same 5 % of the improvement so far, where a ratio of errors means nothing.
RISE_SHARE: Final = 0.05
# Chosen: three robust standard deviations of the evaluation noise.
RISE_NOISE_FACTOR: Final = 3.0
# Chosen: a loss that fell to a hundredth of where it began is "near zero": ratios mislead.
NEAR_ZERO_SHARE: Final = 0.01
# Chosen: a loss with a large constant in it (0.69 to 0.64, or a language model tuned further)
# hardly rises by 5 %; by 2 %, with a quarter of its improvement lost while training goes on, it
# overfits too.
RISE_SHARE_LARGE: Final = 0.25
# Chosen: training loss "rises too" when it regained a twentieth of its fall since the onset, and,
# in the unit of a validation loss, half of what that rose or half of its own fall; it "falls"
# when it lost a twentieth of its whole fall since.
TRAIN_RISE_SHARE: Final = 0.05
TRAIN_RISE_HALF: Final = 0.5

# Chosen: a training loss that lies a twentieth above its value at the onset has risen, too,
# whatever it fell before: an explosion at the first step makes any share of the fall small.
TRAIN_RISE_RATIO: Final = 1.05

# --- Unstable training -----------------------------------------------------------------------
# Chosen: a rise is a jump where most of it happens within two evaluations or 2 % of them.
JUMP_EVALUATIONS: Final = 2
JUMP_RUN_SHARE: Final = 0.02
JUMP_SHARE: Final = 0.8
# Chosen: a jump is worth a word where it takes a quarter of what was gained.
JUMP_DROP_SHARE: Final = 0.25
# Chosen: a rise of which one jump is less than half climbs little by little.
JUMP_CLIMB_SHARE: Final = 0.5
# Chosen: less than a tenth of the jump left at the end is a recovery.
JUMP_RECOVERED_SHARE: Final = 0.1

# --- No progress -----------------------------------------------------------------------------
# Chosen: of a metric in [0, 1], a hundredth of the error at the first evaluation is no progress
# (a detector at an mAP of 0.002).
NO_GAIN_SHARE: Final = 0.01
# Chosen: the best of thirty evaluations that wander lies some four deviations below the first.
NO_GAIN_LOST_NOISE: Final = 5.0

# --- Late oscillation ----------------------------------------------------------------------
# Chosen: "late in training" is the last fifth.
LATE_SHARE: Final = 0.2
LATE_MINIMUM: Final = 8
# Chosen, where neither the seeds' deviation nor the runner-up's distance is known.
OSCILLATION_DROP_SHARE: Final = 0.05
# Chosen: half of what one evaluation varies by over the whole run is calm.
OSCILLATION_CALM: Final = 0.5
# Chosen: where the last fifth gains five deviations, training is not at its end.
OSCILLATION_GAIN: Final = 5.0
# Chosen: an oscillation of half the distance to the runner-up can change their order.
OSCILLATION_GAP_SHARE: Final = 0.5
# Chosen: a metric that moves by one step has a robust deviation of 1.48 steps; two steps are the
# least that can be told from that.
OSCILLATION_RESOLUTIONS: Final = 2.0

# --- Search-space boundary -----------------------------------------------------------------
# Chosen: the notice's band. Under no effect it holds with probability 0.2 per axis, so it
# can never be the warning.
EDGE_NOTICE_BAND: Final = 0.1
# Chosen: the warning's band, the outer fifth.
EDGE_WARNING_BAND: Final = 0.2
# Chosen: the best max(5, a fifth of the feasible trials).
EDGE_TOP_MINIMUM: Final = 5
EDGE_TOP_SHARE: Final = 0.2
EDGE_MIN_TRIALS: Final = 20
# Chosen: an integer of so few values has an edge value; the outer fifth would hold one or two.
EDGE_FEW_LEVELS: Final = 10
EDGE_LEVEL: Final = 0.05
# Chosen: a fitted surface needs so many trials beyond its terms.
SURFACE_FREEDOM: Final = 10
# Chosen: one decade further on a log scale, half the range on a linear one.
EXTEND_DECADES: Final = 1.0
EXTEND_SHARE: Final = 0.5

# Chosen by replay (benchmarks/findings_space.py): configurations and seeds of each of a probe's
# looks, and the p-value from which a point is left. 0.01 at every look and point confirms one in
# twenty edges that change nothing.
PROBE_LOOKS: Final = ((5, 1), (5, 2), (10, 2), (10, 3))
PROBE_LEAVES: Final = (0.5, 0.4, 0.25)
PROBE_LEVEL: Final = 0.01
PROBE_WARNED_LEVEL: Final = 0.1
# In deviations over seeds: what the best configuration must gain.
PROBE_GAIN: Final = 0.5
PROBE_PAIRS: Final = 3
# Edges whose fitted slope leads inwards at 0.05 are not worth a probe.
PROBE_INWARDS: Final = 0.95

# --- Infeasible trials ---------------------------------------------------------------------
# Playbook names no number. Chosen: a wasted quarter is worth a word, a wasted half is grave.
INFEASIBLE_SHARE: Final = 0.25
INFEASIBLE_SHARE_STRONG: Final = 0.5
INFEASIBLE_MIN_TRIALS: Final = 8
# Chosen: enough cuts to say where along an axis the failures lie.
STUMP_CUTS: Final = 64
# Chosen: the edge of infeasibility: above it nine in ten of at least three trials fail, and the
# best trial lies within half a decade (a factor of about 3) below it.
INSTABILITY_SHARE: Final = 0.9
INSTABILITY_MIN_TRIALS: Final = 3
INSTABILITY_DECADES: Final = 0.5

# --- Still improving, saturated --------------------------------------------------------------
# Playbook gives no number. Chosen on half of AlgoPerf's runs and of our own trainings, cut at half
# of their steps: what goes on to gain 1 % of the improvement so far has gained 0.5 % of it in the
# last quarter and 2 % in the second half.
IMPROVING_PART: Final = 0.25
IMPROVING_GAIN_SHARE: Final = 0.005
IMPROVING_HALF: Final = 0.5
IMPROVING_HALF_SHARE: Final = 0.02
# Chosen: the second half gained more than one evaluation's noise.
IMPROVING_NOISE_FACTOR: Final = 1.0
# Chosen: within one deviation of the best before half of the run, and flat at the end.
SATURATED_SHARE: Final = 0.5
# Chosen: a learning rate above half its highest has not decayed yet.
UNDECAYED_SHARE: Final = 0.5

# --- Divergence ------------------------------------------------------------------------------
# Chosen: "early" is the first tenth of the steps.
EARLY_SHARE: Final = 0.1
# Chosen: a rise of ten robust deviations of the one-step changes before it, and of a fifth of
# the improvement, within a tenth of the run, from which the curve does not return in another.
DIVERGENCE_CHANGES: Final = 10.0
DIVERGENCE_DROP_SHARE: Final = 0.2
DIVERGENCE_RUN_SHARE: Final = 0.1
DIVERGENCE_POINTS: Final = 3
# Chosen: training loss that regained a twentieth of its fall, and still rises, is rising.
TRAIN_LOSS_RISE_SHARE: Final = 0.05

# --- Gradient norms --------------------------------------------------------------------------
# Chosen: a spike is six robust deviations of log10 above the running median and three times it.
SPIKE_DEVIATIONS: Final = 6.0
SPIKE_FACTOR: Final = 3.0
SPIKE_FLOOR_DEX: Final = 0.02
SPIKE_WINDOW: Final = (50, 1000)
SPIKE_MIN_POINTS: Final = 100
# Chosen: healthy runs have single spikes (17 % of 2,297 AlgoPerf runs), so the rate decides; one
# in two hundred is exceeded by one run in thirteen.
SPIKE_RATE: Final = 0.005
# Playbook, "How can I improve training stability?": clip at the 90th percentile; more than half
# of the updates clipped calls for a lower learning rate instead.
CLIP_PERCENTILE: Final = 90.0
CLIPPED_SHARE: Final = 0.5

# --- Checkpoints -----------------------------------------------------------------------------
# Chosen: evaluations within two deviations of the best could have been the best.
AS_GOOD_NOISE_FACTOR: Final = 2.0
# Chosen: what the last checkpoint costs is worth a word above 0.2 % of all that was gained.
REGRET_SHARE: Final = 0.002

# --- Evaluations -----------------------------------------------------------------------------
# Chosen: an autocorrelation of a half, with a dip of a half before it, over four periods or more.
PERIOD_MIN_EVALUATIONS: Final = 64
PERIOD_CORRELATION: Final = 0.5
PERIOD_DIP: Final = 0.5
PERIOD_MIN_REPEATS: Final = 4
# Chosen: residuals are drawn in to ten deviations, so that the first descent is no period.
PERIOD_OUTLIER: Final = 10.0
# Chosen: step distances varying by a fifth are not regular.
INTERVAL_VARIATION: Final = 0.2
# Chosen: below 1 % of the steps an instability at the start shows.
FIRST_EVALUATION_SHARE: Final = 0.01

# --- Ties and repeats ------------------------------------------------------------------------
# Chosen: of so few trials ties are chance; where half share the best score the metric is at its
# end.
TIES_MIN_TRIALS: Final = 5
TIES_SHARE: Final = 0.5
# Chosen: what a sentence holds; three degrees of freedom for a deviation.
REPEATS_NAMED: Final = 3
REPEATS_FREEDOM: Final = 3

# --- Density ---------------------------------------------------------------------------------
# Chosen: fewer than three trials as good as the best up to seed noise is luck, not a region.
GOOD_REGION_TRIALS: Final = 3
# Chosen, where the seeds' deviation is unknown: 5 % of the way from the best to the median.
GOOD_REGION_SHARE: Final = 0.05
DENSITY_MIN_TRIALS: Final = 8

# --- Learning-rate regime --------------------------------------------------------------------
# Chosen, each on half of our own trainings (benchmarks/findings_trained.py): a gain above two seed
# deviations, and above a hundredth of all that the best trial gained, is a gain.
REGIME_DEVIATIONS: Final = 2.0
REGIME_LEAST_GAIN: Final = 0.01
# A run that hardly trained varies over seeds by up to a seventh of the whole fall.
REGIME_UNTRAINED_SHARE: Final = 0.15
# How much of the model's own noise counts where the deviation over seeds looks smaller.
REGIME_NOISE_SHARE: Final = 0.5
# The limit of a gain is itself known to two fifths only.
REGIME_DOUBT: Final = 0.4
REGIME_LIKELY: Final = 0.9
REGIME_UNLIKELY: Final = 0.3
# "More steps" are four times as many.
REGIME_LONGER: Final = 4.0
# A rate within half a decade of the last that was tried has no neighbour on that side.
REGIME_MARGIN: Final = 0.45
# A trial trains if it has half of the best one's gain; what fits is within a twelfth of it, and
# its second half brought no more than three deviations.
REGIME_TRAINS: Final = 0.5
REGIME_NEAR: Final = 0.08
REGIME_SETTLED: Final = 1.5
# Grid of the model over the rate: length scales in decades of the rate and in widths of the other
# ranges, and the noise as a share of the surface's variance.
RATE_MODEL_ALONG: Final = (0.35, 0.6, 1.0, 1.6)
RATE_MODEL_ACROSS: Final = (1.0, 3.0)
RATE_MODEL_NOISE: Final = (1e-4, 1e-3, 1e-2, 0.05)

# --- Data set too small ----------------------------------------------------------------------
# Chosen: nine in ten of the trials that train (training loss at three tenths of its start or
# below) overfit in each of at least three learning-rate buckets of two or more; in the lowest,
# where some are still on their way, as many as make four in five of all.
SMALL_DATA_BUCKETS: Final = 3
SMALL_DATA_BUCKET_TRIALS: Final = 2
SMALL_DATA_SHARE: Final = 0.9
SMALL_DATA_TOTAL: Final = 0.8
SMALL_DATA_FIT: Final = 0.3

# --- Steps -----------------------------------------------------------------------------------
# Playbook, "Deciding how long to train when not compute-bound": best step always in the first
# tenth, or consistently in the last quarter. Chosen: "consistently" is four in five.
BEST_STEP_EARLY: Final = 0.10
BEST_STEP_LATE: Final = 0.75
CONSISTENTLY: Final = 0.8
STEPS_MIN_TRIALS: Final = 5
# Playbook: a tenth of the production length may answer many questions.
FIRST_ROUND_SHARE: Final = 0.1
# Chosen: a training loss of a thousandth of its start is a perfect fit.
PERFECT_FIT_SHARE: Final = 1e-3

# --- Fairness --------------------------------------------------------------------------------
# Chosen: a budget half as large again is another budget.
UNEQUAL_BUDGETS: Final = 1.5
# Chosen: buckets of a continuous scientific hyperparameter.
ISOLATION_BUCKETS: Final = 8
# Chosen: fewer points say little about a scientific value.
ARM_MIN_TRIALS: Final = 5

# --- Phase -----------------------------------------------------------------------------------
# Playbook: the refined space "comfortably contains" the best region. Chosen: the inner 80 %.
COMFORTABLE_MARGIN: Final = 0.1

# --- Throughput ------------------------------------------------------------------------------
# Playbook: throughput should double with the batch. Chosen: 1.8 times still counts, below 1.2
# there is nothing left to gain; within 5 % of the best is the best.
DOUBLING_FULL: Final = 1.8
DOUBLING_NONE: Final = 1.2
THROUGHPUT_TOLERANCE: Final = 0.05
# Chosen: a fifth of the time waiting for input, or a tenth lost in steps over three times the
# median.
WAITING_SHARE: Final = 0.2
SLOW_STEP_FACTOR: Final = 3.0
SLOW_STEP_LOSS: Final = 0.1
STEP_TIMES_NEEDED: Final = 20
