"""MLflow's clients against the production server: `make test-clients`.

Not part of the suite: the clients are large, and live in environments of their own below the
folder that CLIENTS names: mlflow-2 (mlflow-skinny 2.22), mlflow-3 (mlflow 3.x) and libraries
(mlflow 3.x beside what logs with it).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from experiments.models import Experiment, Trial
from experiments.team.services import tokens
from experiments.verdict.services import replications
from tests import cast
from tests.services_under_test.web_server import WebServer

PROGRAMS = Path(__file__).parent
CLIENTS = Path(os.environ.get("CLIENTS", ".venv-clients"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("client", "program"),
    [
        ("mlflow-2", "tracking"),
        ("mlflow-3", "tracking"),
        ("mlflow-3", "autologging"),
        ("libraries", "libraries"),
    ],
)
def test_a_client_finds_what_it_logged(
    client: str, program: str, web_server: WebServer, tmp_path: Path
) -> None:
    cast.project()
    _run(web_server, client, program, tmp_path)


@pytest.mark.django_db(transaction=True)
def test_both_clients_load_the_model_that_was_adopted(
    web_server: WebServer, tmp_path: Path
) -> None:
    cast.project()
    _run(web_server, "mlflow-3", "candidates", tmp_path)
    first, second = Trial.objects.order_by("pk")
    experiment = Experiment.objects.get()
    replication = replications.declare(
        access=cast.access("ada", experiment),
        experiment=experiment,
        candidate_trial=second,
        baseline_trial=first,
        looks=(10,),
    )
    cast.finish_pairs(replication, 10)
    cast.decide(replication, "adopt")
    for client in ("mlflow-2", "mlflow-3"):
        _run(web_server, client, "champion", tmp_path)


def _run(web_server: WebServer, client: str, program: str, folder: Path) -> None:
    """Run a program in a folder; it prints done at its end."""
    _, secret = tokens.create(
        user=cast.person("cleo"), project=None, name="client", scopes=("read", "write")
    )
    done = subprocess.run(
        [CLIENTS.resolve() / client / "bin" / "python", PROGRAMS / f"{program}.py"],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "MLFLOW_TRACKING_URI": f"{web_server.url}/projects/digits",
            "MLFLOW_TRACKING_TOKEN": secret,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("done\n"), done.stderr[-4000:]
