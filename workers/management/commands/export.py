"""`manage.py export optuna URL [STUDY ...]`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from optuna.exceptions import DuplicatedStudyError
from sqlalchemy.exc import SQLAlchemyError

from workers.search.exchange import open_storage, send_out
from workers.search.storage import VerdictStorage


class Command(BaseCommand):
    help = "Copy studies into one of Optuna's own storages, with all that their trials hold."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("format", choices=("optuna",))
        parser.add_argument(
            "url",
            help="sqlite:///file.db, postgresql://..., mysql://..., redis://..., journal.log",
        )
        parser.add_argument("study", nargs="*", help="its name (default: all that are there)")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        source = VerdictStorage()
        names = options["study"] or [study.study_name for study in source.get_all_studies()]
        if not names:
            raise CommandError("there is no study")
        try:
            target = open_storage(options["url"], must_exist=False)
            found: list[dict[str, Any]] = []
            for name in names:
                count = send_out(source, name, target)
                found.append({"study": name, "trials": count})
                if not options["json"]:
                    self.stdout.write(f"{name}: {count} trials")
            if options["json"]:
                self.stdout.write(json.dumps(found, indent=2, ensure_ascii=False))
        except KeyError:
            raise CommandError(f"there is no study named {name}") from None
        except DuplicatedStudyError:
            raise CommandError(f"{options['url']} has a study named {name} already") from None
        except (OSError, SQLAlchemyError, RuntimeError, ValueError) as error:
            raise CommandError(f"{options['url']}: {error}") from None
