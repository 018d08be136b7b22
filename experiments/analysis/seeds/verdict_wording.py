"""A verdict in a colleague's words."""

from __future__ import annotations

from experiments.analysis.number_formats import counted, listed, percent, significant
from experiments.analysis.seeds.looks import TOTAL_ERROR
from experiments.analysis.seeds.verdict_record import Verdict


def interval_name(level: float) -> str:
    """The two-sided name of an interval whose ends are each tested one-sided at `level`."""
    return f"{percent(1 - 2 * level)} interval"


def sentence(verdict: Verdict) -> str:
    """The one sentence that says the verdict, with what bounds it ("On this split") in front."""
    if verdict.outcome == "none":
        said = f"No verdict: {verdict.reason[0].lower()}{verdict.reason[1:]}"
    elif verdict.blocked_by:
        said = (
            f"The gain is shown, but adopting is blocked because {listed(verdict.blocked_by)}: "
            f"{_adopting(verdict)}."
        )
    elif verdict.outcome == "adopt":
        said = f"The evidence says adopt: {_adopting(verdict)}."
    elif verdict.outcome == "reject":
        said = f"The evidence says reject: {_rejecting(verdict)}."
    else:
        said = _undecided(verdict)
    return _opened(verdict, said)


def notes(verdict: Verdict) -> tuple[str, ...]:
    """What else has to be said beside the sentence, each a sentence of its own."""
    said = [_failures_note(verdict), _resolution_note(verdict)]
    if verdict.skew is not None:
        said.append(verdict.skew.text)
    if verdict.outcome != "none" and not verdict.paired:
        said.append(
            "The runs of the two arms share no seeds, so they are compared as separate samples."
        )
    return tuple(note for note in said if note)


def failures_phrase(verdict: Verdict) -> str:
    """ "2 of 10 candidate runs and 0 of 10 baseline runs have no finite score"."""
    return (
        f"{verdict.candidate_failures} of {verdict.candidate_runs} candidate runs and "
        f"{verdict.baseline_failures} of {verdict.baseline_runs} baseline runs have no finite "
        "score"
    )


def _opened(verdict: Verdict, said: str) -> str:
    openings = []
    if verdict.on_this_split:
        openings.append("on this split")
    if verdict.peeking_error is not None:
        openings.append(f"after peeking ({_peeking(verdict.candidates, verdict.peeking_error)})")
    if not openings:
        return said
    start = ", ".join(openings)
    return f"{start[0].upper()}{start[1:]}, {said[0].lower()}{said[1:]}"


def _peeking(candidates: int, error: float) -> str:
    if candidates == 1:
        said = f"equal arms are adopted in {percent(error)} of cases"
    else:
        said = (
            f"a candidate that is no better is adopted in {percent(error)} of cases, one of "
            f"{candidates} such in up to {percent(min(1.0, candidates * error))}"
        )
    return f"{said}, not {percent(TOTAL_ERROR)}"


def _adopting(verdict: Verdict) -> str:
    return (
        f"{verdict.metric_name} is better by {_number(verdict.gain)} on average over "
        f"{_material(verdict)}, by at least {_number(verdict.lower)} {_at_level(verdict)}, "
        f"{_against(verdict, 'above')}{_winning(verdict)}"
    )


def _rejecting(verdict: Verdict) -> str:
    return (
        f"{verdict.metric_name} is {_better_or_worse(verdict.gain)} on average over "
        f"{_material(verdict)}, and at best {_better_or_worse(verdict.upper)} "
        f"{_at_level(verdict)}, {_against(verdict, 'below')}{_winning(verdict)}"
    )


def _better_or_worse(gain: float | None) -> str:
    if gain is None or gain == 0:
        return "no better"
    return f"{'better' if gain > 0 else 'worse'} by {significant(abs(gain))}"


def _undecided(verdict: Verdict) -> str:
    gain = "rise" if verdict.direction == "maximize" else "fall"
    seen = (
        f"the {gain} in {verdict.metric_name} is {_number(verdict.gain, signed=True)}, between "
        f"{_number(verdict.lower, signed=True)} and {_number(verdict.upper, signed=True)} "
        f"{_at_level(verdict)}, on both sides of {_margin(verdict)}{_winning(verdict)}"
    )
    if verdict.is_last_look:
        return f"Not shown: the baseline stays; over {_material(verdict)} {seen}."
    following = verdict.schedule.looks[verdict.look_index + 1]
    return f"Undecided after {_material(verdict)}: {seen}; the next look is at {following} pairs."


def _material(verdict: Verdict) -> str:
    if not verdict.paired:
        ours = verdict.candidate_runs - verdict.candidate_failures
        theirs = verdict.baseline_runs - verdict.baseline_failures
        return f"{counted(ours, 'candidate run')} and {counted(theirs, 'baseline run')}"
    seeds = "fresh seeds" if verdict.on_this_split else "fresh seeds and splits"
    finite = "" if verdict.finite_pairs == verdict.pairs else "finite "
    return f"{verdict.finite_pairs} {finite}pairs of {seeds}"


def _at_level(verdict: Verdict) -> str:
    if verdict.candidates > 1:
        shared = f"{significant(verdict.schedule.level)} shared by {verdict.candidates} candidates"
        return f"at a one-sided level of {significant(verdict.level)} ({shared})"
    if len(verdict.schedule.looks) == 1:
        return f"in the {verdict.interval_name}"
    return f"at this look's level ({significant(verdict.level)})"


def _margin(verdict: Verdict) -> str:
    return f"the margin of {significant(verdict.margin)}" if verdict.margin else "zero"


def _against(verdict: Verdict, side: str) -> str:
    return f"{side} {_margin(verdict)}"


def _winning(verdict: Verdict) -> str:
    if verdict.pairs_won is None:
        return ""
    tied = f" and tying {verdict.pairs_tied}" if verdict.pairs_tied else ""
    return f", winning {verdict.pairs_won} of {verdict.finite_pairs} pairs{tied}"


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


def _number(value: float | None, *, signed: bool = False) -> str:
    return "unknown" if value is None else significant(value, signed=signed)
