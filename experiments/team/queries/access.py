"""Access to projects: roles, and 404 for projects that a person may not see."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import Protocol

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Case, Q, QuerySet, Value, When

from experiments.errors import NotAllowed, NotFound
from experiments.models import Membership as Membership
from experiments.models import Project
from experiments.models.project import Role
from experiments.web.pagination import EVERY_ROW, Page, PageOf, paged

MOST_ASKED = 6  # people who are named as those to ask
ROLES = (Role.VIEWER, Role.EDITOR, Role.APPROVER, Role.ADMIN)  # each includes those before it
_WHO = {
    Role.VIEWER: "a member",
    Role.EDITOR: "an editor",
    Role.APPROVER: "an approver",
    Role.ADMIN: "an admin",
}
Person = User | AbstractBaseUser | AnonymousUser


class InProject(Protocol):
    """A record that lies in one project."""

    @property
    def project_id(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Access:
    """A project as one person meets it: found once a request, asked by every service.

    In one that is archived nobody edits or decides; admins still manage it.
    """

    user: User
    project_id: int
    slug: str
    name: str
    official_metric: str
    direction: str
    margin: float
    smallest_gain: float | None
    targets: tuple[str, ...]
    reviews: str
    archived: bool
    role: str

    @property
    def username(self) -> str:
        return self.user.get_username()

    def require(self, role: Role, record: InProject | None = None) -> None:
        """Pass when the person has at least this role, and the record lies in this project.

        Raises:
            NotFound: for a record of another project.
            NotAllowed: when the role is too low.
        """
        if record is not None and record.project_id != self.project_id:
            raise NotFound(f"{self.slug} has no such thing.")
        if self.archived and role in (Role.EDITOR, Role.APPROVER):
            raise NotAllowed(f"{self.slug} is archived; an admin can restore it.")
        if not self._at_least(role):
            raise NotAllowed(
                f"Only {_WHO[role]} of {self.slug} may do this; your role is {self.role}."
            )

    @property
    def can_edit(self) -> bool:
        """Create and run experiments, repeat over seeds, open test scores, dismiss findings."""
        return not self.archived and self._at_least(Role.EDITOR)

    @property
    def can_decide(self) -> bool:
        """Record decisions."""
        return not self.archived and self._at_least(Role.APPROVER)

    @property
    def can_administer(self) -> bool:
        return self._at_least(Role.ADMIN)

    def _at_least(self, role: Role) -> bool:
        return ROLES.index(Role(self.role)) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Member:
    """A person with a role."""

    username: str
    name: str
    role: str


def find_project(user: Person, slug: str) -> Access | None:
    """The project behind a slug, None when this person may not know that it exists."""
    if not isinstance(user, User) or not user.is_active:
        return None
    if user.is_superuser:
        project = Project.objects.filter(slug=slug).first()
        return access_as(user, project, Role.ADMIN) if project else None
    membership = (
        Membership.objects.select_related("project")
        .filter(user_id=user.pk, project__slug=slug)
        .first()
    )
    return access_as(user, membership.project, membership.role) if membership else None


def get_project(user: Person, slug: str) -> Access:
    """The project behind a slug as this person meets it.

    Raises:
        NotFound: when there is none, or this person may not know that it exists.
    """
    found = find_project(user, slug)
    if found is None:
        raise NotFound(f"There is no project {slug}.")
    return found


def project_record(access: Access) -> Project:
    """The project itself, for a service that takes it."""
    return Project.objects.get(pk=access.project_id)


def listed_projects(user: Person) -> QuerySet[Project]:
    """Projects that lists show this person: those that are not archived."""
    return visible_projects(user).filter(archived_at__isnull=True)


def archived_projects(user: Person, wanted: PageOf) -> Page[tuple[str, str]]:
    """Slug and name of the archived projects that this person may see."""
    rows = visible_projects(user).filter(archived_at__isnull=False).order_by("slug")
    return paged(rows, wanted, lambda project: (project.slug, project.name))


def visible_projects(user: Person) -> QuerySet[Project]:
    """All projects that this person may see, archived ones too."""
    if not isinstance(user, User):
        return Project.objects.none()
    if user.is_superuser:
        return Project.objects.all()
    return Project.objects.filter(memberships__user_id=user.pk)


def members(project_id: int, wanted: PageOf = EVERY_ROW, text: str = "") -> Page[Member]:
    """People in a project whose names hold a text, the most powerful first."""
    rows = Membership.objects.filter(project_id=project_id).select_related("user")
    if text:
        names = ("username", "first_name", "last_name")
        rows = rows.filter(
            functools.reduce(
                operator.or_, (Q(**{f"user__{name}__icontains": text}) for name in names)
            )
        )
    power = Case(*(When(role=role, then=Value(-place)) for place, role in enumerate(ROLES)))
    return paged(rows.order_by(power, "user__username"), wanted, member_of)


def member_of(row: Membership) -> Member:
    """The record of a membership."""
    return Member(row.user.get_username(), row.user.get_full_name(), str(row.role))


def people_who_may(project_id: int, role: str) -> tuple[str, ...]:
    """Names of some whose role includes `role`: whom to ask."""
    enough = ROLES[ROLES.index(Role(role)) :]
    rows = Membership.objects.filter(project_id=project_id, role__in=enough)
    names = rows.order_by("user__username").values_list("user__username", flat=True)
    return tuple(names[:MOST_ASKED])


def access_as(user: User, project: Project, role: str) -> Access:
    """A project as somebody of a role meets it; the caller has made sure of the role."""
    return Access(
        user=user,
        project_id=project.pk,
        slug=project.slug,
        name=project.name,
        official_metric=project.official_metric,
        direction=project.direction,
        margin=project.margin,
        smallest_gain=project.smallest_gain,
        targets=tuple(project.targets),
        reviews=project.reviews,
        archived=project.archived_at is not None,
        role=str(role),
    )
