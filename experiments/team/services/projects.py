"""Create projects and change what they say of themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from experiments.errors import Conflict, NotAllowed, Problem, VerdictError
from experiments.models import Membership, Project
from experiments.models.project import SLUG, SLUG_WORDS, Direction, Reviews, Role
from experiments.team.queries.access import Access
from experiments.team.services.changes import note

MOST_TARGETS = 20
_TARGET = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


def create(
    *,
    user: User,
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
    if not user.has_perm("experiments.add_project"):
        raise NotAllowed("You need the permission to add projects.")
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
            Membership.objects.create(user=user, project=project, role=Role.ADMIN)
    except IntegrityError:
        raise Conflict(
            f"A project {slug} exists already.", [Problem("slug", "is taken; choose another")]
        ) from None
    return project


def ensure_for_trackers(*, user: User, slug: str, name: str) -> None:
    """The project of runs whose program names none, made on first use: its official metric is
    named later, and test scores are shown as the program logs them.

    Raises:
        NotAllowed: when there is none, and the user may create none.
    """
    if Project.objects.filter(slug=slug).exists():
        return
    if not user.has_perm("experiments.add_project"):
        raise NotAllowed(
            "Name a project: use its address as the tracking URI, or begin the experiment's name "
            "with its slug and a slash."
        )
    with transaction.atomic():
        project, made = Project.objects.get_or_create(
            slug=slug,
            defaults={
                "name": name,
                "official_metric": "",
                "direction": Direction.MINIMIZE,
                "seals_test": False,
            },
        )
        if made:
            Membership.objects.create(user=user, project=project, role=Role.ADMIN)


def change(
    *,
    access: Access,
    name: str,
    margin: float,
    smallest_gain: float | None,
    targets: Sequence[str],
    reviews: str,
) -> None:
    """Change the name, the defaults of new experiments, the targets and which decisions a second
    approver confirms, all or nothing.

    The official metric and its direction stay: every comparison so far rests on them.

    Raises:
        VerdictError: when a field is wrong; `problems` names each.
        Conflict: when a target that is left out has decisions.
        NotAllowed: for someone who is no admin of the project.
    """
    access.require(Role.ADMIN)
    metric, direction = access.official_metric, access.direction
    problems = _problems(access.slug, name, metric, direction, margin, smallest_gain)
    if reviews not in Reviews.values:
        problems.append(Problem("reviews", f"expected one of {', '.join(Reviews.values)}"))
    if problems:
        raise VerdictError("The settings have errors.", problems)
    with transaction.atomic():
        set_targets(access=access, targets=targets)
        wanted = {
            "name": name.strip(),
            "margin": margin,
            "smallest_gain": smallest_gain,
            "reviews": reviews,
        }
        project = Project.objects.select_for_update().get(pk=access.project_id)
        for field, value in wanted.items():
            if (before := getattr(project, field)) != value:
                words = field.replace("_", " ")
                note(access, f"changed the {words} from {_shown(before)} to {_shown(value)}")
        Project.objects.filter(pk=access.project_id).update(**wanted)


def seal(*, access: Access) -> None:
    """Seal the test scores of experiments that begin from now on.

    There is no way back: a test score that was read cannot be unread. An experiment keeps what
    it began with.

    Raises:
        Conflict: when they are sealed already.
        NotAllowed: for someone who is no admin of the project.
    """
    access.require(Role.ADMIN)
    with transaction.atomic():
        if not Project.objects.filter(pk=access.project_id, seals_test=False).update(
            seals_test=True
        ):
            raise Conflict(f"Test scores of {access.slug} are sealed already.")
        note(access, "sealed the test scores of later experiments")


def archive(*, access: Access) -> None:
    """Leave a project out of lists, the inbox and the queue; what was recorded stays readable.

    Trials that run end as they would; those that wait wait until it is brought back.

    Raises:
        Conflict: when it is archived already.
        NotAllowed: for someone who is no admin of the project.
    """
    access.require(Role.ADMIN)
    with transaction.atomic():
        found = Project.objects.filter(pk=access.project_id, archived_at__isnull=True)
        if not found.update(archived_at=timezone.now()):
            raise Conflict(f"{access.slug} is archived already.")
        note(access, "archived the project")


def bring_back(*, access: Access) -> None:
    """List an archived project again; its waiting trials go on.

    Raises:
        Conflict: when it is not archived.
        NotAllowed: for someone who is no admin of the project.
    """
    access.require(Role.ADMIN)
    with transaction.atomic():
        found = Project.objects.filter(pk=access.project_id, archived_at__isnull=False)
        if not found.update(archived_at=None):
            raise Conflict(f"{access.slug} is not archived.")
        note(access, "restored the project from the archive")


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def set_targets(*, access: Access, targets: Sequence[str]) -> None:
    """Name where champions run. One that has a champion stays.

    Raises:
        VerdictError: for a name that cannot be in an address, none at all, or too many.
        Conflict: when one that is left out has decisions.
    """
    access.require(Role.ADMIN)
    wanted = list(dict.fromkeys(targets))
    wrong = [name for name in wanted if not _TARGET.fullmatch(name)]
    if wrong or not 1 <= len(wanted) <= MOST_TARGETS:
        raise VerdictError(
            "The targets have errors.",
            [
                Problem(
                    "targets",
                    f"expected 1 to {MOST_TARGETS} names of lower-case letters, digits, - and _"
                    + (f"; found {wrong[0]!r:.80}" if wrong else ""),
                )
            ],
        )
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=access.project_id)
        used = project.decisions.values_list("target", flat=True).distinct()
        if missing := sorted(set(used) - set(wanted)):
            raise Conflict(
                f"{', '.join(missing)} has decisions and stays.",
                [Problem("targets", f"expected {', '.join(missing)} among them")],
            )
        if project.targets != wanted:
            before = ", ".join(project.targets)
            note(access, f"changed the targets from {before} to {', '.join(wanted)}")
        project.targets = wanted
        project.save(update_fields=["targets"])


def _problems(
    slug: str,
    name: str,
    official_metric: str,
    direction: str,
    margin: float,
    smallest_gain: float | None,
) -> list[Problem]:
    problems = []
    if not re.fullmatch(SLUG, slug) or len(slug) > 100:
        problems.append(Problem("slug", f"{SLUG_WORDS}, 100 at most"))
    if not name.strip() or len(name) > 200:
        problems.append(Problem("name", "expected 1 to 200 characters"))
    if not official_metric.strip() or len(official_metric) > 200:
        problems.append(Problem("official_metric", "expected a metric's name"))
    if direction not in Direction.values:
        problems.append(Problem("direction", "expected minimize or maximize"))
    if not 0 <= margin < math.inf:
        problems.append(Problem("margin", "expected a number, 0 or more"))
    if smallest_gain is not None and not 0 < smallest_gain < math.inf:
        problems.append(Problem("smallest_gain", "expected a number above 0"))
    return problems
