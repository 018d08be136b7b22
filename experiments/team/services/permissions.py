"""May this person do this here? Asked by every service that a person calls."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, User

from experiments.errors import NotAllowed, NotFound
from experiments.models import Membership, Project
from experiments.models.project import Role

Person = AbstractBaseUser | User
_RANK = {role: rank for rank, role in enumerate(Role.values)}
_WHO = {
    Role.EDITOR: "an editor",
    Role.APPROVER: "an approver",
    Role.ADMIN: "an admin",
    Role.VIEWER: "a member",
}


def require(user: Person, project: Project, role: Role) -> None:
    """Pass when the user has at least this role in the project.

    Raises:
        NotFound: for someone who is no member and may not know the project.
        NotAllowed: for a member whose role is too low.
    """
    if not user.is_active:
        raise NotFound("There is no such project.")
    if getattr(user, "is_superuser", False):
        return
    held = (
        Membership.objects.filter(user_id=user.pk, project=project)
        .values_list("role", flat=True)
        .first()
    )
    if held is None:
        raise NotFound("There is no such project.")
    if _RANK[held] < _RANK[role]:
        raise NotAllowed(f"Only {_WHO[role]} of {project.slug} may do this; your role is {held}.")
