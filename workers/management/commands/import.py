"""`manage.py import optuna URL [STUDY ...]`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from sqlalchemy.exc import SQLAlchemyError

from experiments.errors import VerdictError
from experiments.trials.lifecycle.services.studies import FREE_PROJECT
from workers.search.exchange import bring_in, open_storage


class Command(BaseCommand):
    help = "Bring studies of one of Optuna's own storages in, with all that their trials hold."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("format", choices=("optuna",))
        parser.add_argument(
            "url",
            help="sqlite:///file.db, postgresql://..., mysql://..., redis://..., journal.log",
        )
        parser.add_argument("study", nargs="*", help="its name (default: all that are there)")
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument("--project", default=FREE_PROJECT, help="slug; default: %(default)s")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            source = open_storage(options["url"], must_exist=True)
            names = options["study"] or [study.study_name for study in source.get_all_studies()]
            if not names:
                raise CommandError(f"{options['url']} has no study")
            found: list[dict[str, Any]] = []
            for name in names:
                count = bring_in(source, name, project=options["project"])
                found.append({"study": name, "trials": count})
                if not options["json"]:
                    self.stdout.write(f"{name}: {count} trials")
            if options["json"]:
                self.stdout.write(json.dumps(found, indent=2, ensure_ascii=False))
        except KeyError:
            raise CommandError(f"{options['url']} has no study named {name}") from None
        except VerdictError as error:
            raise CommandError(error.message) from None
        except (OSError, SQLAlchemyError, RuntimeError, ValueError) as error:
            raise CommandError(f"{options['url']}: {error}") from None
