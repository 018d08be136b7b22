"""Build the installation that upgrades are tested from, with the code that is checked out.

    VERDICT_DATA=FOLDER DATABASE_URL=... python -m tests.deployment.upgrade_from.make ANSWERS.json

A project with a champion and a rejected candidate, a search under way, curves, findings and
checkpoints, in the database of DATABASE_URL and the files of VERDICT_DATA; what the API answers
about them goes to ANSWERS.json. Each folder is named after the commit that made what it holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

PROJECT = "/api/v1/projects/digits"
EXPERIMENTS = ("wider-network", "no-dropout", "weight-decay")


def build() -> str:
    """Fill an empty database and the folder of artifacts; returns a token that reads all of it."""
    from django.core.management import call_command

    from experiments.models import Project, Trial, Webhook
    from experiments.team.services import tokens
    from tests import cast

    call_command("migrate", verbosity=0)
    cast.project()
    for name, choice, gain in (
        ("wider-network", "adopt", 0.0047),
        ("no-dropout", "reject", -0.01),
    ):
        experiment = cast.finished_search(name, trials_per_arm=4)
        _keep_checkpoint(experiment.best_trial)
        cast.some_findings(experiment)
        cast.decide(cast.repeated(experiment, done=5, looks=(5,), gain=gain), choice)
    under_way = cast.running_search(done=2, trials_per_arm=4)
    cast.some_findings(under_way)
    project = Project.objects.get(slug="digits")
    Webhook.objects.create(
        project=project,
        address="https://hooks.example.org/verdict",
        events=["decided"],
        nonce="a" * 32,
        created_by=cast.person("ada"),
    )
    candidate = Trial.objects.filter(study__side="candidate", pair=0).first()
    assert candidate is not None
    _keep_checkpoint(candidate)
    return tokens.create(user=cast.person("ada"), project=project, name="deployment")[1]


def _keep_checkpoint(trial: Any) -> None:
    from django.conf import settings

    from experiments.models import Artifact

    path = Path("checkpoints") / str(trial.pk) / f"step-{trial.best_step}.pt"
    content = f"weights of trial {trial.pk}\n".encode() * 40
    whole = Path(settings.ARTIFACTS_DIR) / path
    whole.parent.mkdir(parents=True, exist_ok=True)
    whole.write_bytes(content)
    Artifact.objects.create(
        trial=trial,
        kind="checkpoint",
        name=path.name,
        path=str(path),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        step=trial.best_step,
        attempt=1,
        value=trial.value,
    )


def read(address: str, token: str) -> Any:
    """What a program with the token reads at an address: JSON, or the SHA-256 of a file."""
    from django.test import Client

    headers = {"host": "localhost", "authorization": f"Bearer {token}"}
    answer = Client().get(f"{PROJECT}{address}", headers=headers)
    assert answer.status_code == 200, (address, answer.status_code)
    if not answer.streaming:
        return answer.json()
    content = b"".join(answer.streaming_content)
    return hashlib.sha256(content).hexdigest()


def answers(token: str) -> dict[str, Any]:
    """What there is to read, by address."""
    addresses = ["/champion", "/champion/checkpoint", "/decisions"]
    addresses += [
        f"/decisions/{entry['sequence']}" for entry in read("/decisions", token)["decisions"]
    ]
    for name in EXPERIMENTS:
        place = f"/experiments/{name}"
        addresses += [place, f"{place}/trials", f"{place}/series.csv"]
        for trial in read(f"{place}/trials", token)["trials"]:
            own = f"{place}/trials/{trial['name']}/files"
            addresses += [own, *(f"{own}/{file['id']}" for file in read(own, token)["files"])]
    return {address: read(address, token) for address in addresses}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    token = build()
    made = {"token": token, "answers": answers(token)}
    Path(sys.argv[1]).write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
