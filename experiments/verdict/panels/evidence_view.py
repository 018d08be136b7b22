"""Evidence as pages show it: the same from a live replication and from a frozen decision.

Everything is read from the plain document that a decision freezes, so a decided page can never
show more, or anything else, than what was known when it was decided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.seeds import Arm, IntervalPlot, SeedsPlot
from experiments.design.space.search_space import show
from experiments.web.formatting import duration, megabytes, number, score, signed

SIDES = ("candidate", "baseline")
SEEDS = ("train_seed", "split_seed")
PURPOSES = {
    "training seed": "training_seed",
    "data split": "split_seed",
    "search seed": "search_seed",
}


@dataclass(frozen=True, slots=True)
class PairRow:
    """One pair; scores are None while a replicate is open, NaN where it failed."""

    pair: int
    train_seed: int | str | None  # text for sides that ran under seeds of their own
    split_seed: int | str | None
    candidate: float | None
    baseline: float | None
    gain: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """A hyperparameter whose value differs between the two configurations."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a small table: what, before or measured, after."""

    name: str
    value: str
    note: str = ""
    purpose: str = ""  # of a measurement that is missing


@dataclass(frozen=True, slots=True)
class GuardRow:
    """A guard metric before and after, compared with its limit.

    `status`: passed, not shown or broken; "kept" in decisions from when its mean was judged.
    """

    name: str
    value: str
    limit: str
    status: str
    note: str


@dataclass(frozen=True, slots=True)
class EvidencePage:
    """A document with what is derived from it for showing."""

    document: Mapping[str, Any]
    pairs: Sequence[PairRow]
    changes: Sequence[Change]
    sources: Sequence[Row]
    costs: Sequence[Row]
    guards: Sequence[GuardRow]
    test: Sequence[Row]
    varied: str
    bounds: str
    seeds: SeedsPlot | None
    interval: IntervalPlot | None
    luck: str
    spread_note: str
    best_note: str

    @property
    def own_seeds(self) -> bool:
        """Test whether the sides of some pair ran under different seeds."""
        return _are_samples(self.document) or any(
            isinstance(seed, str)
            for row in self.pairs
            for seed in (row.train_seed, row.split_seed)
        )

    @property
    def verdict(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.document.get("verdict") or {}
        return found

    @property
    def retrospective(self) -> bool:
        """Test whether the runs existed before they were compared."""
        return bool(self.document.get("retrospective"))

    @property
    def to_repeat(self) -> int:
        """Number of replicates that make the comparison invalid and can be repeated."""
        return self._count("invalid")

    @property
    def to_run_as_declared(self) -> int:
        """Number of replicates that ran other code than declared in a valid comparison."""
        return self._count("cautions")

    def _count(self, kind: str) -> int:
        found = self.verdict.get(kind) or ()
        return len({trial for finding in found for trial in finding.get("repeat", ())})

    @property
    def outcome(self) -> str:
        """adopt, reject or undecided; empty without a verdict."""
        outcome = str(self.verdict.get("outcome", ""))
        return "" if outcome == "none" else outcome

    @property
    def look_words(self) -> str:
        """Look 1 of 3, 10 pairs."""
        looks = self.document.get("looks") or []
        if self.document.get("extra_looks"):
            extra = self.document["pairs"] - looks[-1]
            return f"after peeking: {extra} extra pairs beyond the last look at {looks[-1]}"
        look = self.document.get("look") or 0
        if not looks or not 0 < look <= len(looks):
            return ""
        return f"look {look} of {len(looks)}, {looks[look - 1]} pairs"

    @property
    def extra_pairs(self) -> int:
        """From which pair on seeds are extra, asked for after the last declared look; 0: none."""
        looks = self.document.get("looks") or [0]
        return int(looks[-1]) if self.document.get("extra_looks") else 0


def evidence_page(document: Mapping[str, Any], *, judged: bool = True) -> EvidencePage:
    """Derive what a page shows. `judged` False: only the seeds, as between two looks."""
    pairs = _pairs(document)
    decided = judged and bool(document.get("verdict"))
    return EvidencePage(
        document=document if decided else {**document, "verdict": None, "selection": None},
        pairs=pairs,
        changes=_changes(document),
        sources=_sources(document, pairs, decided),
        costs=_costs(document),
        guards=_guards(document) if decided else (),
        test=_test(document) if decided else (),
        varied=_varied(document),
        bounds=", ".join(
            f"{name} {show(value)}" for name, value in (document.get("bounds") or {}).items()
        ),
        seeds=_seeds(document, pairs, decided) if pairs else None,
        interval=_interval(document) if decided else None,
        luck=_luck(document) if decided else "",
        spread_note=_spread_note(document) if decided else "",
        best_note=_best_note(document) if decided else "",
    )


def real(value: object) -> float | None:
    """A number of the document; text such as "nan" becomes NaN."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    return math.nan if isinstance(value, str) else None


def _pairs(document: Mapping[str, Any]) -> list[PairRow]:
    sides = document.get("replicates") or {}
    by_pair: dict[int, dict[str, Mapping[str, Any]]] = {}
    for side in SIDES:
        for run in sides.get(side, []):
            by_pair.setdefault(int(run["pair"]), {})[side] = run
    sign = -1.0 if document.get("direction") == "minimize" else 1.0
    samples = _are_samples(document)
    rows = []
    for pair, runs in sorted(by_pair.items()):
        ours, theirs = (real(runs.get(side, {}).get("score")) for side in SIDES)
        both = [runs[side] for side in SIDES if side in runs]
        paired = not samples and all(
            one.get(seed) == both[0].get(seed) for one in both for seed in SEEDS
        )
        gain = None if ours is None or theirs is None or not paired else sign * (ours - theirs)
        train, split = (_of_both([one.get(seed) for one in both]) for seed in SEEDS)
        rows.append(PairRow(pair + 1, train, split, ours, theirs, gain))
    return rows


def _are_samples(document: Mapping[str, Any]) -> bool:
    """Test whether the sides are runs that existed and have no seeds in common."""
    verdict = document.get("verdict") or {}
    return bool(document.get("retrospective")) and not verdict.get("paired", True)


def _of_both(seeds: Sequence[int | None]) -> int | str | None:
    """The seed of a pair; of sides that ran under seeds of their own, candidate's / baseline's."""
    different = list(dict.fromkeys(seeds))
    return (
        different[0]
        if len(different) == 1
        else " / ".join("\N{EN DASH}" if seed is None else str(seed) for seed in different)
    )


def _changes(document: Mapping[str, Any]) -> list[Change]:
    ours, theirs = (dict((document.get(side) or {}).get("parameters") or {}) for side in SIDES)
    names = [*theirs, *(name for name in ours if name not in theirs)]
    return [
        Change(
            name,
            show(theirs[name]) if name in theirs else "absent",
            show(ours[name]) if name in ours else "absent",
        )
        for name in names
        if ours.get(name) != theirs.get(name) or (name in ours) is not (name in theirs)
    ]


def _column(pairs: Sequence[PairRow], side: str) -> NDArray[np.float64]:
    values = [row.candidate if side == "candidate" else row.baseline for row in pairs]
    return np.array([math.nan if value is None else value for value in values])


def _seeds(document: Mapping[str, Any], pairs: Sequence[PairRow], decided: bool) -> SeedsPlot:
    selection = document.get("selection") or {}
    arms = {}
    for side in SIDES:
        scores = _column(pairs, side)
        finite = scores[np.isfinite(scores)]
        words = _only_change(document, side)
        mean = low = high = None
        if decided and finite.size > 1:
            mean, spread = float(finite.mean()), float(finite.std(ddof=1))
            low, high = mean - spread, mean + spread
        tuning = real(selection.get("tuning_score")) if side == "candidate" else None
        arms[side] = Arm(side, words, scores, mean, low, high, tuning if decided else None)
    return SeedsPlot(
        arms["candidate"],
        arms["baseline"],
        metric=str(document.get("metric", "score")),
        fresh=not document.get("retrospective"),
    )


def _only_change(document: Mapping[str, Any], side: str) -> str:
    """The single hyperparameter that sets this side apart, where there is one."""
    changes = _changes(document)
    if len(changes) != 1:
        return ""
    return f"{changes[0].name} {changes[0].after if side == 'candidate' else changes[0].before}"


def _interval(document: Mapping[str, Any]) -> IntervalPlot | None:
    verdict = document.get("verdict") or {}
    ends = [real(verdict.get(key)) for key in ("gain", "lower", "upper")]
    if any(end is None or not math.isfinite(end) for end in ends):
        return None
    gain, lower, upper = (float(end) for end in ends if end is not None)
    return IntervalPlot(
        gain=gain,
        lower=lower,
        upper=upper,
        margin=float(verdict.get("margin") or 0.0),
        unit=str(document.get("metric", "the metric")),
    )


def _luck(document: Mapping[str, Any]) -> str:
    selection = document.get("selection") or {}
    tuning, above = real(selection.get("tuning_score")), real(selection.get("deviations_above"))
    if tuning is None or above is None or not math.isfinite(above):
        return ""
    where = "better" if above >= 0 else "worse"
    return (
        f"Tuning score of the search (not counted): {score(tuning)}, "
        f"{number(round(abs(above), 1))} SD {where} than the mean of its fresh seeds."
    )


def _spread_note(document: Mapping[str, Any]) -> str:
    sources = document.get("sources_of_variance") or {}
    return str(sources.get("text", "")) if sources.get("measured") else ""


def _sources(document: Mapping[str, Any], pairs: Sequence[PairRow], decided: bool) -> list[Row]:
    rows = []
    for side in SIDES if decided else ():
        scores = _column(pairs, side)
        finite = scores[np.isfinite(scores)]
        if finite.size > 1:
            deviation = score(float(finite.std(ddof=1)))
            rows.append(Row(f"seed and split together, {side}", deviation, f"{finite.size} pairs"))
    sources = document.get("sources_of_variance") or {}
    for source in sources.get("measured", []):
        rows.append(
            Row(
                f"{source['source']} alone",
                score(real(source["sd"])),
                source.get("measured_by", ""),
            )
        )
    for name in sources.get("not_measured", []):
        rows.append(Row(f"{name} alone", "not measured", purpose=PURPOSES.get(name, "")))
    return rows


def _costs(document: Mapping[str, Any]) -> list[Row]:
    costs = document.get("costs") or {}
    ours, theirs = (costs.get(side) or {} for side in SIDES)
    rows = []
    for title, key, words in (
        ("training time", "seconds", duration),
        ("peak memory", "peak_memory_mb", megabytes),
    ):
        if ours.get(key) is not None or theirs.get(key) is not None:
            value = f"{words(real(theirs.get(key)))} → {words(real(ours.get(key)))}"
            rows.append(Row(title, value))
    rows.append(Row("margin to earn", number(real(document.get("margin")) or 0)))
    return rows


def _guards(document: Mapping[str, Any]) -> list[GuardRow]:
    rows = []
    for guard in document.get("guards") or []:
        ours = guard.get("candidate_mean", guard.get("mean"))  # the latter before version 2
        before, after = (number(real(value)) for value in (guard.get("baseline_mean"), ours))
        measured, runs = guard.get("measured", 0), guard.get("replicates", 0)
        notes = [] if measured == runs else [f"measured in {measured} of {runs} replicates"]
        shown, level = real(guard.get("shown")), real(guard.get("level"))
        if shown is not None and level is not None:
            notes.append(f"{number(100 * (1 - level))} % bound {number(shown)}")
        status = guard.get("status") or ("broken" if guard["broken"] else "kept")
        limit = f"{guard['bound']} {number(real(guard['limit']))}"
        rows.append(
            GuardRow(
                guard["name"],
                f"{before or '?'} → {after or '?'}",
                limit,
                status,
                ", ".join(notes),
            )
        )
    return rows


def _varied(document: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{parameter['name']} ({parameter['role']}: {parameter['values']})"
        for parameter in document.get("varied") or []
    )


def _best_note(document: Mapping[str, Any]) -> str:
    best = document.get("best_evaluation") or {}
    ours, theirs = (real(best.get(side)) for side in SIDES)
    if ours is None or theirs is None:
        return ""
    return (
        f"Best-checkpoint means: {score(theirs)} → {score(ours)} (biased; not used for the "
        "verdict)."
    )


def _test(document: Mapping[str, Any]) -> list[Row]:
    test = document.get("test")
    if not test:
        return []
    means = f"{score(real(test['baseline_mean']))} → {score(real(test['candidate_mean']))}"
    opened = f"opened {test['openings']} {'time' if test['openings'] == 1 else 'times'}"
    rows = [Row(test["metric"], means, opened)]
    gains = test.get("gains")
    if gains:
        gains_text = f"{signed(real(gains['dev_gain']))}, {signed(real(gains['test_gain']))}"
        rows.append(Row("gain on validation, on test", gains_text))
        ratio = real(gains.get("ratio"))
        if ratio is not None:
            rows.append(Row("of the gain is there on the test set", f"{100 * ratio:.0f} %"))
    return rows
