"""The playbook's checklist of an experiment, from what the rules saw and how it is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from experiments.analysis.curves.practice import record_complete, use_of_test_set
from experiments.analysis.diagnosis import Diagnosis
from experiments.analysis.rules import CHECKLIST, CheckState
from experiments.design.queries.records import AnyExperiment
from experiments.models import TestOpening
from experiments.trials.findings.queries.findings import FindingRow, Findings


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One question, where it stands (a `CheckState`, or "dismissed"), and the reasons in words."""

    question: str
    state: str
    reasons: tuple[str, ...]

    @property
    def words(self) -> str:
        """Its state in words."""
        return {
            CheckState.PASSED: "passed",
            CheckState.NOTICED: "noticed",
            CheckState.WARNED: "warned",
            "dismissed": "dismissed",
        }.get(self.state, "not checkable yet")


@dataclass(frozen=True, slots=True)
class Checklist:
    """All questions in the playbook's order."""

    rows: tuple[CheckRow, ...]

    @property
    def answered(self) -> tuple[CheckRow, ...]:
        return tuple(row for row in self.rows if row.state != CheckState.NOT_CHECKABLE)

    @property
    def unanswered(self) -> tuple[CheckRow, ...]:
        """Those that are not checkable yet."""
        return tuple(row for row in self.rows if row.state == CheckState.NOT_CHECKABLE)

    @property
    def summary(self) -> str:
        """9 passed, 2 warned, 5 not checkable yet."""
        counts: dict[str, int] = {}
        for row in self.rows:
            counts[row.words] = counts.get(row.words, 0) + 1
        order = ("warned", "noticed", "dismissed", "passed", "not checkable yet")
        return ", ".join(f"{counts[words]} {words}" for words in order if words in counts)


def checklist(experiment: AnyExperiment, findings: Findings) -> Checklist:
    """Answer every question by the experiment's own findings. One query."""
    of_experiment = [row for row in findings.rows if not row.trial]
    practice = _practice(experiment)
    return Checklist(
        tuple(_row(question, names, of_experiment, practice) for question, names in CHECKLIST)
    )


def _practice(experiment: AnyExperiment) -> list[Diagnosis]:
    """Checks of the record itself."""
    looked = TestOpening.objects.filter(replication__experiment=experiment.pk).count()
    present = {
        "name": bool(experiment.name),
        "config_link": bool(experiment.config_link or experiment.source),
        "description": bool(experiment.goal),
        "trial_count": experiment.trial_count > 0,
        "best_validation": experiment.best_value is not None,
        "reproduce_command": experiment.best_trial_id is not None and bool(experiment.commit),
    }
    # Test scores open after a verdict only, each opening counted.
    test_set = use_of_test_set(looked, verdict_reached=True)
    if not experiment.trial_count:
        return [test_set]
    return [record_complete(present), test_set]


def _row(
    question: str,
    names: Sequence[str],
    of_experiment: Iterable[FindingRow],
    practice: Iterable[Diagnosis],
) -> CheckRow:
    own = [row for row in of_experiment if row.rule in names]
    checked = [finding for finding in practice if finding.rule in names]
    warned = [row.title for row in own if row.is_warning]
    noticed = [row.title for row in own if row.is_open and not row.is_warning]
    noticed += [finding.title for finding in checked if finding.fired]
    dismissed = [row.title for row in own if row.status == "fired" and row.is_dismissed]
    passed = [row.title for row in own if row.status == "passed"]
    passed += [finding.title for finding in checked if not finding.fired]
    waiting = [row.detail for row in own if row.status == "not_checkable"]
    if warned:
        return CheckRow(question, CheckState.WARNED, (*warned, *noticed))
    if noticed:
        return CheckRow(question, CheckState.NOTICED, tuple(noticed))
    if dismissed:
        return CheckRow(question, "dismissed", tuple(dismissed))
    if passed:
        return CheckRow(question, CheckState.PASSED, tuple(passed[:1]))
    return CheckRow(question, CheckState.NOT_CHECKABLE, tuple(dict.fromkeys(waiting))[:1])
