"""Guessing is slowed down: attempts are counted per subject, and wait when they are too many.

A subject is locked for a quarter of an hour at most after its last counted attempt, and attempts
while it is locked are not counted, so nobody is locked out for ever. A browser in which a person
has logged in before counts apart from all others ("device cookie", OWASP: Slow Down Online
Guessing Attacks with Device Cookies): strangers who guess do not lock that person out there.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from experiments.errors import VerdictError
from experiments.models import CountedAttempt
from experiments.team import user_names

WINDOW = dt.timedelta(minutes=15)


class TooMany(VerdictError):
    """Too many attempts; `seconds` says for how long nothing is tried."""

    status = 429

    def __init__(self, seconds: int) -> None:
        minutes = math.ceil(seconds / 60)
        super().__init__(
            "Too many attempts failed. Nothing is tried for the next "
            f"{minutes} {'minute' if minutes == 1 else 'minutes'}; then it works again."
        )
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Subject:
    """Subject of a limit: `kind` and `text` name it, `most` bounds the window."""

    kind: str
    text: str
    most: int

    @property
    def digest(self) -> str:
        return salted_hmac(
            "experiments.throttle", f"{self.kind}:{self.text}", algorithm="sha256"
        ).hexdigest()


@dataclass(frozen=True, slots=True)
class Counted:
    """An attempt that is counted as failed until it is forgiven."""

    subjects: tuple[Subject, ...]
    rows: tuple[int, ...]


def network_of(address: str) -> str:
    """Network that counts as one address: an IPv6 subscriber has a whole /64."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def login_subjects(name: str, address: str, device: str | None) -> tuple[Subject, ...]:
    """Subjects of a login's limits: the name or its known browser, and the address."""
    name = user_names.key(name)
    person = (
        Subject("login device", f"{name}\n{device}", settings.LOGIN_FAILURES_PER_NAME)
        if device
        else Subject("login name", name, settings.LOGIN_FAILURES_PER_NAME)
    )
    if not address:  # a proxy on a socket: its address would be everybody's
        return (person,)
    place = Subject("login address", network_of(address), settings.LOGIN_FAILURES_PER_ADDRESS)
    return (person, place)


def count(subjects: Sequence[Subject]) -> Counted:
    """Count an attempt before it is made, so that many at once cannot slip through.

    Raises:
        TooMany: when a subject has used its window up; this attempt is not counted then.
    """
    now = timezone.now()
    with transaction.atomic():
        rows = CountedAttempt.objects.bulk_create(
            [CountedAttempt(subject=throttled.digest, at=now) for throttled in subjects]
        )
    for subject in subjects:
        attempts = CountedAttempt.objects.filter(subject=subject.digest, at__gt=now - WINDOW)
        if attempts.count() > subject.most:
            CountedAttempt.objects.filter(pk__in=[row.pk for row in rows]).delete()
            last = attempts.order_by("-at").values_list("at", flat=True)[
                subject.most - 1 : subject.most
            ]
            left = (last[0] + WINDOW - now) if last else WINDOW
            raise TooMany(max(1, math.ceil(left.total_seconds())))
    CountedAttempt.objects.filter(at__lte=now - WINDOW).delete()
    return Counted(tuple(subjects), tuple(row.pk for row in rows))


def forgive(counted: Counted) -> None:
    """The attempt succeeded: whoever made it begins anew; the address only loses this one.

    Were the address forgiven, an account of one's own would pay for guesses at others.
    """
    CountedAttempt.objects.filter(subject=counted.subjects[0].digest).delete()
    CountedAttempt.objects.filter(pk__in=counted.rows).delete()


def forgive_name(name: str) -> None:
    """A new password was set: failures at the name's old one count no more."""
    subject = Subject("login name", user_names.key(name), 1)
    CountedAttempt.objects.filter(subject=subject.digest).delete()
