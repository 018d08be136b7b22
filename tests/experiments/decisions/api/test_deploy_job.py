"""The job of docs/deployments.md, taken from the page and run against the real server."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from experiments.decisions.services import champions
from experiments.models import Artifact, Decision, Trial
from experiments.team.services import tokens
from experiments.team.webhook_signature import secret_of, signature
from tests import cast
from tests.services_under_test.web_server import WebServer
from tests.waiting import PATIENCE

PAGE = Path(settings.BASE_DIR) / "docs" / "deployments.md"


def block(name: str) -> str:
    """A program as the page shows it."""
    [found] = re.findall(rf"```python {re.escape(name)}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


class Deployment:
    """A folder that the job keeps at the champion."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder / "served", url
        self.script = folder / "deploy.py"
        self.script.write_text(block("deploy.py"))
        _, self.token = tokens.create(user=cast.person("ben"), project=None, name="deploy")

    def run(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, self.script, self.url, "digits", self.folder, "--once"],
            env={**os.environ, "VERDICT_TOKEN": self.token},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())


def _adopted(name: str) -> Decision:
    held = cast.repeated(cast.finished_search(name, trials_per_arm=2), looks=(10,))
    first = Trial.objects.replicates_of(held).filter(study__side="candidate", pair=0).get()
    content = f"weights of {name}".encode()
    path = f"checkpoints/{first.pk}.pt"
    file = Path(settings.ARTIFACTS_DIR) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    Artifact.objects.create(
        trial=first,
        kind="checkpoint",
        name="best",
        path=path,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        step=40,
        value=0.97,
    )
    return cast.decide(held, "adopt", f"{name} pays.")


@pytest.mark.django_db(transaction=True)
def test_the_job_deploys_each_champion_and_refuses_a_log_that_was_tampered_with(
    web_server: WebServer, tmp_path: Path
) -> None:
    project = cast.project()
    job = Deployment(tmp_path, web_server.url)
    assert "there is no champion yet" in job.run().stderr

    first = _adopted("first")
    done = job.run()
    assert "deployed decision 1: first pays." in done.stdout, done.stderr
    assert first.candidate is not None
    assert job.read("champion.json") == json.loads(first.candidate.document)
    assert (job.folder / "model.checkpoint").read_bytes() == b"weights of first"
    assert job.read("head.json") == {"sequence": 1, "hash": first.hash, "count": 1}

    _adopted("second")
    assert "deployed decision 2" in job.run().stdout
    assert (job.folder / "model.checkpoint").read_bytes() == b"weights of second"
    user = cast.person("ada")
    champions.revert(
        access=cast.access(user, project), target="production", to=1, current=2, reason="Back."
    )
    assert "deployed decision 3: Back." in job.run().stdout
    assert (job.folder / "model.checkpoint").read_bytes() == b"weights of first"

    kept = job.folder / "head.json"
    kept.write_text(json.dumps(job.read("head.json") | {"count": 9}))
    assert "the log has 3 entries and had 9: nothing deployed" in job.run().stderr
    kept.write_text(json.dumps({"sequence": 1, "hash": "0" * 64, "count": 1}))
    assert "entry 1 of the log was altered" in job.run().stderr
    kept.unlink()
    kept_file = Artifact.objects.get(
        path__contains="checkpoints", trial__study__experiment=first.experiment
    )
    (Path(settings.ARTIFACTS_DIR) / kept_file.path).write_bytes(b"weights of an impostor")
    assert "not the one that was adopted" in job.run().stderr


def test_the_receiver_of_the_page_takes_what_is_signed_and_nothing_else() -> None:
    room: dict[str, Any] = {}
    exec(block("verify.py"), room)
    secret, now = secret_of("nonce"), int(time.time())
    headers = {
        "Verdict-Timestamp": str(now),
        "Verdict-Signature": signature(secret, now, b"{}"),
    }
    is_genuine = room["is_genuine"]
    assert is_genuine(secret, headers, b"{}")
    assert not is_genuine(secret, headers, b"[]")
    assert not is_genuine("whsec_other", headers, b"{}")
    old = now - 3600
    replayed = {
        "Verdict-Timestamp": str(old),
        "Verdict-Signature": signature(secret, old, b"{}"),
    }
    assert not is_genuine(secret, replayed, b"{}")
