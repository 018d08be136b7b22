"""Command lines through page, queue, worker and page again: real programs in real repositories."""

from __future__ import annotations

import html
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client, override_settings

from experiments.models import Artifact, Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import experiments
from experiments.trials.series.queries import series
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until
from tests.workers.repositories import commit, git, new_repository

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., WorkerProcess]

CLIENT = Path(__file__).parents[2] / "client"
LIST = """
[lines]
repository = "{repository}"
arguments = ["{{python}}", "train.py", "--learning-rate={{learning_rate}}"]

[client]
repository = "{repository}"
arguments = ["{{python}}", "train.py"]

[word]
repository = "{repository}"
arguments = ["{{python}}", "train.py", "{{mode}}"]
"""
FILE = """
project: digits
experiment: {command}
goal: Does a program of ours train?
command: {command}
commit: {commit}
search: {{sampler: halton, trials: {trials}, parallel: 2, seed: 5}}
hyperparameters: {hyperparameters}
"""
RATE = "{learning_rate: {role: nuisance, low: 0.1, high: 0.9}}"

LINES = """
import json, os, sys
print("the first line of", sys.argv[1:])
rate = float(sys.argv[1].removeprefix("--learning-rate="))
with open(os.environ["VERDICT_METRICS"], "a") as file:
    for step in range(1, 4):
        told = {"step": step, "train_loss": rate / step, "validation_accuracy": rate * step}
        print(json.dumps(told), file=file, flush=True)
for number in range(5000):
    print("line", number, "<script>")
"""
RANKS = f"""
import os, subprocess, sys
sys.path.insert(0, {str(CLIENT)!r})
rank = os.environ.get("RANK")
if rank is None:
    for rank in ("0", "1"):
        environment = {{**os.environ, "RANK": rank}}
        subprocess.run([sys.executable, __file__], env=environment, check=True)
else:
    import verdict
    with verdict.run(project="any", experiment="any") as run:
        for step in range(1, 4):
            run.log({{"validation_accuracy": 0.25 + int(rank), "train_loss": 1.0}}, step=step)
"""
WORD = """
import json, os, sys
with open(os.environ["VERDICT_METRICS"], "a") as file:
    print(json.dumps({"step": 1, "validation_accuracy": len(sys.argv[1])}), file=file)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return new_repository(tmp_path / "repository")


@pytest.fixture
def environment(tmp_path: Path, repository: Path) -> Iterator[dict[str, str]]:
    """What worker and pages are told: the operator's list, and where files lie."""
    listed = tmp_path / "commands.toml"
    listed.write_text(LIST.format(repository=repository))
    told = {"COMMANDS_FILE": str(listed), "ARTIFACTS_DIR": str(tmp_path / "artifacts")}
    cast.project()
    with override_settings(**told):
        yield told


def _file(command: str, made: str, *, trials: int = 1, hyperparameters: str = RATE) -> str:
    return FILE.format(
        command=command, commit=made, trials=trials, hyperparameters=hyperparameters
    )


def _wait(experiment: Experiment, worker: WorkerProcess) -> None:
    ended = Experiment.objects.filter(pk=experiment.pk, state="finished")
    wait_until(ended.exists, worker=worker)


def test_a_command_goes_from_the_page_to_a_worker_and_its_output_back_to_the_page(
    start_worker: Start, environment: dict[str, str], repository: Path, client: Client
) -> None:
    made = commit(repository, LINES)
    commit(repository, "raise SystemExit('a later commit')")
    client.force_login(cast.person("cleo"))
    address = "/projects/digits/experiments/new/"
    assert "command: lines" in client.get(address).content.decode()
    answer = client.post(address, {"text": _file("lines", made, trials=2)})
    assert answer.status_code == 302
    experiment = Experiment.objects.get()
    worker = start_worker(**environment)
    _wait(experiment, worker)

    trial = Trial.objects.get(number=0)
    assert trial.state == TrialState.COMPLETE and trial.configuration is not None
    assert made in trial.configuration.document
    rate = 3 * series.read([trial.pk])[trial.pk]["train_loss"].values[2]
    points = series.read([trial.pk])[trial.pk]["validation_accuracy"]
    assert points.steps.tolist() == [1, 2, 3]
    assert points.values.tolist() == pytest.approx([rate, 2 * rate, 3 * rate])

    client.force_login(cast.person("ben"))
    page = client.get(cast.address(experiment, "trials/0/")).content.decode()
    assert "line 4999 &lt;script&gt;" in page and "the first line of" not in page
    line = html.unescape(page.partition('<code id="reproduce" tabindex="0">')[2].partition("<")[0])
    assert line.startswith(f"git checkout --detach {made} && ")
    clone = repository.with_name("clone")
    git(repository, "clone", "-q", ".", str(clone))
    done = subprocess.run(["sh", "-c", line], cwd=clone, env={}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"recorded {trial.value!r}: same\n")
    artifact = Artifact.objects.get(trial=trial)
    place = cast.address(experiment, f"trials/0/files/{artifact.pk}/")
    assert place in page
    answer = client.get(place)
    written = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert written.startswith("the first line of ['--learning-rate=0.")
    assert written.endswith("line 4999 <script>\n")
    client.force_login(cast.person("dan"))
    assert client.get(place).status_code == 404


def test_metrics_come_over_the_api_from_rank_0_alone_and_no_value_becomes_an_option(
    start_worker: Start, environment: dict[str, str], repository: Path, tmp_path: Path
) -> None:
    ada = cast.person("ada")
    ranks = experiments.create(
        access=cast.access(ada), text=_file("client", commit(repository, RANKS))
    )
    modes = '{mode: {role: scientific, choices: ["--evil", "-rf", fine]}}'
    text = _file("word", commit(repository, WORD), hyperparameters=modes)
    words = experiments.create(access=cast.access(ada), text=text)
    worker = start_worker(**environment)
    _wait(ranks, worker)
    _wait(words, worker)

    trial = Trial.objects.get(study__experiment=ranks)
    points = series.read([trial.pk])[trial.pk]
    assert points["validation_accuracy"].values.tolist() == [0.25] * 3, trial.log_tail
    assert points["train_loss"].steps.tolist() == [1, 2, 3]

    evil, flags, fine = Trial.objects.filter(study__experiment=words).order_by("study__arm_index")
    assert (fine.state, fine.value) == (TrialState.COMPLETE, 4.0)
    for refused, value in ((evil, "--evil"), (flags, "-rf")):
        assert refused.state == TrialState.FAILED
        assert f"'{value}' would be read as an option" in refused.failure_reason
        assert not Artifact.objects.filter(trial=refused).exists(), "nothing was started"


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({"command": "rm"}, "rm is not on the operator"),
        ({"commit": "4f1c2e9"}, "expected the full hash of 40 digits"),
    ],
)
def test_a_command_that_is_not_listed_or_has_no_full_hash_is_refused_on_the_page(
    environment: dict[str, str], client: Client, told: dict[str, str], wrong: str
) -> None:
    client.force_login(cast.person("cleo"))
    fields = {"command": "lines", "commit": "a" * 40, "trials": 1, "hyperparameters": RATE, **told}
    answer = client.post("/projects/digits/experiments/new/", {"text": FILE.format(**fields)})
    assert answer.status_code == 400 and wrong in answer.content.decode()
    assert not Experiment.objects.exists()


def test_a_list_that_cannot_be_read_breaks_no_page(
    environment: dict[str, str], client: Client
) -> None:
    Path(settings.COMMANDS_FILE).write_text("[lines")
    client.force_login(cast.person("cleo"))
    address = "/projects/digits/experiments/new/"
    assert client.get(address).status_code == 200
    answer = client.post(address, {"text": _file("lines", "a" * 40)})
    assert answer.status_code == 400
    assert "list cannot be read" in answer.content.decode()
