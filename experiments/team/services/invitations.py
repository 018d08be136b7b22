"""Invitations: a signed link that makes one person a member, until it ends."""

from __future__ import annotations

import datetime as dt
import logging

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone

from experiments.errors import Conflict, NotFound, Problem, VerdictError
from experiments.models import Invitation, Membership, Project
from experiments.models.project import Role
from experiments.team import user_names
from experiments.team.queries.access import Access, access_as
from experiments.team.services.changes import note
from experiments.team.services.members import checked_role

LIFETIME = dt.timedelta(days=7)
MOST_OPEN = 100  # of one project
_SALT = "experiments.invitation"
_DEAD = "This invitation has ended: it was used, withdrawn or too old. Ask for another one."
logger = logging.getLogger(__name__)


def token_of(invitation_id: int) -> str:
    """Token of the link: the invitation's number, signed with the key of this server."""
    return signing.dumps(invitation_id, salt=_SALT)


def create(*, access: Access, role: str, email: str = "") -> Invitation:
    """Invite somebody; the link works once, for a week.

    Raises:
        VerdictError: for an unknown role or a mail address that is none.
        Conflict: when too many invitations are open.
        NotAllowed: for someone who is no admin of the project.
    """
    access.require(Role.ADMIN)
    wanted = checked_role(role)
    address = checked_email(email)
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=access.project_id)
        now = timezone.now()
        still = Invitation.objects.filter(
            project=project, ended_at__isnull=True, expires_at__gt=now
        )
        if still.count() >= MOST_OPEN:
            raise Conflict(f"{MOST_OPEN} invitations are open; withdraw some first.")
        return Invitation.objects.create(
            project=project,
            role=wanted,
            email=address,
            invited_by=access.user,
            expires_at=now + LIFETIME,
        )


def checked_email(email: str) -> str:
    """A mail address without spaces around it, or nothing.

    Raises:
        VerdictError: when it is none.
    """
    address = email.strip()
    if not address:
        return ""
    try:
        validate_email(address)
    except ValidationError:
        raise VerdictError(
            "That is no mail address.", [Problem("email", "expected one such as ada@example.org")]
        ) from None
    return address


def mail(*, invitation: Invitation, link: str) -> bool:
    """Send the link to the invitation's address; False when no mail left.

    A mail server that is down costs the mail alone: the page shows the link in any case.
    """
    if not (settings.EMAIL_HOST and invitation.email):
        return False
    name = " ".join(invitation.project.name.split())
    text = (
        f"{invitation.invited_by.get_username()} invites you to {name} in Verdict, "
        f"as {invitation.role}.\n\n{link}\n\n"
        f"The link works once, until {invitation.expires_at:%-d %B %Y, %H:%M} UTC.\n"
    )
    try:
        return bool(send_mail(f"Verdict: join {name}", text, None, [invitation.email]))
    except OSError:
        logger.warning("the mail with invitation %s could not be sent", invitation.pk)
        return False


def withdraw(*, access: Access, invitation_id: int) -> None:
    """End an open invitation.

    Raises:
        NotFound: when it is not one of this project, or has ended.
        NotAllowed: for someone who is no admin of the project.
    """
    access.require(Role.ADMIN)
    ended = Invitation.objects.filter(
        pk=invitation_id, project_id=access.project_id, ended_at__isnull=True
    ).update(ended_at=timezone.now())
    if not ended:
        raise NotFound("There is no such open invitation.")


def find(token: str) -> Invitation:
    """The open invitation behind a link.

    Raises:
        NotFound: for a link that is forged, used, withdrawn or too old.
    """
    try:
        number = signing.loads(token, salt=_SALT, max_age=LIFETIME)
    except signing.BadSignature:
        raise NotFound(_DEAD) from None
    found = (
        Invitation.objects.select_related("project", "invited_by")
        .filter(pk=number, ended_at__isnull=True, expires_at__gt=timezone.now())
        .first()
    )
    if found is None:
        raise NotFound(_DEAD)
    return found


def accept(*, user: User, token: str) -> Membership:
    """Join the project as the invitation says.

    Raises:
        NotFound: when the link no longer works.
        Conflict: for a member, whose role an invitation does not change.
    """
    with transaction.atomic():
        invitation = _end(find(token))
        invitation.accepted_by = user
        invitation.save(update_fields=["accepted_by"])
        made, is_new = Membership.objects.get_or_create(
            user_id=user.pk, project=invitation.project, defaults={"role": invitation.role}
        )
        if not is_new:
            raise Conflict(f"You are a member of {invitation.project.name} already.")
        inviter = invitation.invited_by.get_username()
        note(
            access_as(user, invitation.project, made.role),
            f"joined as {made.role}, invited by {inviter}",
        )
        return made


def join(*, token: str, username: str, password: str, email: str = "") -> User:
    """Make an account for the person who follows an invitation, and let it join.

    Raises:
        NotFound: when the link no longer works.
        VerdictError: for a name that is taken or a password that is too easy; nothing is made.
    """
    find(token)
    person = User(username=user_names.written(username), email=checked_email(email))
    problems = _problems(person, password)
    if problems:
        raise VerdictError("The account was not made.", problems)
    person.set_password(password)
    try:
        with transaction.atomic():
            person.save()
            accept(user=person, token=token)
    except IntegrityError:
        raise Conflict(
            "The account was not made.", [Problem("username", "is taken; choose another")]
        ) from None
    return person


def _end(invitation: Invitation) -> Invitation:
    """Use an invitation up; of two who follow it at once, one is told that it has ended."""
    ended = Invitation.objects.filter(pk=invitation.pk, ended_at__isnull=True).update(
        ended_at=timezone.now()
    )
    if not ended:
        raise NotFound(_DEAD)
    return invitation


def _problems(person: User, password: str) -> list[Problem]:
    problems = []
    try:
        UnicodeUsernameValidator()(person.username)
        if not 1 <= len(person.username) <= 150:
            raise ValidationError("")
    except ValidationError:
        problems.append(Problem("username", "expected 1 to 150 letters, digits and @ . + - _"))
    taken = User.objects.values_list("username", flat=True)
    if user_names.key(person.username) in map(user_names.key, taken):
        problems.append(Problem("username", "is taken; choose another"))
    try:
        validate_password(password, person)
    except ValidationError as error:
        problems += [Problem("password", message) for message in error.messages]
    return problems
