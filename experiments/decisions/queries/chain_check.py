"""Whether the log of decisions is what was written: nothing altered, removed or moved."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from experiments.decisions.decision_chain import first_previous_hash, sign, signed_fields
from experiments.design.configuration import digest
from experiments.models import Configuration, Decision, Project


@dataclass(frozen=True, slots=True)
class Head:
    """How long a log was and how it ended when somebody noted it."""

    count: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Head:
        """`COUNT:HASH`, as every champion answer and webhook gives them.

        Raises:
            ValueError: for any other text.
        """
        count, _, digest = text.strip().partition(":")
        if not count.isdecimal() or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ValueError(f"want COUNT:HASH with a hash of 64 hexadecimal digits, got {text!r}")
        return cls(int(count), digest)


@dataclass(frozen=True, slots=True)
class Checked:
    """A project's log after the check; `problems` is empty when the chain holds."""

    project: str
    head: Head
    problems: tuple[str, ...]


def check_log(project: Project, noted: Head | None = None) -> Checked:
    """Walk a project's chain from its first decision.

    Every alteration, removal and reordering shows, except that of the newest entries: those show
    against a head noted while they were there (`noted`).
    """
    problems: list[str] = []
    rows = Decision.objects.filter(project=project).select_related("candidate", "baseline")
    previous, place, hashes = first_previous_hash(project.pk), -1, list[str]()
    for row in rows.order_by("sequence", "pk").iterator(chunk_size=500):
        first = place < 0
        if row.sequence != place + 1 and not (first and row.sequence in (0, 1)):
            problems.append(f"before decision {row.sequence}: {_missing(place, row.sequence)}")
        elif row.previous_hash != previous:
            problems.append(
                f"decision {row.sequence}: does not follow the entry before it; one of the two "
                "was replaced or moved"
            )
        problems += _own_problems(row)
        previous, place = row.hash, row.sequence
        hashes.append(row.hash)
    if noted is not None:
        problems += _against(noted, hashes)
    return Checked(project.slug, Head(len(hashes), hashes[-1] if hashes else ""), tuple(problems))


def is_genuine(decision: Decision) -> bool:
    """Whether an entry and its configurations are as they were signed, whatever stands around."""
    return not _own_problems(decision)


def _missing(place: int, sequence: int) -> str:
    begin = place + 1 if place >= 0 else 1
    if begin == sequence - 1:
        return f"decision {begin} is missing"
    return f"decisions {begin} to {sequence - 1} are missing"


def _own_problems(row: Decision) -> list[str]:
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


def _against(noted: Head, hashes: list[str]) -> list[str]:
    if noted.count > len(hashes):
        return [
            f"the log has {len(hashes)} entries but had {noted.count} when the head was noted: "
            "its newest entries were removed"
        ]
    if noted.count and hashes[noted.count - 1] != noted.hash:
        return [f"entry {noted.count} is not the one that stood there when the head was noted"]
    return []
