"""Two nodes without a common folder: what one writes the other goes on from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from experiments.models import Artifact, Trial
from experiments.models.trial import TrialState
from experiments.trials.artifacts.queries import artifacts as queries
from experiments.trials.artifacts.services import artifacts, orphans
from experiments.trials.lifecycle.queries import trial_spec
from tests import cast, s3_server
from tests.waiting import wait_until
from workers.delivery.checkpoint_fetching import fetch_checkpoints
from workers.delivery.checkpoint_recorder import CheckpointRecorder
from workers.delivery.series_uploader import SeriesUploader
from workers.node.job_spec import checkpoints_of, job_of
from workers.training.checkpoints import CheckpointStore
from workers.training.messages import Job, LoggedFile

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def address() -> Iterator[str]:
    with s3_server.serving() as found:
        yield found


@pytest.fixture
def trial(address: str) -> Trial:
    cast.project()
    return Trial.objects.filter(
        study__experiment=cast.running_search(done=1), state=TrialState.RUNNING
    )[0]


def job(trial: Trial) -> Job:
    spec = trial_spec.read(trial.pk)
    return job_of(spec, {}, (), checkpoints_of(spec))


def recorded(trial: Trial, folder: Path, *messages: object) -> None:
    """The messages of a training process, as its worker takes them."""
    uploader = SeriesUploader(folder / "spool")
    recorder = CheckpointRecorder(uploader)
    try:
        for message in messages:
            recorder.put(trial.pk, trial.attempt, message)  # type: ignore[arg-type]
        recorder.wait(trial.pk, trial.attempt, give_up=threading.Event())
    finally:
        recorder.close()
        uploader.close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_trial_goes_on_from_the_checkpoint_of_another_node(
    trial: Trial, address: str, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    with override_settings(ARTIFACTS_DIR=here):
        about = job(trial).checkpoints
        assert about is not None
        written = CheckpointStore(about).write(
            {"w": [1.5, 2.5]}, step=7, value=0.5, memory={"a": 1}
        )
        recorded(trial, tmp_path, written)
        assert s3_server.keys(address) == [f"of-this-team/{written.path}"]
        artifacts.remove_working_copies(trial.pk)
        assert files(here) == []
    Trial.objects.filter(pk=trial.pk).update(attempt=trial.attempt + 1)
    with override_settings(ARTIFACTS_DIR=there):
        again = job(trial)
        assert again.checkpoints is not None
        fetch_checkpoints(again, give_up=threading.Event())
        loaded = CheckpointStore(again.checkpoints).read()
        assert loaded is not None and loaded.state == {"w": [1.5, 2.5]}
        assert (loaded.file.step, loaded.memory, loaded.unreadable) == (7, {"a": 1}, ())


def test_a_checkpoint_that_the_store_lost_lets_an_older_one_be_taken(
    trial: Trial, address: str, tmp_path: Path
) -> None:
    with override_settings(ARTIFACTS_DIR=tmp_path / "here", CHECKPOINTS_KEEP_LAST=2):
        about = job(trial).checkpoints
        assert about is not None
        store = CheckpointStore(about)
        written = [
            store.write(step, step=step, value=None, memory={"step": step}) for step in (1, 2)
        ]
        recorded(trial, tmp_path, *written)
    key = f"of-this-team/{written[1].path}"
    s3_server.client(address).delete_object(Bucket=s3_server.BUCKET, Key=key)
    Trial.objects.filter(pk=trial.pk).update(attempt=trial.attempt + 1)
    with override_settings(ARTIFACTS_DIR=tmp_path / "there"):
        again = job(trial)
        assert again.checkpoints is not None
        fetch_checkpoints(again, give_up=threading.Event())
        loaded = CheckpointStore(again.checkpoints).read()
        assert loaded is not None and loaded.state == 1 and len(loaded.unreadable) == 1


def test_files_wait_while_the_store_is_away(
    trial: Trial, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.delivery.checkpoint_recorder.RETRY_SECONDS", 0.01)
    closed = s3_server.storages("http://127.0.0.1:1")
    with override_settings(ARTIFACTS_DIR=tmp_path / "here"):
        place = tmp_path / "here" / "trials" / str(trial.pk) / "file-1.txt"
        place.parent.mkdir(parents=True)
        place.write_bytes(b"seen")
        message = LoggedFile(f"trials/{trial.pk}/file-1.txt", 4, "0" * 64, "notes.txt", "text", 3)
        uploader = SeriesUploader(tmp_path / "spool")
        with override_settings(STORAGES=closed):
            recorder = CheckpointRecorder(uploader)
            recorder.put(trial.pk, trial.attempt, message)
            wait_until(lambda: recorder._away_since, what="the store is missed")
            assert not Artifact.objects.exists()
        recorder.wait(trial.pk, trial.attempt, give_up=threading.Event())
        recorder.close()
        uploader.close()
    kept = queries.logged_files(trial.pk)
    assert [(file.name, file.kind, file.step) for file in kept] == [("notes.txt", "text", 3)]
    assert b"".join(queries.content(kept[0], 1)) == b"een"


def test_a_sweep_finds_what_no_record_names_in_the_store_and_copies_on_this_machine(
    trial: Trial, address: str, tmp_path: Path
) -> None:
    with override_settings(ARTIFACTS_DIR=tmp_path):
        Trial.objects.filter(pk=trial.pk).update(state=TrialState.FAILED)
        for name in ("left.pt", "copy.pt"):
            place = tmp_path / "trials" / str(trial.pk) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"x")
        artifacts.send(f"trials/{trial.pk}/left.pt")
        found = orphans.of_trials([trial.pk])
        assert [(file.path.rpartition("/")[2], file.is_local) for file in found] == [
            ("left.pt", False), ("copy.pt", True), ("left.pt", True)
        ]  # fmt: skip
        orphans.remove(found)
        assert files(tmp_path) == [] and s3_server.keys(address) == []
