"""What a person may see and do. Whoever may not see a thing gets the answer "there is none"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from experiments.models import Membership, Project
from experiments.models.project import Role

ROLES = (Role.VIEWER, Role.EDITOR, Role.APPROVER, Role.ADMIN)  # each includes those before it


@dataclass(frozen=True, slots=True)
class Access:
    """A project as one person meets it."""

    project_id: int
    slug: str
    name: str
    official_metric: str
    direction: str
    margin: float
    smallest_gain: float | None
    role: str

    @property
    def can_edit(self) -> bool:
        """Create and run experiments, repeat over seeds, open test scores, dismiss findings."""
        return self._at_least(Role.EDITOR)

    @property
    def can_decide(self) -> bool:
        """Record decisions."""
        return self._at_least(Role.APPROVER)

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


def find_project(user: Any, slug: str) -> Access | None:
    """The project behind a slug, None when this person may not know that it exists."""
    if getattr(user, "is_superuser", False):
        project = Project.objects.filter(slug=slug).first()
        return _access(project, Role.ADMIN) if project else None
    membership = (
        Membership.objects.select_related("project")
        .filter(user_id=user.pk, project__slug=slug)
        .first()
    )
    return _access(membership.project, membership.role) if membership else None


def project_record(access: Access) -> Project:
    """The project itself, for a service that takes it."""
    return Project.objects.get(pk=access.project_id)


def visible_projects(user: Any) -> QuerySet[Project]:
    """All projects that this person may see."""
    if getattr(user, "is_superuser", False):
        return Project.objects.all()
    return Project.objects.filter(memberships__user_id=user.pk)


def members(project_id: int) -> tuple[Member, ...]:
    """Everyone in a project, the most powerful first."""
    rows = Membership.objects.filter(project_id=project_id).select_related("user")
    found = [Member(row.user.get_username(), row.user.get_full_name(), row.role) for row in rows]
    return tuple(sorted(found, key=lambda each: (-ROLES.index(Role(each.role)), each.username)))


def targets_of(access: Access) -> tuple[str, ...]:
    """The project's targets in the order in which they were named."""
    found: list[str] = Project.objects.values_list("targets", flat=True).get(pk=access.project_id)
    return tuple(found)


def people_who_may(project_id: int, role: str) -> tuple[str, ...]:
    """Names of those whose role includes `role`: whom to ask."""
    enough = ROLES[ROLES.index(Role(role)) :]
    rows = Membership.objects.filter(project_id=project_id, role__in=enough)
    return tuple(rows.order_by("user__username").values_list("user__username", flat=True))


def _access(project: Project, role: str) -> Access:
    return Access(
        project_id=project.pk,
        slug=project.slug,
        name=project.name,
        official_metric=project.official_metric,
        direction=project.direction,
        margin=project.margin,
        smallest_gain=project.smallest_gain,
        role=str(role),
    )
