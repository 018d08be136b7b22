"""Keep what the rules saw, and a person's dismissals."""

from __future__ import annotations

import json
from collections.abc import Iterable

from django.db import connection, transaction
from django.utils import timezone

from experiments.analysis.diagnosis import Diagnosis
from experiments.errors import NotFound, Problem, VerdictError
from experiments.models import Experiment, Finding, TrialReading
from experiments.models.project import Role
from experiments.services.permissions import Person, require

_FIELDS = (
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
    "found_at",
)


def record(
    *, experiment_id: int, diagnoses: Iterable[Diagnosis], trial_id: int | None = None
) -> None:
    """Keep the newest result of each rule on each subject; dismissals stay.

    Results of a rule on subjects that it no longer names are removed unless dismissed.
    """
    now = timezone.now()
    found = [
        Finding(
            experiment_id=experiment_id,
            trial_id=trial_id,
            rule=each.rule,
            subject=each.subject[:260],
            version=each.version,
            status=each.status,
            severity=each.severity,
            title=each.title[:600],
            detail=each.detail,
            meaning=each.meaning,
            advice=each.advice,
            section=each.section[:200],
            action=each.action,
            evidence=json.dumps(dict(each.evidence), allow_nan=False),
            found_at=now,
        )
        for each in diagnoses
    ]
    with transaction.atomic():
        held = Finding.objects.filter(experiment_id=experiment_id)
        held = held.filter(trial__isnull=True) if trial_id is None else held.filter(trial=trial_id)
        kept = {(each.rule, each.subject): each for each in held}
        fresh = {(each.rule, each.subject): each for each in found}
        rules = {rule for rule, _ in fresh}
        gone = [
            each.pk
            for key, each in kept.items()
            if key not in fresh and each.rule in rules and each.dismissed_at is None
        ]
        if gone:
            Finding.objects.filter(pk__in=gone).delete()
        _update(
            (kept[key].pk, each)
            for key, each in fresh.items()
            if key in kept and _differs(each, kept[key])
        )
        Finding.objects.bulk_create(
            [each for key, each in fresh.items() if key not in kept], ignore_conflicts=True
        )


def _differs(one: Finding, other: Finding) -> bool:
    return any(getattr(one, name) != getattr(other, name) for name in _FIELDS[:-1])


def _update(changed: Iterable[tuple[int, Finding]]) -> None:
    """Write rows one by one: Django's bulk update spends most of its time on building SQL."""
    rows = [
        (
            *(getattr(each, name) for name in _FIELDS[:-1]),
            connection.ops.adapt_datetimefield_value(each.found_at),
            pk,
        )
        for pk, each in changed
    ]
    if not rows:
        return
    columns = ", ".join(f"{name} = %s" for name in _FIELDS)
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {Finding._meta.db_table} SET {columns} WHERE id = %s", rows)


def record_trial(
    *, experiment_id: int, trial_id: int, diagnoses: Iterable[Diagnosis], reading: str
) -> None:
    """Keep what the rules saw in a finished trial, and what rules across trials need of it."""
    with transaction.atomic():
        record(experiment_id=experiment_id, trial_id=trial_id, diagnoses=diagnoses)
        TrialReading.objects.update_or_create(trial_id=trial_id, defaults={"document": reading})


def mute_overfitting(*, user: Person, experiment: Experiment, muted: bool) -> None:
    """Say whether overfitting asks for anything here: members of an ensemble may overfit a little.

    What the rule sees is recorded all the same, and stands with a decision's evidence as muted.
    """
    require(user, experiment.project, Role.EDITOR)
    Experiment.objects.filter(pk=experiment.pk).update(mutes_overfitting=muted)


def forget(*, trial_id: int) -> None:
    """Drop what an earlier attempt of a trial showed, but for what a person set aside."""
    Finding.objects.filter(trial_id=trial_id, dismissed_at__isnull=True).delete()


def dismiss(*, user: Person, finding_id: int, reason: str) -> Finding:
    """Set a finding aside, with a reason that becomes part of a decision's evidence.

    Raises:
        VerdictError: without a reason.
        NotFound: for a finding of a project that the user may not see.
    """
    finding = Finding.objects.select_related("experiment__project").filter(pk=finding_id).first()
    if finding is None:
        raise NotFound("There is no such finding.")
    require(user, finding.experiment.project, Role.EDITOR)
    if not reason.strip():
        raise VerdictError(
            "A dismissal needs a reason.", [Problem("reason", "say why this can be set aside")]
        )
    Finding.objects.filter(pk=finding_id).update(
        dismissed_by_id=user.pk, dismissed_at=timezone.now(), dismiss_reason=reason.strip()
    )
    finding.refresh_from_db()
    return finding
