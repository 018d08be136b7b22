"""Who takes part, and the projects they share."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from experiments.models import Experiment, Membership, Project, Replication, Trial
from experiments.team.queries.access import Access, get_project


def person(name: str, **more: Any) -> User:
    """A user with the password "correct horse"."""
    found = User.objects.filter(username=name).first()
    return found or User.objects.create_user(name, password="correct horse", **more)


def project(slug: str = "digits", **more: Any) -> Project:
    """Validation accuracy, maximised; ada approves, cleo edits, ben watches, dan is outside."""
    fields: dict[str, Any] = {
        "name": slug.replace("-", " ").title() if slug != "digits" else "Digits",
        "official_metric": "validation_accuracy",
        "direction": "maximize",
        "margin": 0.001,
        "smallest_gain": 0.003,
    }
    made = Project.objects.create(slug=slug, **(fields | more))
    for name, role in (("ada", "admin"), ("cleo", "editor"), ("ben", "viewer")):
        Membership.objects.create(user=person(name), project=made, role=role)
    person("dan")
    return made


def access(
    who: str | User, to: Project | Experiment | Replication | Trial | str = "digits"
) -> Access:
    """A project, or the one that a record lies in, as this person meets it.

    Raises:
        NotFound: for somebody who may not see it.
    """
    if isinstance(to, Trial):
        to = to.study.project
    if isinstance(to, Replication):
        to = to.experiment
    if isinstance(to, Experiment):
        to = to.project
    slug = to if isinstance(to, str) else to.slug
    return get_project(person(who) if isinstance(who, str) else who, slug)
