"""Verification of a decision log: nothing altered, removed or moved."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from django.db import connection
from django.db.models import Count, QuerySet

from experiments.design.configuration import digest
from experiments.errors import Conflict, Problem
from experiments.models import Configuration, Decision, Project
from experiments.models.decision import CHAMPION_CHOICES
from experiments.team.queries.access import Access
from experiments.verdict.decision_chain import first_previous_hash, sign, signed_fields
from experiments.verdict.queries.noted_heads import (
    Head,
    NotedHead,
    note_head,
    noted_heads,
)

VERIFIED_SECONDS = (
    30.0  # how long a verified log is believed while its small columns stay the same
)
_COLUMNS = (
    *("pk", "project_id", "target", "sequence", "choice", "experiment_id", "replication_id"),
    *("candidate_id", "baseline_id", "verdict", "overrides_verdict", "decided_by_id"),
    *("decided_by_name", "decided_at", "previous_hash", "hash"),
)
_columns_of = attrgetter(*_COLUMNS)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckedLog:
    """A project's log after the check; `problems` is empty when the chain holds.

    `hashes` in the order of the entries; `champions`: by target the id of the decision that made
    the present one.
    """

    hashes: tuple[str, ...]
    champions: Mapping[str, int]
    problems: tuple[str, ...]

    @property
    def head(self) -> Head:
        return Head(len(self.hashes), self.hashes[-1] if self.hashes else "")


_verified: dict[int, tuple[str, float, CheckedLog]] = {}  # by project: fingerprint, when, log


def intact_log(project: Project, *, cached: bool = True) -> CheckedLog:
    """The log of a project, verified as a whole; champions and answers rest on it.

    Raises:
        Conflict: when it was altered; the problems name the decisions at fault.
    """
    checked = check_log(project.pk, project.slug, cached=cached)
    if checked.problems:
        raise broken_log(project.slug, checked.problems)
    return checked


def broken_log(slug: str, problems: Iterable[str]) -> Conflict:
    """Conflict for a log that was altered."""
    found = tuple(problems)
    _logger.error("the decision log of %s was altered: %s", slug, "; ".join(found))
    return Conflict(
        f"The decision log of {slug} was altered: {found[0]}. Keep what is deployed, "
        "and let the operator run verdict decisions verify.",
        [Problem("log", problem) for problem in found],
    )


def check_log(project_id: int, slug: str, *noted: Head, cached: bool = False) -> CheckedLog:
    """Walk a project's chain from its first decision.

    Every alteration, removal and reordering shows; that of the newest entries against the head
    that this node noted while they were there, or one that was told (`noted`). `cached`: a chain
    that was walked within `VERIFIED_SECONDS` is not walked again while no column but reason and
    evidence differs.
    """
    own = noted_heads().get(project_id)  # first: a decision may be made while the rows are read
    cached_log = _cached([project_id]).get(project_id) if cached else None
    return _compared(project_id, slug, cached_log or walked_log(project_id), own, noted)


def check_logs(projects: Mapping[int, str]) -> dict[int, CheckedLog]:
    """Check the logs of projects, slugs by id, as `check_log` with `cached` does each.

    At most two queries, however many they are.
    """
    own = noted_heads()  # first, as in `check_log`
    logs = _cached(projects)
    rows: dict[int, list[Decision]] = {pk: [] for pk in projects if pk not in logs}
    if rows:
        for row in _decisions().filter(project__in=rows):
            rows[row.project_id].append(row)
    logs |= {pk: _walked(pk, some) for pk, some in rows.items()}
    return {pk: _compared(pk, slug, logs[pk], own.get(pk), ()) for pk, slug in projects.items()}


def _compared(
    project_id: int, slug: str, checked: CheckedLog, own: NotedHead | None, noted: Sequence[Head]
) -> CheckedLog:
    """A log compared with the heads that it has to contain: `own` of this node, read before it."""
    problems = list(checked.problems)
    if own is not None:
        problems += _against(own.head, checked.hashes)
        if own.slug != slug:
            problems.append(f"the project was called {own.slug} when its head was noted")
    for head in noted:
        problems += _against(head, checked.hashes)
    if not problems and not connection.in_atomic_block:
        note_head(project_id, slug, checked.head)
    return replace(checked, problems=tuple(problems))


def log_problems(access: Access, *, cached: bool = True) -> tuple[str, ...]:
    """Problems of a project's log, for its pages; empty when the chain holds."""
    return check_log(access.project_id, access.slug, cached=cached).problems


def note_heads() -> None:
    """Check every log and note its head on this node."""
    slugs = dict(Project.objects.order_by("pk").values_list("pk", "slug"))
    for project_id, checked in check_logs(slugs).items():
        if checked.problems:  # said in the log; whoever reads it is refused
            broken_log(slugs[project_id], checked.problems)


def cut_logs() -> list[str]:
    """Logs that lack the head noted here: a line each. Two queries, whatever their length."""
    noted = noted_heads()
    counts = dict(
        Decision.objects.filter(project__in=noted)
        .values_list("project_id")
        .annotate(Count("pk"))
        .order_by()
    )
    heads = Decision.objects.filter(hash__in=[log.head.hash for log in noted.values()])
    there = set(heads.values_list("project_id", "hash"))
    return [
        f"{log.slug}: {_cut(log, counts.get(pk, 0))}"
        for pk, log in noted.items()
        if counts.get(pk, 0) < log.head.count or (pk, log.head.hash) not in there
    ]


def _cut(noted: NotedHead, count: int) -> str:
    return (
        f"the log has {count} entries and lacks the head that was noted here, "
        f"{noted.head.count}:{noted.head.hash}"
    )


def _cached(project_ids: Iterable[int]) -> dict[int, CheckedLog]:
    """Logs that were walked lately and whose small columns are the same. At most one query."""
    since = time.monotonic() - VERIFIED_SECONDS
    fresh = {
        pk: _verified[pk] for pk in project_ids if pk in _verified and _verified[pk][1] > since
    }
    if not fresh:
        return {}
    columns: dict[int, list[tuple[object, ...]]] = {pk: [] for pk in fresh}
    rows = Decision.objects.filter(project__in=fresh).order_by("project", "sequence", "pk")
    for row in rows.values_list(*_COLUMNS):
        columns[row[_COLUMNS.index("project_id")]].append(row)
    return {
        pk: log
        for pk, (fingerprint, _, log) in fresh.items()
        if fingerprint == _fingerprint(columns[pk])
    }


def _fingerprint(rows: Iterable[tuple[object, ...]]) -> str:
    found = hashlib.sha256()
    for row in rows:
        found.update(repr(row).encode())
    return found.hexdigest()


def walked_log(project_id: int) -> CheckedLog:
    """The chain as it stands by itself, walked from its first decision; no head is compared."""
    return _walked(project_id, _decisions().filter(project=project_id).iterator(chunk_size=500))


def _decisions() -> QuerySet[Decision]:
    return Decision.objects.select_related("candidate", "baseline").order_by("sequence", "pk")


def _walked(project_id: int, rows: Iterable[Decision]) -> CheckedLog:
    problems: list[str] = []
    previous, place, hashes = first_previous_hash(project_id), -1, list[str]()
    columns: list[tuple[object, ...]] = []
    champions: dict[str, int] = {}
    for row in rows:
        first = place < 0
        if row.sequence != place + 1 and not (first and row.sequence in (0, 1)):
            problems.append(f"before decision {row.sequence}: {_missing(place, row.sequence)}")
        elif row.previous_hash != previous:
            problems.append(
                f"decision {row.sequence}: does not follow the entry before it; one of the two "
                "was replaced or moved"
            )
        problems += own_problems(row)
        previous, place = row.hash, row.sequence
        hashes.append(row.hash)
        columns.append(_columns_of(row))
        if row.choice in CHAMPION_CHOICES:
            champions[row.target] = row.pk
    checked = CheckedLog(tuple(hashes), champions, tuple(problems))
    if not problems:
        _verified[project_id] = (_fingerprint(columns), time.monotonic(), checked)
    return checked


def _missing(place: int, sequence: int) -> str:
    begin = place + 1 if place >= 0 else 1
    if begin == sequence - 1:
        return f"decision {begin} is missing"
    return f"decisions {begin} to {sequence - 1} are missing"


def own_problems(row: Decision) -> list[str]:
    """Problems of one entry and its configurations, whatever stands around."""
    found = []
    if not hmac.compare_digest(row.hash, sign(signed_fields(row))):
        found.append(
            f"decision {row.sequence}: its signature does not fit what it says; it was altered "
            "after it was written, or DECISION_KEY is not the key that it was signed with"
        )
    for name, configuration in (("candidate", row.candidate), ("baseline", row.baseline)):
        if configuration is not None and not _fits(configuration):
            found.append(f"decision {row.sequence}: the digest of its {name} does not fit it")
    return found


def _fits(configuration: Configuration) -> bool:
    return configuration.digest == digest(configuration.document)


def _against(noted: Head, hashes: Sequence[str]) -> list[str]:
    if noted.count > len(hashes):
        return [
            f"the log has {len(hashes)} entries but had {noted.count} when the head was noted: "
            "its newest entries were removed"
        ]
    if noted.count and hashes[noted.count - 1] != noted.hash:
        return [f"entry {noted.count} is not the one that stood there when the head was noted"]
    return []
