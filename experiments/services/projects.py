"""Create projects and change what they say of themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from experiments.errors import Conflict, NotAllowed, Problem, VerdictError
from experiments.models import Membership, Project
from experiments.models.project import Direction, Role
from experiments.services.champions import set_targets
from experiments.services.permissions import Person, require


def create(
    *,
    user: Person,
    slug: str,
    name: str,
    official_metric: str,
    direction: str,
    margin: float = 0.0,
    smallest_gain: float | None = None,
) -> Project:
    """Create a project; whoever creates it is its first admin.

    Raises:
        NotAllowed: when the user may not create projects.
        VerdictError: when a field is wrong; `problems` names each.
        Conflict: when the slug is taken.
    """
    if not user.has_perm("experiments.add_project"):  # type: ignore[union-attr]
        raise NotAllowed("Only someone who may add projects can create one.")
    problems = _problems(slug, name, official_metric, direction, margin, smallest_gain)
    if problems:
        raise VerdictError("The project has errors.", problems)
    try:
        with transaction.atomic():
            project = Project.objects.create(
                slug=slug,
                name=name,
                official_metric=official_metric,
                direction=direction,
                margin=margin,
                smallest_gain=smallest_gain,
            )
            Membership.objects.create(user_id=user.pk, project=project, role=Role.ADMIN)
    except IntegrityError:
        raise Conflict(
            f"A project {slug} exists already.", [Problem("slug", "is taken; choose another")]
        ) from None
    return project


def change(
    *,
    user: Person,
    project: Project,
    name: str,
    margin: float,
    smallest_gain: float | None,
    targets: Sequence[str],
) -> None:
    """Change the name, the defaults of new experiments and the targets, all or nothing.

    The official metric and its direction stay: every comparison so far rests on them.

    Raises:
        VerdictError: when a field is wrong; `problems` names each.
        Conflict: when a target that is left out has decisions.
        NotAllowed: for someone who is no admin of the project.
    """
    require(user, project, Role.ADMIN)
    metric, direction = project.official_metric, project.direction
    problems = _problems(project.slug, name, metric, direction, margin, smallest_gain)
    if problems:
        raise VerdictError("The settings have errors.", problems)
    with transaction.atomic():
        set_targets(user=user, project=project, targets=targets)
        project.name = name.strip()
        project.margin = margin
        project.smallest_gain = smallest_gain
        project.save(update_fields=["name", "margin", "smallest_gain"])


def _problems(
    slug: str,
    name: str,
    official_metric: str,
    direction: str,
    margin: float,
    smallest_gain: float | None,
) -> list[Problem]:
    problems = []
    if not slug or slug != slugify(slug) or len(slug) > 100:
        problems.append(Problem("slug", "want lower-case letters, digits, - and _"))
    if not name.strip() or len(name) > 200:
        problems.append(Problem("name", "want 1 to 200 characters"))
    if not official_metric.strip() or len(official_metric) > 200:
        problems.append(Problem("official_metric", "want a metric's name"))
    if direction not in Direction.values:
        problems.append(Problem("direction", "want minimize or maximize"))
    if not 0 <= margin < math.inf:
        problems.append(Problem("margin", "want a number, 0 or more"))
    if smallest_gain is not None and not 0 < smallest_gain < math.inf:
        problems.append(Problem("smallest_gain", "want a number above 0"))
    return problems
