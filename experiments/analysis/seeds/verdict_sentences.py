"""Sentences of a verdict, as a paper would report it."""

from __future__ import annotations

from math import floor, log10

from experiments.analysis.number_formats import counted, listed, percent, significant
from experiments.analysis.seeds.looks import TOTAL_ERROR
from experiments.analysis.seeds.verdict_record import Verdict

_RETROSPECTIVE = (
    "Retrospective: the runs existed before they were compared, and whoever picked them could "
    "have seen their scores, so the error rates of a declared comparison do not hold. Fresh "
    "replicates, declared and then logged, replace this."
)


def interval_name(confidence: float) -> str:
    """95 % CI."""
    return f"{percent(confidence)} CI"


def sentence(verdict: Verdict) -> str:
    """The one sentence that says the verdict, with what bounds it ("On this split") in front."""
    if verdict.outcome == "none":
        text = f"No verdict: {verdict.reason[0].lower()}{verdict.reason[1:]}"
    elif verdict.blocked_by:
        text = (
            f"Gain shown, but adopting is blocked because {listed(verdict.blocked_by)}: "
            f"{_found(verdict)}; {_tested(verdict)}."
        )
    elif verdict.outcome == "undecided":
        text = _undecided(verdict)
    else:
        text = f"{verdict.outcome.capitalize()}: {_found(verdict)}; {_tested(verdict)}."
    return _opened(verdict, text)


def notes(verdict: Verdict) -> tuple[str, ...]:
    """Remarks beside the sentence, each a sentence of its own."""
    found = [_RETROSPECTIVE] if verdict.retrospective else []
    found += [_mean_note(verdict), _selection_note(verdict)]
    found += [_failures_note(verdict), _resolution_note(verdict)]
    if verdict.skew is not None:
        found.append(verdict.skew.text)
    if verdict.outcome != "none" and not verdict.paired:
        found.append(
            "The runs of the two arms share no seeds, so they are compared as separate samples."
        )
    return tuple(note for note in found if note)


def failures_phrase(verdict: Verdict) -> str:
    """ "2 of 10 candidate runs and 0 of 10 baseline runs have no finite score"."""
    return (
        f"{verdict.candidate_failures} of {verdict.candidate_runs} candidate runs and "
        f"{verdict.baseline_failures} of {verdict.baseline_runs} baseline runs have no finite "
        "score"
    )


def _opened(verdict: Verdict, text: str) -> str:
    openings = ["retrospective"] if verdict.retrospective else []
    if verdict.on_this_split:
        openings.append("on this split")
    if verdict.peeking_error is not None:
        openings.append(f"after peeking ({_peeking(verdict.candidates, verdict.peeking_error)})")
    if not openings:
        return text
    start = ", ".join(openings)
    return f"{start[0].upper()}{start[1:]}, {text[0].lower()}{text[1:]}"


def _peeking(candidates: int, error: float) -> str:
    if candidates == 1:
        rate = f"equal arms are adopted in {percent(error)} of cases"
    else:
        rate = (
            f"a candidate that is no better is adopted in {percent(error)} of cases, one of "
            f"{candidates} such in up to {percent(min(1.0, candidates * error))}"
        )
    return f"{rate}, not {percent(TOTAL_ERROR)}"


def _found(verdict: Verdict) -> str:
    """validation_accuracy 0.0043 higher (90 % CI 0.0031 to 0.0055) over 10 pairs of ..."""
    gain, lower, upper = (value or 0.0 for value in (verdict.gain, verdict.lower, verdict.upper))
    higher = (gain >= 0) is (verdict.direction == "maximize")
    if gain < 0:  # the interval is of what is said: of "0.4 higher", how much higher
        lower, upper = -upper, -lower
    decimals = 2 - floor(log10(upper - lower))
    size, *ends = (significant(round(value, decimals)) for value in (abs(gain), lower, upper))
    moved = f"{size} {'higher' if higher else 'lower'}" if gain else "unchanged"
    includes = ", includes 0" if lower <= 0 <= upper else ""
    interval = f"{verdict.interval_name} {' to '.join(ends)}{includes}"
    over = f"{_material(verdict)}{_winning(verdict)}"
    return f"{verdict.metric_name} {moved} ({interval}) over {over}"


def _tested(verdict: Verdict) -> str:
    """One-sided p = 0.0007 for a gain above the margin of 0.001, level 0.05."""
    rejected = verdict.tested == "reject"
    p = verdict.p_reject if rejected else verdict.p_adopt
    claim = f"a gain {'below' if rejected else 'above'} {_margin(verdict)}"
    return f"one-sided p {_p(p)} for {claim}, {_level(verdict)}"


def _p(value: float | None) -> str:
    if value is None:
        return "unknown"
    return "< 0.0001" if value < 0.0001 else f"= {significant(value, 2)}"


def _undecided(verdict: Verdict) -> str:
    found = f"{_found(verdict)}; {_tested(verdict)}"
    if verdict.is_last_look:
        return f"Not shown, the baseline stays: {found}."
    following = verdict.schedule.looks[verdict.look_index + 1]
    return f"Undecided: {found}; the next look is at {following} pairs."


def _material(verdict: Verdict) -> str:
    if not verdict.paired:
        ours = verdict.candidate_runs - verdict.candidate_failures
        theirs = verdict.baseline_runs - verdict.baseline_failures
        return f"{counted(ours, 'candidate run')} and {counted(theirs, 'baseline run')}"
    seeds = "seeds" if verdict.on_this_split else "seeds and splits"
    if not verdict.retrospective:
        seeds = f"fresh {seeds}"
    finite = "" if verdict.finite_pairs == verdict.pairs else "finite "
    return f"{verdict.finite_pairs} {finite}pairs of {seeds}"


def _level(verdict: Verdict) -> str:
    level = f"level {significant(verdict.level)}"
    if verdict.candidates > 1:
        shared = significant(verdict.schedule.level)
        return f"{level} ({shared} shared by {verdict.candidates} candidates)"
    if len(verdict.looks) > 1:
        return f"{level} at each of {len(verdict.looks)} looks"
    return level


def _margin(verdict: Verdict) -> str:
    return f"the margin of {significant(verdict.margin)}" if verdict.margin else "0"


def _winning(verdict: Verdict) -> str:
    if verdict.pairs_won is None:
        return ""
    tied = f" and tying {verdict.pairs_tied}" if verdict.pairs_tied else ""
    return f", winning {verdict.pairs_won} of {verdict.finite_pairs} pairs{tied}"


def _mean_note(verdict: Verdict) -> str:
    if verdict.mean_gain is None or verdict.gain is None or verdict.mean_gain == verdict.gain:
        return ""
    mean = significant(verdict.mean_gain, signed=True)
    return (
        f"The estimate is adjusted for stopping at look {_look_number(verdict)} (median-unbiased, "
        f"stage-wise ordering). Naive mean of the pairs, not adjusted: {mean}."
    )


def _selection_note(verdict: Verdict) -> str:
    if verdict.gain_given_adopt is None:
        return ""
    gain = significant(verdict.gain_given_adopt, 2, signed=True)
    return (
        "Of small gains only the lucky comparisons are adopted. Allowing for that, the gain is "
        f"about {gain} (median-unbiased among the adopts at this look; at least the lower bound "
        "of the 95 % interval)."
    )


def _look_number(verdict: Verdict) -> int:
    return verdict.looks.index(verdict.due) + 1


def _failures_note(verdict: Verdict) -> str:
    if verdict.outcome == "none" or not verdict.candidate_failures + verdict.baseline_failures:
        return ""
    return (
        f"{failures_phrase(verdict)}; the test uses the {verdict.finite_pairs} pairs that are "
        "finite in both arms."
    )


def _resolution_note(verdict: Verdict) -> str:
    if verdict.gain_in_resolutions is None:
        return ""
    return (
        f"The gain is worth {significant(verdict.gain_in_resolutions, 2)} "
        f"{verdict.resolution_name}."
    )
