from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from experiments.errors import Conflict, NotAllowed, NotFound, TrialFenced, VerdictError
from experiments.models import Artifact, Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.artifacts.queries import artifacts as queries
from experiments.trials.artifacts.services import files
from experiments.trials.artifacts.services.artifacts import NewFile
from experiments.trials.lifecycle.services import editing
from tests import cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    with override_settings(ARTIFACTS_DIR=tmp_path):
        yield tmp_path


@pytest.fixture
def trial() -> Trial:
    cast.project()
    search = cast.running_search(done=1)
    return Trial.objects.filter(study__experiment=search, state=TrialState.RUNNING)[0]


def on_disk(folder: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_stream_becomes_a_file_that_is_listed_read_back_and_deleted(
    trial: Trial, folder: Path
) -> None:
    kept = files.store(trial_id=trial.pk, name="model/Weights.PT", parts=[b"two ", b"parts"])
    assert queries.logged_files(trial.pk) == [kept]
    assert queries.logged_files(trial.pk, prefix="model/") == [kept]
    assert queries.logged_files(trial.pk, prefix="other") == []
    assert (kept.kind, kept.size, kept.path[-3:]) == ("file", 9, ".pt")
    assert b"".join(queries.content(kept)) == b"two parts"
    assert b"".join(queries.content(kept, 4)) == b"parts"
    found = queries.logged_file(trial.pk, "model/Weights.PT")
    assert found == kept
    experiment = trial.study.experiment
    files.delete(access=cast.access("ada", experiment), trial_id=trial.pk, file_ids=[kept.id])
    assert queries.logged_files(trial.pk) == [] and on_disk(folder) == []


def test_the_same_name_replaces_and_each_step_of_an_image_stays(
    trial: Trial, folder: Path
) -> None:
    for content in (b"old", b"new"):
        files.store(trial_id=trial.pk, name="notes.txt", parts=[content])
    for step in (1, 2, 1):
        content = b"image %d" % step
        files.store(
            trial_id=trial.pk, name="samples.png", parts=[content], kind="image", step=step
        )
    assert [(file.name, file.step) for file in queries.logged_files(trial.pk)] == [
        ("notes.txt", None), ("samples.png", 1), ("samples.png", 2)
    ]  # fmt: skip
    assert on_disk(folder) == [b"image 1", b"image 2", b"new"]


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "a\\b", "a\nb", "a\x00", "x" * 301],
)
def test_a_name_that_is_none_of_a_file_is_refused(trial: Trial, folder: Path, name: str) -> None:
    with pytest.raises(files.BadFile, match="is no name of a file"):
        files.store(trial_id=trial.pk, name=name, parts=[b"x"])
    assert on_disk(folder) == [] and not Artifact.objects.exists()


def test_beyond_the_largest_file_or_the_projects_share_nothing_stays(
    trial: Trial, folder: Path
) -> None:
    block = bytes(2**20)
    with override_settings(FILE_MEGABYTES=1):
        with pytest.raises(files.TooLarge, match="1 MiB at most"):
            files.store(trial_id=trial.pk, name="a", parts=[block, b"1"])
        kept = files.store(trial_id=trial.pk, name="a", parts=[block])
    Artifact.objects.filter(pk=kept.id).update(size=100 * 2**30 - 5)
    with pytest.raises(files.TooLarge, match=r"100 GiB together, and 0\.0 MiB of that are left"):
        files.store(trial_id=trial.pk, name="b", parts=[b"123456"])
    files.store(trial_id=trial.pk, name="b", parts=[b"12345"])
    assert on_disk(folder) == sorted([block, b"12345"])


def test_a_stream_that_breaks_off_leaves_nothing(trial: Trial, folder: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        files.store(trial_id=trial.pk, name="a", parts=parts())
    assert on_disk(folder) == []


def test_a_fenced_attempt_logs_no_file(trial: Trial, folder: Path) -> None:
    path = files.new_path(trial.pk, "a.txt")
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_bytes(b"late")
    Trial.objects.filter(pk=trial.pk).update(attempt=trial.attempt + 1)
    with pytest.raises(TrialFenced):
        files.keep(
            trial_id=trial.pk,
            name="a.txt",
            file=NewFile(path, 4, "0" * 64),
            attempt=trial.attempt,
        )
    assert on_disk(folder) == []


def test_files_go_with_their_trial(trial: Trial, folder: Path) -> None:
    search = cast.finished_search("ended", trials_per_arm=1)
    first = Trial.objects.filter(study__experiment=search)[0]
    files.store(trial_id=first.pk, name="a.txt", parts=[b"a"])
    editing.delete(access=cast.access("ada", search), experiment=search, typed_name=search.name)
    assert on_disk(folder) == []


def test_what_a_decision_rests_on_is_neither_replaced_nor_deleted(folder: Path) -> None:
    cast.project()
    experiment = cast.decided("wider", "reject", "No.", gain=-0.002)
    trial = Trial.objects.filter(study__experiment=experiment)[0]
    kept = files.store(trial_id=trial.pk, name="a.txt", parts=[b"first"])
    with pytest.raises(Conflict, match="A decision cites"):
        files.store(trial_id=trial.pk, name="a.txt", parts=[b"second"])
    with pytest.raises(Conflict, match="A decision cites"):
        files.delete(access=cast.access("ada", experiment), trial_id=trial.pk, file_ids=[kept.id])
    assert on_disk(folder) == [b"first"]


def test_files_are_deleted_by_editors_of_their_project_alone(trial: Trial) -> None:
    kept = files.store(trial_id=trial.pk, name="a.txt", parts=[b"a"])
    experiment = trial.study.experiment
    assert isinstance(experiment, Experiment)
    other = cast.project("other")
    for access, error in (
        (cast.access("ben", experiment), NotAllowed),
        (cast.access("ada", other), NotFound),
    ):
        with pytest.raises(error):
            files.delete(access=access, trial_id=trial.pk, file_ids=[kept.id])
    checkpoint = Artifact.objects.create(
        trial=trial, kind="checkpoint", name="c.pt", path="x", size=1, sha256="0" * 64
    )
    with pytest.raises(VerdictError):
        files.delete(
            access=cast.access("ada", experiment), trial_id=trial.pk, file_ids=[checkpoint.pk]
        )
    assert queries.logged_files(trial.pk) == [kept]
