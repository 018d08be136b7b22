"""The verdict: does the candidate beat the baseline by more than the change has to earn?

The score of the trial that won a search is the best of many draws: over 520 studies (TabM) it lay
2.2 seed deviations above the mean of the same configuration's fresh seeds. So only fresh
replicates enter here, both arms under the same seeds, tested one-sided at declared looks
("Deep Learning Tuning Playbook", 'Determining whether to adopt a training pipeline change or
hyperparameter configuration').
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.analysis.number_formats import counted, listed, significant
from experiments.analysis.seeds.comparison import (
    Sample,
    all_equal,
    bounds,
    paired_sample,
    welch_sample,
)
from experiments.analysis.seeds.guards import Guard, GuardResult, check_guards
from experiments.analysis.seeds.looks import DEFAULT, FEWEST_PAIRS, Schedule, after_peeking_error
from experiments.analysis.seeds.replication import (
    Direction,
    check_direction,
    evaluation_mismatch,
    gains,
)
from experiments.analysis.seeds.sequential import (
    CONFIDENCE,
    SequentialEstimate,
    estimate_after_stop,
    gain_given_adopt,
)
from experiments.analysis.seeds.skew import judge_skew
from experiments.analysis.seeds.validity import Invalidity
from experiments.analysis.seeds.verdict_record import Outcome, Verdict
from experiments.analysis.seeds.verdict_sentences import (
    failures_phrase,
    interval_name,
    notes,
    sentence,
)

__all__ = ["Guard", "GuardResult", "Outcome", "Verdict", "judge"]

Floats = NDArray[np.float64]

# Fourth powers of larger scores leave float64; a run that scored so has diverged.
LARGEST_SCORE = 1e60


def judge(
    candidate: ArrayLike,
    baseline: ArrayLike,
    *,
    direction: Direction,
    margin: float = 0.0,
    schedule: Schedule = DEFAULT,
    look_index: int = 0,
    extra_looks: Sequence[int] = (),
    paired: bool = True,
    on_this_split: bool = False,
    retrospective: bool = False,
    candidates: int = 1,
    guards: Sequence[Guard] = (),
    unfair: Sequence[str] = (),
    invalid: Sequence[Invalidity] = (),
    candidate_evaluations: Sequence[int | None] = (),
    baseline_evaluations: Sequence[int | None] = (),
    metric_name: str = "the metric",
    resolution: float | None = None,
    resolution_name: str = "validation examples",
) -> Verdict:
    """Judge a candidate against the baseline from fresh replicates of both.

    `candidate` [N], `baseline` [N]: scores in the metric's unit in the order the replicates were
    declared, NaN for runs that diverged; the selecting run is not among them. Exactly the pairs
    of the look are used; a look that is not complete says so and shows nothing.
    `margin`: what the change has to earn, in the metric's unit. `look_index`: which declared look
    this is. `extra_looks`: totals of pairs at looks taken after the schedule's last, this one
    included; everything is then labelled as after peeking. `paired`: replicate i of both arms ran
    under the same seeds; without it Welch's test is used and the arms may differ in size.
    `on_this_split`: the objective has no split seed, so one split bounds the conclusion.
    `retrospective`: the runs existed before the question, and whoever picked them had seen them;
    every sentence says so, as the error rates of a declared comparison do not hold.
    `candidates`: how many were declared against this baseline; each is tested at level / m.
    `unfair`: why the sides were not given the same chance; any reason blocks adopt. `invalid`:
    in what they ran differently (`validity`); with any that blocks there is no verdict.
    `candidate_evaluations`, `baseline_evaluations` [N]: how often each run evaluated the metric.
    `resolution`: the metric's smallest step, called `resolution_name`.
    Data never raise: they give the outcome "none" with a reason. Raises ValueError for a question
    that cannot be asked (unknown direction, negative margin, no such look).
    """
    _check_question(direction, margin, schedule, look_index, candidates, resolution)
    extra = tuple(extra_looks)
    level = schedule.level / candidates
    unjudged = Verdict(
        metric_name=metric_name,
        direction=direction,
        margin=float(margin),
        paired=paired,
        on_this_split=on_this_split,
        retrospective=retrospective,
        candidates=candidates,
        schedule=schedule,
        look_index=len(schedule.looks) - 1 if extra else look_index,
        due=extra[-1] if extra else schedule.looks[look_index],
        is_last_look=bool(extra) or look_index == len(schedule.looks) - 1,
        level=level,
        interval_name=interval_name(_confidence(schedule, candidates)),
        looks=(*schedule.looks, *extra),
        peeking_error=after_peeking_error(schedule, extra, candidates=candidates)
        if extra
        else None,
        resolution=resolution,
        resolution_name=resolution_name,
        guards=check_guards(guards, level=level),
        invalid=tuple(problem for problem in invalid if problem.blocks),
        cautions=tuple(problem for problem in invalid if not problem.blocks),
        unfair=tuple(unfair),
    )
    ours, theirs = (np.asarray(arm, np.float64).ravel() for arm in (candidate, baseline))
    arms = _Arms(ours, theirs, tuple(candidate_evaluations), tuple(baseline_evaluations))
    judged = _judged(unjudged, arms)
    return replace(judged, sentence=sentence(judged), notes=notes(judged))


@dataclass(frozen=True, slots=True)
class _Arms:
    """Scores and evaluation counts of both arms."""

    candidate: Floats
    baseline: Floats
    candidate_evaluations: tuple[int | None, ...]
    baseline_evaluations: tuple[int | None, ...]

    def first(self, count: int) -> _Arms:
        """The first `count` replicates of each arm."""
        return _Arms(
            self.candidate[:count],
            self.baseline[:count],
            self.candidate_evaluations[:count],
            self.baseline_evaluations[:count],
        )


def _check_question(
    direction: Direction,
    margin: float,
    schedule: Schedule,
    look_index: int,
    candidates: int,
    resolution: float | None,
) -> None:
    check_direction(direction)
    if not (np.isfinite(margin) and margin >= 0):
        raise ValueError(f"The margin is a number from 0 up, not {margin}.")
    if not 0 <= look_index < len(schedule.looks):
        raise ValueError(f"No look {look_index} in a schedule of {len(schedule.looks)}.")
    if candidates < 1:
        raise ValueError(f"At least one candidate is compared, not {candidates}.")
    if resolution is not None and not resolution > 0:
        raise ValueError(f"A resolution is above 0, not {resolution}.")


def _judged(unjudged: Verdict, everything: _Arms) -> Verdict:
    reason = _incomplete(unjudged, everything)
    if reason:
        return _counted_runs(replace(unjudged, reason=reason), everything)
    # Pairs beyond the look, already run, may not change what it says. Unpaired arms of unequal
    # size are taken whole.
    whole = not unjudged.paired and everything.candidate.size != everything.baseline.size
    arms = everything if whole else everything.first(unjudged.due)
    unjudged = _counted_runs(unjudged, arms)
    ours, theirs = _finite(unjudged, arms)
    unjudged = replace(unjudged, finite_pairs=min(ours.size, theirs.size))
    reason = _untestable(unjudged, arms, ours, theirs)
    if reason:
        return replace(unjudged, reason=reason)
    return _tested(unjudged, ours, theirs)


def _incomplete(verdict: Verdict, arms: _Arms) -> str:
    ours, theirs = arms.candidate.size, arms.baseline.size
    if verdict.paired and ours != theirs:
        return (
            f"The candidate has {counted(ours, 'replicate')} and the baseline {theirs}; "
            "pairs need as many of each."
        )
    fewest = min(ours, theirs)
    if fewest < FEWEST_PAIRS:
        return f"A verdict needs at least {FEWEST_PAIRS} pairs; there are {fewest}."
    if fewest < verdict.due:
        return (
            f"{fewest} of the {verdict.due} pairs of this look are in; nothing is tested before "
            "they are complete."
        )
    return ""


def _counted_runs(verdict: Verdict, arms: _Arms) -> Verdict:
    return replace(
        verdict,
        pairs=min(arms.candidate.size, arms.baseline.size),
        candidate_runs=arms.candidate.size,
        baseline_runs=arms.baseline.size,
        candidate_failures=int((~_usable(arms.candidate)).sum()),
        baseline_failures=int((~_usable(arms.baseline)).sum()),
    )


def _usable(scores: Floats) -> NDArray[np.bool_]:
    return np.abs(scores) < LARGEST_SCORE  # False for NaN


def _finite(verdict: Verdict, arms: _Arms) -> tuple[Floats, Floats]:
    ours, theirs = _usable(arms.candidate), _usable(arms.baseline)
    if verdict.paired:
        ours = theirs = ours & theirs
    return arms.candidate[ours], arms.baseline[theirs]


def _untestable(verdict: Verdict, arms: _Arms, ours: Floats, theirs: Floats) -> str:
    if verdict.invalid:
        return (
            f"The comparison is invalid: {listed([problem.text for problem in verdict.invalid])}."
        )
    if verdict.finite_pairs < FEWEST_PAIRS:
        which = "pairs are finite in both arms" if verdict.paired else "runs of one arm are finite"
        return (
            f"Only {verdict.finite_pairs} {which}, and a verdict needs at least {FEWEST_PAIRS}: "
            f"{failures_phrase(verdict)}."
        )
    mismatch = evaluation_mismatch(
        arms.candidate.tolist(),
        arms.baseline.tolist(),
        arms.candidate_evaluations,
        arms.baseline_evaluations,
    )
    if mismatch:
        return mismatch
    scale = float(max(np.abs(ours).max(), np.abs(theirs).max()))
    if verdict.paired and all_equal((ours - theirs)[None], scale)[0]:
        by = significant(float(gains(ours, theirs, verdict.direction)[0]), signed=True)
        return (
            f"All {ours.size} differences are equal ({by}): the seeds changed nothing between the "
            "arms, so there is no spread to judge by."
        )
    if all_equal(ours[None], scale)[0] and all_equal(theirs[None], scale)[0]:
        return "All runs of each arm score the same, so there is no spread to judge by."
    return ""


def _tested(verdict: Verdict, ours: Floats, theirs: Floats) -> Verdict:
    if verdict.paired:
        shape = differences = gains(ours, theirs, verdict.direction)
        sample = paired_sample(differences[None])
        won, tied = int((differences > 0).sum()), int((differences == 0).sum())
        verdict = replace(
            verdict,
            pairs_won=won,
            pairs_tied=tied,
            won_share=(won + tied / 2) / differences.size,
        )
    else:
        left, right = (gains(arm, 0.0, verdict.direction) for arm in (ours, theirs))
        sample = welch_sample(left, right)
        shape = np.concatenate([left - left.mean(), right.mean() - right])
        crossings = np.sign(left[:, None] - right[None, :])
        verdict = replace(verdict, won_share=float((1 + crossings).mean() / 2))
    return _decided(replace(verdict, skew=judge_skew(shape)), sample)


def _decided(verdict: Verdict, sample: Sample) -> Verdict:
    result = bounds(sample, margin=verdict.margin, level=verdict.level)
    lower, upper = float(result.lower[0]), float(result.upper[0])
    tested: Outcome = "undecided"
    if lower > verdict.margin:
        tested = "adopt"
    elif upper < verdict.margin:
        tested = "reject"
    blocked = _blocks(verdict) if tested == "adopt" else ()
    shown = _estimate(verdict, sample)
    return replace(
        verdict,
        outcome="undecided" if blocked else tested,
        tested=tested,
        blocked_by=blocked,
        gain=shown.estimate,
        lower=shown.lower,
        upper=shown.upper,
        mean_gain=float(result.mean[0]),
        gain_given_adopt=_given_adopt(verdict, sample) if tested == "adopt" else None,
        deciding_lower=lower,
        deciding_upper=upper,
        p_adopt=float(result.p_adopt[0]),
        p_reject=float(result.p_reject[0]),
        gain_in_resolutions=shown.estimate / verdict.resolution if verdict.resolution else None,
    )


def _confidence(schedule: Schedule, candidates: int) -> float:
    """Of the interval shown: a single look's is the one that decides, later ones' is 95 %.

    Shared by several candidates as the level is.
    """
    if len(schedule.looks) == 1:
        return 1 - 2 * schedule.level / candidates
    return 1 - (1 - CONFIDENCE) / candidates


def _estimate(verdict: Verdict, sample: Sample) -> SequentialEstimate:
    return estimate_after_stop(
        sample,
        margin=verdict.margin,
        level=verdict.level,
        looks=_looks_taken(verdict, sample.count),
        unpaired=not verdict.paired,
        confidence=_confidence(verdict.schedule, verdict.candidates),
    )


def _given_adopt(verdict: Verdict, sample: Sample) -> float:
    return gain_given_adopt(
        sample,
        margin=verdict.margin,
        level=verdict.level,
        looks=_looks_taken(verdict, sample.count),
        unpaired=not verdict.paired,
    )


def _looks_taken(verdict: Verdict, count: int) -> tuple[int, ...]:
    """Pairs behind each look up to this one, of `count` finite ones now; as many failed before."""
    earlier = [look for look in verdict.looks if look < verdict.due]
    finite = {max(2, round(look * count / verdict.due)) for look in earlier}
    return (*sorted(look for look in finite if look < count), count)


def _blocks(verdict: Verdict) -> tuple[str, ...]:
    """Reasons that forbid adopting the candidate although its gain is shown."""
    blocked = [
        *verdict.unfair,
        *(guard.text for guard in verdict.guards if guard.status != "passed"),
    ]
    if verdict.candidate_failures > verdict.baseline_failures:
        blocked.insert(0, f"{failures_phrase(verdict)}")
    return tuple(blocked)
