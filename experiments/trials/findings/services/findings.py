"""Keep what the rules saw, and a person's dismissals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain

from django.db import connection
from django.utils import timezone

from experiments.analysis.diagnosis import Diagnosis
from experiments.design.queries.records import AnyExperiment
from experiments.errors import NotFound, Problem, VerdictError
from experiments.models import Experiment, Finding
from experiments.models.project import Role
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services.statements import Statement, execute_batch, locking

# What a rule says; found again the same, it keeps the time when it was found.
_SAID = (
    "version",
    "status",
    "severity",
    "title",
    "detail",
    "meaning",
    "advice",
    "section",
    "action",
    "evidence",
)
_COLUMNS = ("experiment_id", "trial_id", "rule", "subject", *_SAID, "found_at", "dismiss_reason")
# One order for everyone who writes an experiment's own findings: two workers may look at once.
_LOCK = """
SELECT 1 FROM experiments_finding WHERE {held} ORDER BY id FOR UPDATE
"""
_FORGET = """
DELETE FROM experiments_finding WHERE {held} AND dismissed_at IS NULL
AND rule IN ({rules}) AND (rule, subject) NOT IN (VALUES {keys})
"""
_KEEP = f"""
INSERT INTO experiments_finding AS f ({", ".join(_COLUMNS)}) VALUES {{rows}}
ON CONFLICT ({{of}}, rule, subject) WHERE {{which}} DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in (*_SAID, "found_at"))}
WHERE {" OR ".join(f"f.{name} <> excluded.{name}" for name in _SAID)}
"""
_PAID = """
UPDATE experiments_trial SET findings_due = false, metrics_due = false
WHERE id = %s AND (findings_due OR metrics_due)
"""
_READING = """
INSERT INTO experiments_trialreading (trial_id, document) VALUES (%s, %s)
ON CONFLICT (trial_id) DO UPDATE SET document = excluded.document
"""


def record(
    *, experiment_id: int, diagnoses: Iterable[Diagnosis], trial_id: int | None = None
) -> None:
    """Keep the newest result of each rule on each subject; dismissals stay.

    Findings follow from the records, so their commit waits for no disk: lost, they are still due.
    Results of a rule on subjects that it no longer names are removed unless dismissed.
    """
    statements = _keeping(experiment_id, trial_id, diagnoses)
    if statements:
        execute_batch(*statements, waits=False)


def _keeping(
    experiment_id: int, trial_id: int | None, diagnoses: Iterable[Diagnosis]
) -> list[Statement]:
    found = {(diagnosis.rule, diagnosis.subject[:260]): diagnosis for diagnosis in diagnoses}
    if not found:
        return []
    keys = sorted(found)
    rules = sorted({rule for rule, _ in keys})
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    rows = [(experiment_id, trial_id, *key, *_as_row(found[key]), now, "") for key in keys]
    if trial_id is None:
        owner, of, which = "experiment_id = %s AND trial_id IS NULL", "experiment_id", "IS NULL"
        subject = experiment_id
    else:
        owner, of, which = "trial_id = %s", "trial_id", "IS NOT NULL"
        subject = trial_id
    forgetting = _FORGET.format(
        held=owner, rules=_places(len(rules)), keys=", ".join(["(%s, %s)"] * len(keys))
    )
    keeping = _KEEP.format(
        rows=", ".join([f"({_places(len(_COLUMNS))})"] * len(rows)),
        of=of,
        which=f"trial_id {which}",
    )
    locking: list[Statement] = []
    if trial_id is None and connection.vendor == "postgresql":
        locking = [(_LOCK.format(held=owner), [subject])]
    return [
        *locking,
        (forgetting, [subject, *rules, *chain.from_iterable(keys)]),
        (keeping, list(chain.from_iterable(rows))),
    ]


def _as_row(diagnosis: Diagnosis) -> tuple[object, ...]:
    """The columns of `_SAID`."""
    return (
        diagnosis.version,
        diagnosis.status,
        diagnosis.severity,
        diagnosis.title[:600],
        diagnosis.detail,
        diagnosis.meaning,
        diagnosis.advice,
        diagnosis.section[:200],
        diagnosis.action,
        json.dumps(dict(diagnosis.evidence), allow_nan=False),
    )


def _places(count: int) -> str:
    return ", ".join(["%s"] * count)


def record_trial(
    *,
    experiment_id: int,
    trial_id: int,
    diagnoses: Iterable[Diagnosis],
    reading: str,
    summary: Sequence[Statement] = (),
) -> None:
    """Keep what the rules saw in a finished trial, and what rules across trials need of it.

    `summary`: statements that keep the summary of its metrics.
    """
    execute_batch(
        *locking(trial_id=trial_id, experiment_id=experiment_id),
        *summary,
        *_keeping(experiment_id, trial_id, diagnoses),
        (_READING, [trial_id, reading]),
        (_PAID, [trial_id]),
        waits=False,
    )


def mark_derived(*, experiment_id: int, trials: int) -> None:
    """All that is derived from so many finished trials of a search is recorded."""
    Experiment.objects.filter(pk=experiment_id, derived_count__lt=trials).update(
        derived_count=trials
    )


def mark_owed(*, experiment_id: int) -> None:
    """A trial's findings come late: what was derived from all trials lacked them."""
    Experiment.objects.filter(pk=experiment_id).update(derived_count=0)


def mute_overfitting(*, access: Access, experiment: AnyExperiment, muted: bool) -> None:
    """Say whether overfitting asks for anything here: members of an ensemble may overfit a little.

    What the rule sees is recorded all the same, and stands with a decision's evidence as muted.
    """
    access.require(Role.EDITOR, experiment)
    Experiment.objects.filter(pk=experiment.pk).update(mutes_overfitting=muted)


def forget(*, trial_id: int) -> None:
    """Drop what an earlier attempt of a trial showed, but for what a person dismissed."""
    Finding.objects.filter(trial_id=trial_id, dismissed_at__isnull=True).delete()


def dismiss(*, access: Access, finding_id: int, reason: str, everywhere: bool = False) -> Finding:
    """Dismiss a finding with a reason that becomes part of a decision's evidence.

    `everywhere`: with all that its rule warns of in the search's trials, one finding together.

    Raises:
        VerdictError: without a reason.
        NotFound: for a finding of a project that the user may not see.
    """
    finding = Finding.objects.select_related("experiment__project").filter(pk=finding_id).first()
    if finding is None:
        raise NotFound("There is no such finding.")
    access.require(Role.EDITOR, finding.experiment)
    if not reason.strip():
        raise VerdictError(
            "A dismissal needs a reason.", [Problem("reason", "say why this does not matter here")]
        )
    found = [finding_id]
    if everywhere:
        alike = Finding.objects.of_search().filter(experiment=finding.experiment)
        found += alike.filter(rule=finding.rule).values_list("pk", flat=True)
    Finding.objects.filter(pk__in=found).update(
        dismissed_by=access.user, dismissed_at=timezone.now(), dismiss_reason=reason.strip()
    )
    finding.refresh_from_db()
    return finding
