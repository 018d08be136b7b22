"""Follow-up files that extend, narrow, exploit or clone an experiment.

Each proposal is the older file with some places changed, or the reason why it must not be made.
Source: Tuning Playbook, "Identifying bad search space boundaries" and "After exploration
concludes".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.design.document import experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.follow_ups import followup_changes as changes_of
from experiments.design.follow_ups import followup_remedies as remedies
from experiments.design.follow_ups.experiment_changes import (
    Change,
    Difference,
    differences,
    with_changes,
)
from experiments.design.follow_ups.followup_changes import Asked, Followup
from experiments.design.follow_ups.space_limits import refusals
from experiments.design.queries.experiments import free_name
from experiments.design.queries.exploration import Exploration, explored
from experiments.design.queries.records import AnyExperiment
from experiments.errors import InvalidExperiment, Problem

__all__ = ["FOLLOWUPS", "Followup", "Proposal", "against_older", "propose"]


FOLLOWUPS: Mapping[str, Followup] = {
    "extend": Followup("Extend", "the same question in a wider space", "wider", changes_of.extend),
    "narrow": Followup(
        "Narrow", "more points where the best trials lie", "narrower", changes_of.narrow
    ),
    "exploit": Followup(
        "Exploit", "Bayesian search in the settled space", "exploit", changes_of.exploit
    ),
    "clone": Followup("Clone", "the same file for a new question", "2", changes_of.clone),
    "run_longer": Followup(
        "Run longer", "the same with twice the length", "longer", remedies.longer
    ),
    "run_shorter": Followup(
        "Run shorter", "the same with half the length", "shorter", remedies.shorter
    ),
    "add_dropout": Followup(
        "Add dropout", "the same with dropout searched", "dropout", remedies.dropout
    ),
    "add_warmup": Followup(
        "Add warm-up", "the same with warm-up searched", "warmup", remedies.warmup
    ),
    "add_clipping": Followup(
        "Add clipping", "with clipping searched", "clipping", remedies.clipping
    ),
    "lower_learning_rate": Followup(
        "Lower the learning rate", "the lower half of its range", "lower-rate", remedies.lower_rate
    ),
    "more_trials": Followup("More trials", "the same space, other points", "more", remedies.more),
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A follow-up as a file to look at: `text` is empty when it is `refused`, with the reason."""

    kind: str
    name: str
    text: str
    differences: tuple[Difference, ...]
    why: str
    refused: str = ""


def propose(
    older: AnyExperiment,
    kind: str,
    *,
    hyperparameter: str = "",
    edge: str = "",
    evidence: Mapping[str, Any] | None = None,
    changes: Sequence[Change] = (),
    exploration: Exploration | None = None,
) -> Proposal:
    """Make the file of an experiment that follows `older`; nothing is written.

    Args:
        kind: one of `FOLLOWUPS`: extend, narrow, exploit, clone, and the remedies of findings
            (run_longer, run_shorter, add_dropout, add_warmup, add_clipping,
            lower_learning_rate, more_trials), named as the `action` of their rule.
        hyperparameter, edge: which end ("low", "high") to extend by hand, or what to narrow.
        evidence: of the finding that asks for it; its suggested limits are taken.
        changes: further places to change, after those of the kind.
        exploration: what `explored` said of `older`, if it is at hand.

    Raises:
        InvalidExperiment: when `older` has no file, or the kind is unknown.
    """
    if kind not in FOLLOWUPS:
        known = ", ".join(FOLLOWUPS)
        raise InvalidExperiment(
            "There is no such follow-up.", [Problem("follow", f"found {kind!r}, expected {known}")]
        )
    file = experiment_file.stored(older.document)
    seen = exploration or explored(older)
    asked = Asked(file, older, seen, hyperparameter, edge, evidence or {})
    made = FOLLOWUPS[kind].make(asked)
    name = _free_name(older, FOLLOWUPS[kind].suffix)
    if made.refused:
        return Proposal(kind, name, "", (), made.why, made.refused)
    text = with_changes(
        older.source,
        [*made.changes, *changes],
        name=name,
        extends=older.name,
    )
    try:
        newer = experiment_file.parse(text)
    except InvalidExperiment as error:
        wrong = "; ".join(str(problem) for problem in error.problems)
        return Proposal(kind, name, "", (), made.why, f"The file would not be valid: {wrong}.")
    forbidden = " ".join(problem.message for problem in refusals(file, newer, seen))
    if forbidden:
        return Proposal(kind, name, "", (), made.why, forbidden)
    return Proposal(kind, name, text, differences(file, newer), made.why)


def against_older(older: AnyExperiment, newer: ExperimentFile) -> list[Problem]:
    """Reasons against an experiment that extends `older`; empty when there are none.

    A range must not pass a natural limit of the older one, nor an edge beyond which training
    failed; Bayesian search takes over from exploration only when the space is settled.
    """
    file = experiment_file.stored_or_none(older.document)
    return refusals(file, newer, explored(older)) if file else []


def _free_name(older: AnyExperiment, suffix: str) -> str:
    """The older name with the suffix, numbered when it is taken."""
    wanted = older.name if suffix.isdigit() else f"{older.name[:180]}-{suffix}"
    return free_name(older.project_id, wanted)
