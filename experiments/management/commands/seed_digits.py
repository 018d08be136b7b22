"""The project `digits` with its first experiment; doing it twice is harmless."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from experiments.management.acting_person import person
from experiments.models import Experiment, Project
from experiments.models.project import Direction
from experiments.team.queries.access import get_project
from experiments.team.services import projects
from experiments.trials.lifecycle.services import experiments

EXAMPLE = Path("workers/problems/examples/label-smoothing.yaml")


class Command(BaseCommand):
    help = "Create the project digits and start its example experiment."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", help="who creates it (default: the first superuser)")

    def handle(self, *args: Any, **options: Any) -> None:
        user = person(options["user"])
        if not Project.objects.filter(slug="digits").exists():
            projects.create(
                user=user,
                slug="digits",
                name="Handwritten digits",
                official_metric="validation_accuracy",
                direction=Direction.MAXIMIZE,
                margin=0.001,
                smallest_gain=0.005,
            )
        if not Experiment.objects.filter(project__slug="digits").exists():
            text = (Path(settings.BASE_DIR) / EXAMPLE).read_text(encoding="utf-8")
            experiment = experiments.create(access=get_project(user, "digits"), text=text)
            self.stdout.write(f"Started digits/{experiment.name}.")
