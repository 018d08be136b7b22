"""Everything that can go wrong in the domain, each with its message and HTTP status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: where it stands, what is wrong and what would be right."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class VerdictError(Exception):
    """Base of the domain's errors: a sentence for a person, and the parts of a bad input."""

    status = 400

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)


class InvalidExperiment(VerdictError):
    """The experiment file says something that cannot be run; `problems` names every key."""


class NotAllowed(VerdictError):
    """The person may see the thing but not do this with it."""

    status = 403


class NotFound(VerdictError):
    """There is no such thing, or this person may not know that there is."""

    status = 404


class Unavailable(VerdictError):
    """Something that this takes does not answer at the moment; later it may."""

    status = 503


class Conflict(VerdictError):
    """The thing has changed meanwhile, or its state does not admit this."""

    status = 409


class NameTaken(Conflict):
    """Another experiment of the project has this name."""


class NotOpenYet(Conflict):
    """A step of the path whose evidence is not there yet."""


class StaleEvidence(Conflict):
    """The page showed other evidence than there is now; nothing was recorded."""


class ReviewNeeded(Conflict):
    """A second approver has to confirm this decision; it can be proposed."""


class TrialFinished(Conflict):
    """A finished trial never changes; the first result stands."""


class TrialFenced(Conflict):
    """Another attempt has taken this trial over."""


class WritesLost(Conflict):
    """The database has crashed since; what was not synced yet is to be written again."""


class StudyCited(Conflict, RuntimeError):
    """A decision cites this study or experiment; it cannot be deleted."""
