"""The verdict as a record: what the replicates say, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from experiments.analysis.seeds.guards import GuardResult
from experiments.analysis.seeds.looks import Schedule
from experiments.analysis.seeds.replication import Direction
from experiments.analysis.seeds.skew import Skew
from experiments.analysis.seeds.validity import Invalidity

Outcome = Literal["adopt", "reject", "undecided", "none"]

# Of the record. 1: `gain` is the mean, `lower` and `upper` the bounds that decide, guards pass by
# their mean. 2: as described below. Frozen decisions keep the version that they were made with.
VERSION = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything a page or a frozen decision needs; plain numbers and strings only.

    `outcome`: "adopt", "reject", "undecided", or "none" when there is nothing to judge (`reason`
    says why and the measured fields are None). `tested`: the outcome of the interval alone,
    before `blocked_by`, the reasons that forbid an adopt, is heard.
    `gain`, `lower`, `upper`: estimated gain and its confidence interval in the metric's unit,
    positive when the candidate is better, whichever the direction; after one of several looks the
    median-unbiased estimate and interval of the sequential design. `interval_name` names it, e.g.
    "95 % CI". `mean_gain`: the plain mean of what ran. `gain_given_adopt`: of an adopt, the gain
    that allows for having been selected by it, else None. `deciding_lower`, `deciding_upper`: the
    bounds of the two one-sided tests at `level`; with a single look they are `lower`, `upper`.
    `pairs`: replicates of the smaller arm at this look, of which `finite_pairs` were tested;
    `looks`: those declared and those taken after the last; `due`: pairs this one is made of.
    `candidate_failures`, `baseline_failures`: runs without a
    finite score. `won_share`: share of pairs won, ties counted half (unpaired: of all crossings,
    and `pairs_won`, `pairs_tied` are None).
    `retrospective`: the runs existed before they were compared.
    `unfair`: why the sides were not given the same chance, in words. `invalid`: in what they ran
    differently, each with its repair; then there is no verdict.
    `peeking_error`: the rate of wrong adopts of this candidate after looks beyond the schedule,
    else None.
    """

    metric_name: str
    direction: Direction
    margin: float
    paired: bool
    on_this_split: bool
    candidates: int
    schedule: Schedule
    looks: tuple[int, ...]
    look_index: int
    due: int
    is_last_look: bool
    level: float
    interval_name: str
    peeking_error: float | None
    resolution: float | None
    resolution_name: str
    guards: tuple[GuardResult, ...]
    retrospective: bool = False
    unfair: tuple[str, ...] = ()
    invalid: tuple[Invalidity, ...] = ()
    cautions: tuple[Invalidity, ...] = ()
    pairs: int = 0
    candidate_runs: int = 0
    baseline_runs: int = 0
    candidate_failures: int = 0
    baseline_failures: int = 0
    outcome: Outcome = "none"
    tested: Outcome = "none"
    reason: str = ""
    sentence: str = ""
    notes: tuple[str, ...] = ()
    blocked_by: tuple[str, ...] = ()
    finite_pairs: int = 0
    gain: float | None = None
    lower: float | None = None
    upper: float | None = None
    mean_gain: float | None = None
    gain_given_adopt: float | None = None
    deciding_lower: float | None = None
    deciding_upper: float | None = None
    p_adopt: float | None = None
    p_reject: float | None = None
    pairs_won: int | None = None
    pairs_tied: int | None = None
    won_share: float | None = None
    gain_in_resolutions: float | None = None
    skew: Skew | None = None
    version: int = VERSION

    @property
    def may_continue(self) -> bool:
        """Test whether the schedule has a next look: only an undecided verdict leads on to it."""
        return self.outcome == "undecided" and not self.is_last_look
