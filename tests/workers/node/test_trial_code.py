"""A team's own package through a worker: which code ran, where it is refused, what is kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from experiments.design import code_version
from experiments.design.objective_code import ObjectiveCode, PackageCode
from experiments.models import Artifact, Environment, Experiment, Trial, Worker
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import experiments
from experiments.trials.table.queries.reproduce import line_of
from tests import cast
from tests.workers.repositories import git, new_repository
from workers.node.runner import TrialRunner
from workers.node.slots import Slots
from workers.node.trial_code import _with_own_commit, check_commit
from workers.search.storage import VerdictStorage
from workers.training import code_on_disk

TRAIN = """
from teamtrains.model import quality


def train(run):
    for step in range(1, 4):
        run.log({"train_loss": 1 / step, "validation_accuracy": quality()}, step=step)
"""
MODEL = "def quality():\n    return %s\n"
FILE = """
project: digits
experiment: own-code
goal: Does a package of our own train?
objective: teamtrains.digits:train
search: {sampler: halton, trials: 8, seed: 5}
hyperparameters: {learning_rate: {role: nuisance, low: 0.1, high: 0.9}}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A team's package in its own repository, allowed and importable."""
    repository = new_repository(tmp_path / "team")
    package = repository / "teamtrains"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "digits.py").write_text(TRAIN)
    (package / "model.py").write_text(MODEL % 0.91)
    commit_all(repository)
    monkeypatch.setattr(sys, "path", [str(repository), *sys.path])
    for name in ("_digests", "_known", "_origins", "_tracked"):
        monkeypatch.setattr(code_on_disk, name, {})
    with override_settings(
        OBJECTIVES=["workers.problems", "teamtrains"], ARTIFACTS_DIR=tmp_path / "artifacts"
    ):
        yield package


def commit_all(repository: Path) -> str:
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "change")
    return git(repository, "rev-parse", "HEAD")


def search(more: str = "") -> Experiment:
    cast.project()
    return experiments.create(access=cast.access(cast.person("ada")), text=FILE + more)


class Node:
    """A worker process of one slot, with the code that lies on its disk."""

    def __init__(self, name: str = "node-1") -> None:
        now = timezone.now()
        self.worker = Worker.objects.create(
            name=name, host=name, pid=1, queues="cpu", started_at=now, heartbeat_at=now
        )
        self.slots = Slots(cpu=1)
        self.room = self.slots.reserve()
        self.runner = TrialRunner(
            worker_id=self.worker.pk, storage=VerdictStorage(), stopping=threading.Event()
        )

    def stop(self) -> None:
        Worker.objects.filter(pk=self.worker.pk).update(stopped_at=timezone.now())

    def run(self) -> Trial:
        assert self.runner.run_next("cpu", self.room)
        return Trial.objects.order_by("-started_at", "-pk")[0]

    def close(self) -> None:
        self.runner.close()
        self.room.slot.close()


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    made: list[Node] = []
    yield made
    for node in made:
        node.close()


def code_of(trial: Trial) -> dict[str, Any]:
    assert isinstance(trial.environment, Environment)
    found: dict[str, Any] = json.loads(trial.environment.document)["code"]
    return found


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_package_edited_between_two_trials_so_that_the_score_fell_is_another_configuration(
    package: Path, nodes: list[Node], client: Client
) -> None:
    experiment = search()
    nodes.append(node := Node())
    first = node.run()
    (package / "model.py").write_text(MODEL % 0.86)
    second = node.run()
    assert (first.value, second.value) == (0.91, 0.86)
    configurations = [
        json.loads(trial.configuration.document)
        for trial in (first, second)
        if trial.configuration
    ]
    assert len({configuration["code"] for configuration in configurations}) == 2
    assert first.configuration != second.configuration
    assert all(configuration["commit"] == "" for configuration in configurations)
    (before,), (after,) = (code_of(trial)["packages"] for trial in (first, second))
    head = git(package.parent, "rev-parse", "HEAD")
    assert before["commit"] == after["commit"] == head
    assert "changed" not in before and after["changed"]
    assert before["digest"] == configurations[0]["code"]
    kept = Artifact.objects.get(kind="diff")
    assert kept.trial == second
    text = (package.parent.parent / "artifacts" / kept.path).read_text()
    assert "-    return 0.91" in text and "+    return 0.86" in text
    experiment.refresh_from_db()
    assert [digest for digest, _ in experiment.code_versions] == [
        configuration["code"] for configuration in configurations
    ]
    client.force_login(cast.person("ada"))
    page = client.get(cast.address(experiment)).content.decode()
    assert "2 versions of the code" in page
    for configuration in configurations:
        assert f'<td><span class="hash nowrap">{configuration["code"][:10]}</span></td>' in page
    page = client.get(cast.address(experiment, "trials/1/")).content.decode()
    assert f"commit {head[:10]} with changes" in page
    assert "attempt-1-code.diff" in page and "git apply attempt-1-code.diff" in page


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_the_line_of_each_trial_gives_the_same_score_in_a_fresh_clone_and_an_empty_shell(
    package: Path, nodes: list[Node], tmp_path: Path
) -> None:
    experiment = search()
    nodes.append(node := Node())
    committed = node.run()
    (package / "model.py").write_text(MODEL % 0.86)
    changed = node.run()
    kept = Artifact.objects.get(kind="diff")
    commit_all(package.parent)  # the clone's head is another by then
    for trial in (committed, changed):
        clone = tmp_path / f"clone-{trial.number}"
        git(tmp_path, "clone", "-q", str(package.parent), str(clone))
        shutil.copy(tmp_path / "artifacts" / kept.path, clone)
        done = subprocess.run(
            ["sh", "-c", line_of(experiment, trial)],
            cwd=clone,
            env={},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"validation_accuracy: {trial.value}, recorded {trial.value}: same\n"
        assert "warning" not in done.stderr


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_second_node_with_other_code_refuses_with_both_digests(
    package: Path, nodes: list[Node]
) -> None:
    search()
    nodes += [one := Node("node-1"), two := Node("node-2")]
    first = one.run()
    ours = code_of(first)["digest"]
    (package / "model.py").write_text(MODEL % 0.5)
    refused = two.run()
    assert refused.state == TrialState.FAILED and refused.configuration is None
    theirs = code_on_disk.digest_of(["teamtrains"])
    assert f"node-1 runs {ours[:10]}" in refused.failure_reason
    assert f"this worker has {theirs[:10]}" in refused.failure_reason
    assert one.run().value == 0.5, "a node whose own code was edited goes on with it"
    assert two.run().value == 0.5, "and the other, which has the same by now"
    one.stop()
    (package / "model.py").write_text(MODEL % 0.6)
    nodes.append(three := Node("node-3"))
    assert three.run().state == TrialState.FAILED, "node 2 lives and has run the present code"
    two.stop()
    assert three.run().value == 0.6, "once nobody runs the earlier code"


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_commit_in_a_file_means_the_repository_of_the_objective(
    package: Path, nodes: list[Node]
) -> None:
    head = git(package.parent, "rev-parse", "HEAD")
    search(f'commit: "{head[:9]}"\n')
    nodes.append(node := Node())
    assert node.run().value == 0.91
    (package / "model.py").write_text(MODEL % 0.5)
    refused = node.run()
    assert refused.state == TrialState.FAILED
    assert f"needs the code of commit {head[:9]}" in refused.failure_reason
    assert "with changes" in refused.failure_reason


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_further_packages_belong_to_the_code_and_a_diff_too_large_is_left_out(
    package: Path, nodes: list[Node], tmp_path: Path
) -> None:
    library = package.parent / "libs" / "teamlib"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("")
    sys.path.insert(0, str(library.parent))
    search("code: [teamlib]\n")
    nodes.append(node := Node())
    first = node.run()
    (library / "__init__.py").write_text("rate = 2\n" * 300)
    with override_settings(DIFF_KILOBYTES=1):
        second = node.run()
    assert code_of(first)["digest"] != code_of(second)["digest"]
    assert [recorded["name"] for recorded in code_of(second)["packages"]] == [
        "teamtrains",
        "teamlib",
    ]
    assert code_of(second)["packages"][1]["folder"] == "libs"
    assert [artifact.trial for artifact in Artifact.objects.filter(kind="diff")] == [first]


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_uncommitted_code_of_an_objective_that_this_worker_does_not_allow_is_not_kept(
    package: Path, nodes: list[Node]
) -> None:
    search()
    (package / "model.py").write_text("PASSWORD = 'secret'\n" + MODEL % 0.5)
    nodes.append(node := Node())
    with override_settings(OBJECTIVES=["workers.problems", "teamtrains.others"]):
        refused = node.run()
    assert refused.state == TrialState.FAILED and refused.configuration is None
    assert "teamtrains.digits:train is not on this worker's list" in refused.failure_reason
    node.runner.close()
    assert not Artifact.objects.exists()


HEAD = "4f1c2e9" + "0" * 33


@pytest.mark.parametrize(
    "found",
    [
        PackageCode("team", "d" * 64, commit=HEAD, changed=True),
        PackageCode("team", "d" * 64, commit="9a0b1c2" + "0" * 33),
        PackageCode("team", "d" * 64),
        PackageCode("team", "d" * 64, distribution="team", version="1.2"),
    ],
)
def test_an_arm_of_other_code_is_refused_with_what_to_do(found: PackageCode) -> None:
    with pytest.raises(ValueError, match="needs the code of commit 4f1c2e9") as raised:
        check_commit("4f1c2e9", ObjectiveCode("d" * 64, (found,)))
    assert f"this worker has {found.label}" in str(raised.value)
    assert "Start a worker in a clean checkout of that commit" in str(raised.value)


@pytest.mark.parametrize("wanted", ["4f1c2e9", HEAD])
def test_the_commit_that_an_arm_names_may_also_come_from_a_wheel(wanted: str) -> None:
    check_commit(wanted, ObjectiveCode("d" * 64, (PackageCode("team", commit=HEAD),)))
    wheel = PackageCode("team", commit=HEAD, distribution="team", version="1.2")
    check_commit(wanted, ObjectiveCode("d" * 64, (wheel,)))


def test_an_image_without_a_repository_names_the_commit_of_bundled_problems_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(code_version, "commit", lambda: HEAD)
    bundled = _with_own_commit(ObjectiveCode("d" * 64, (PackageCode("workers"),)))
    theirs = _with_own_commit(ObjectiveCode("d" * 64, (PackageCode("team"),)))
    assert (bundled.packages[0].commit, theirs.packages[0].commit) == (HEAD, "")
