"""`manage.py project create SLUG --metric NAME --direction maximize`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from experiments.errors import VerdictError
from experiments.management.acting_person import person
from experiments.models.project import Direction
from experiments.team.services import projects


class Command(BaseCommand):
    help = "Create a project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", help="act as this user (default: the first superuser)")
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create")
        create.add_argument("slug")
        create.add_argument("--name", help="for people (default: the slug)")
        create.add_argument("--metric", required=True, help="the official metric")
        create.add_argument("--direction", required=True, choices=Direction.values)
        create.add_argument(
            "--margin", type=float, default=0.0, help="smallest gain worth the added complexity"
        )
        create.add_argument("--smallest-gain", type=float, help="the smallest gain that matters")
        create.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = projects.create(
                user=person(options["user"]),
                slug=options["slug"],
                name=options["name"] or options["slug"],
                official_metric=options["metric"],
                direction=options["direction"],
                margin=options["margin"],
                smallest_gain=options["smallest_gain"],
            )
        except VerdictError as error:
            lines = [error.message, *(f"  {problem}" for problem in error.problems)]
            raise CommandError("\n".join(lines)) from None
        made = {
            "slug": project.slug,
            "name": project.name,
            "official_metric": project.official_metric,
            "direction": project.direction,
        }
        as_json = json.dumps(made, indent=2, ensure_ascii=False)
        self.stdout.write(as_json if options["json"] else f"Created {project.slug}.")
