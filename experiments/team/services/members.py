"""Members of a project and their roles; every project keeps an admin."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from experiments.errors import Conflict, NotFound, Problem, VerdictError
from experiments.models import Invitation, Membership, MessageChoice, Project
from experiments.models.project import Role
from experiments.team import user_names
from experiments.team.queries.access import Access, get_project
from experiments.team.services.changes import note


def add(*, access: Access, username: str, role: str) -> Membership:
    """Make somebody who has an account a member.

    Raises:
        VerdictError: for a name without an account, or an unknown role.
        Conflict: for a member.
        NotAllowed: for someone who is no admin of the project.
    """
    access.require(Role.ADMIN)
    wanted = checked_role(role)
    name = user_names.written(username)
    person = User.objects.filter(username=name, is_active=True).first()
    if person is None:
        raise VerdictError(
            "Nobody was added.",
            [Problem("username", f"nobody is called {name!r:.80} here; invite them with a link")],
        )
    try:
        with transaction.atomic():
            note(access, f"added {name} as {wanted}")
            return Membership.objects.create(
                user=person, project_id=access.project_id, role=wanted
            )
    except IntegrityError:
        raise Conflict(
            f"{name} is a member already; change the role in the list.",
            [Problem("username", "is a member already")],
        ) from None


def checked_role(role: str) -> Role:
    """The role of that name.

    Raises:
        VerdictError: when there is none.
    """
    if role not in Role.values:
        known = ", ".join(Role.values)
        raise VerdictError("There is no such role.", [Problem("role", f"expected one of {known}")])
    return Role(role)


def change_role(*, access: Access, username: str, role: str) -> Membership:
    """Give a member another role.

    Raises:
        NotFound: when nobody of that name is a member.
        Conflict: when the project would be left without an admin.
        NotAllowed: for someone who is no admin of the project.
    """
    wanted = checked_role(role)
    with transaction.atomic():
        membership = _locked(access, username)
        if wanted != Role.ADMIN:
            _keep_an_admin(membership)
            _end_invitations(membership)
        note(access, f"made {username} {wanted}, {membership.role} before")
        membership.role = wanted
        membership.save(update_fields=["role"])
    return membership


def remove(*, access: Access, username: str) -> None:
    """End a membership: the project's pages, the person's tokens for it and its mails end at once.

    What the person recorded stays.

    Raises:
        NotFound: when nobody of that name is a member.
        Conflict: when the project would be left without an admin.
        NotAllowed: for someone who is no admin of the project.
    """
    with transaction.atomic():
        membership = _locked(access, username)
        _keep_an_admin(membership)
        MessageChoice.objects.filter(
            user_id=membership.user_id, project_id=access.project_id
        ).delete()
        _end_invitations(membership)
        note(access, f"removed {username}, {membership.role}")
        membership.delete()


def _locked(access: Access, username: str) -> Membership:
    """A membership under the project's lock: two admins who demote each other take turns."""
    project = Project.objects.select_for_update().get(pk=access.project_id)
    # The role may have changed meanwhile.
    get_project(access.user, project.slug).require(Role.ADMIN)
    found = (
        Membership.objects.select_related("user")
        .filter(project=project, user__username=username)
        .first()
    )
    if found is None:
        raise NotFound(f"Nobody called {username!r:.80} is a member.")
    return found


def _keep_an_admin(membership: Membership) -> None:
    if membership.role != Role.ADMIN:
        return
    others = Membership.objects.filter(
        project_id=membership.project_id, role=Role.ADMIN, user__is_active=True
    ).exclude(pk=membership.pk)
    if not others.exists():
        name = membership.user.get_username()
        raise Conflict(f"{name} is the only admin. Make somebody else an admin first.")


def _end_invitations(membership: Membership) -> None:
    """Links that somebody handed out as admin end with that role."""
    Invitation.objects.filter(
        project_id=membership.project_id,
        invited_by_id=membership.user_id,
        ended_at__isnull=True,
    ).update(ended_at=timezone.now())
