"""Who takes part, and the projects they share."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from experiments.models import Membership, Project


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
