"""Validity of a comparison, checked before its verdict.

As in online experimentation, where a sample-ratio mismatch voids a test whatever its p-value
(Kohavi, Tang and Xu, "Trustworthy Online Controlled Experiments", 2020, chapter 21): sides that
did not run alike are not compared, and what would make them alike is offered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy

from experiments.analysis.number_formats import counted, listed

Kind = Literal["pairs", "evaluations", "code", "data", "hardware"]

# Replicates find their nodes by chance: below this a class that one side met more often is none.
HARDWARE_LEVEL = 0.01


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Conditions of one finished replicate; "" and None where they are not known.

    `code` ran, and `declared_code` was to run. `evaluations`: how often it evaluated the official
    metric; None for one that diverged.
    `hardware`: class of the device and the processor that it ran on.
    """

    trial: int
    code: str = ""
    data: str = ""
    hardware: str = ""
    evaluations: int | None = None
    declared_code: str = ""

    @property
    def is_as_declared(self) -> bool:
        return not self.code or not self.declared_code or self.code == self.declared_code


@dataclass(frozen=True, slots=True)
class Invalidity:
    """Reason that two sides may not be compared, and its remedy.

    `repeat`: the trials whose replication with the same seeds would. One that does not `block`
    leaves the comparison valid, and is to be known beside it.
    """

    kind: Kind
    text: str
    repair: str
    repeat: tuple[int, ...] = ()
    blocks: bool = True


def check_validity(
    candidate: Sequence[RunFacts],
    baseline: Sequence[RunFacts],
    *,
    code_differs: bool = False,
    data_differ: bool = False,
    samples: bool = False,
) -> tuple[Invalidity, ...]:
    """Everything in which the finished replicates of two sides ran differently.

    `code_differs`, `data_differ`: that the sides run other code, or on other data, is what the
    experiment asks; each side must still be of one piece. Sides that were declared with different
    code, and ran it, differ as asked. `samples`: the sides are no pairs, so their numbers may
    differ.
    """
    found = [
        *_code(candidate, baseline, code_differs),
        None if samples else _unequal_pairs(candidate, baseline),
        _evaluations(candidate, baseline),
        _one_value("data", candidate, baseline, apart=data_differ),
        _hardware(candidate, baseline),
    ]
    return tuple(problem for problem in found if problem is not None)


def _code(
    candidate: Sequence[RunFacts], baseline: Sequence[RunFacts], differs: bool
) -> list[Invalidity | None]:
    """Replicates of code other than their configuration's; without any, other code than the rest.

    A candidate would be adopted for what never ran. A baseline may be compared in other code as
    long as both sides ran the same.
    """
    everything = [*candidate, *baseline]
    is_mixed = len({run.code for run in everything if run.code}) > 1
    found = [
        _other_than_declared("candidate", candidate, blocks=True),
        _other_than_declared("baseline", baseline, blocks=is_mixed),
    ]
    if any(found):
        return found
    as_declared = all(run.code and run.declared_code for run in everything)
    return [_one_value("code", candidate, baseline, apart=differs or as_declared)]


def _other_than_declared(
    side: str, runs: Sequence[RunFacts], *, blocks: bool
) -> Invalidity | None:
    others = [run for run in runs if not run.is_as_declared]
    if not others:
        return None
    ran = listed([_short(code) for code in dict.fromkeys(run.code for run in others)])
    declared = _short(others[0].declared_code)
    return Invalidity(
        "code",
        f"{counted(len(others), 'replicate')} of the {side} ran other code than declared "
        f"(declared {declared}, ran {ran})",
        f"Start a worker with the code {declared} and repeat the {side}'s replicates.",
        tuple(run.trial for run in others),
        blocks,
    )


def _unequal_pairs(
    candidate: Sequence[RunFacts], baseline: Sequence[RunFacts]
) -> Invalidity | None:
    ours, theirs = len(candidate), len(baseline)
    if ours == theirs:
        return None
    side = "candidate" if ours < theirs else "baseline"
    missing = counted(abs(ours - theirs), "replicate")
    return Invalidity(
        "pairs",
        f"the candidate has {ours} finished replicates and the baseline {theirs}",
        f"Run {missing} more of the {side}, with the seeds that it lacks.",
    )


def _evaluations(candidate: Sequence[RunFacts], baseline: Sequence[RunFacts]) -> Invalidity | None:
    runs = [run for run in (*candidate, *baseline) if run.evaluations is not None]
    counts = Counter(run.evaluations for run in runs)
    if len(counts) < 2:
        return None
    sides = [
        listed(sorted({str(run.evaluations) for run in side if run.evaluations is not None}))
        for side in (candidate, baseline)
        if any(run.evaluations is not None for run in side)
    ]
    usual = max(counts, key=lambda count: (counts[count], count or 0))
    others = tuple(run.trial for run in runs if run.evaluations != usual)
    return Invalidity(
        "evaluations",
        f"the metric was not evaluated equally often ({' against '.join(dict.fromkeys(sides))} "
        "times)",
        "Evaluate as often on both sides, and repeat the replicates that differ.",
        others,
    )


def _one_value(
    kind: Literal["code", "data"],
    candidate: Sequence[RunFacts],
    baseline: Sequence[RunFacts],
    *,
    apart: bool,
) -> Invalidity | None:
    """Tell whether code or data changed among replicates that should share them."""
    groups = [candidate, baseline] if apart else [[*candidate, *baseline]]
    repeat: list[int] = []
    seen: list[str] = []
    for group in groups:
        known = [(run.code if kind == "code" else run.data, run.trial) for run in group]
        known = [entry for entry in known if entry[0]]
        values = dict.fromkeys(value for value, _ in known)
        if len(values) > 1:
            newest = max(known, key=lambda entry: entry[1])[0]
            repeat += [trial for value, trial in known if value != newest]
            seen += [_short(value) for value in values]
    if not repeat:
        return None
    noun = "code" if kind == "code" else "data"
    return Invalidity(
        kind,
        f"the replicates ran {'with' if kind == 'code' else 'on'} different {noun} "
        f"({listed(list(dict.fromkeys(seen)))})",
        f"Repeat the replicates that ran {'with' if kind == 'code' else 'on'} earlier {noun}.",
        tuple(repeat),
    )


def _hardware(candidate: Sequence[RunFacts], baseline: Sequence[RunFacts]) -> Invalidity | None:
    sides = [
        Counter(run.hardware for run in side if run.hardware) for side in (candidate, baseline)
    ]
    ours, theirs = sides
    if not ours or not theirs:
        return None
    classes = list(dict.fromkeys([*ours, *theirs]))
    if set(ours) & set(theirs) and not _unbalanced(ours, theirs, classes):
        return None
    common = max(
        classes,
        key=lambda device_class: (
            min(ours[device_class], theirs[device_class]) * 1000 + theirs[device_class]
        ),
    )
    repeat = tuple(
        run.trial for run in (*candidate, *baseline) if run.hardware and run.hardware != common
    )
    on = [f"{counted(count, 'run')} on {name}" for side in sides for name, count in side.items()]
    return Invalidity(
        "hardware",
        f"the sides ran on different hardware (candidate {listed(on[: len(ours)])}; baseline "
        f"{listed(on[len(ours) :])})",
        f"Repeat the replicates that did not run on {common}, with workers on it alone.",
        repeat,
    )


def _unbalanced(ours: Counter[str], theirs: Counter[str], classes: Sequence[str]) -> bool:
    """Test whether some class met one side clearly more often than chance sends it there."""
    level = HARDWARE_LEVEL / len(classes)
    for name in classes:
        table = np.array([[side[name], side.total() - side[name]] for side in (ours, theirs)])
        if float(scipy.stats.fisher_exact(table).pvalue) < level:
            return True
    return False


def _short(value: str) -> str:
    return value[:10] if len(value) >= 40 else value
