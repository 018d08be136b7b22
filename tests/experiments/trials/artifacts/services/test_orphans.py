from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings
from django.utils import timezone

from experiments.models import Artifact, Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.artifacts import storage
from experiments.trials.artifacts.services import orphans
from experiments.trials.lifecycle.services import editing
from tests import cast

pytestmark = pytest.mark.django_db(transaction=True)
NOW = dt.timedelta(0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    with override_settings(ARTIFACTS_DIR=tmp_path / "artifacts", DATA_DIR=tmp_path):
        yield tmp_path / "artifacts"


@pytest.fixture
def experiment() -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=2)


def lies(trial: Trial | int, name: str = "a.pt") -> Path:
    """A file of a trial that no record names."""
    path = storage.local_path(f"trials/{getattr(trial, 'pk', trial)}/{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def recorded(trial: Trial, name: str = "kept.pt", path: str = "") -> Path:
    place = path or f"trials/{trial.pk}/{name}"
    Artifact.objects.create(
        trial=trial, kind="checkpoint", name=name, path=place, size=7, sha256="0" * 64
    )
    return storage.local_path(place) if path else lies(trial, name)


def found(older_than: dt.timedelta = NOW) -> list[str]:
    return [orphan.path for orphan in orphans.find(older_than=older_than, now=timezone.now())]


def delete(experiment: Experiment) -> None:
    editing.delete(
        access=cast.access("ada", experiment), experiment=experiment, typed_name=experiment.name
    )


def test_a_deleted_experiment_takes_its_files_along_recorded_or_not(
    experiment: Experiment, folder: Path
) -> None:
    first, *_ = trials = list(Trial.objects.all())
    for trial in trials:
        recorded(trial)
    lies(first, "attempt-1-000001-step-3.part")
    delete(experiment)
    assert list((folder / "trials").iterdir()) == []


def test_a_deletion_that_is_refused_deletes_no_file() -> None:
    cast.project()
    experiment = cast.decided("wider", "reject", "No.", gain=-0.002)
    kept = recorded(Trial.objects.filter(study__experiment=experiment)[0])
    with pytest.raises(Exception, match="is cited and cannot be deleted"):
        delete(experiment)
    assert kept.exists()


def test_a_file_that_another_record_names_outlives_its_experiment(experiment: Experiment) -> None:
    other = cast.finished_search("other", trials_per_arm=1)
    shared = recorded(Trial.objects.filter(study__experiment=experiment)[0])
    path = shared.relative_to(storage.local_path(".")).as_posix()
    recorded(Trial.objects.filter(study__experiment=other)[0], path=path)
    delete(experiment)
    assert shared.exists()


def test_what_no_record_names_is_found_unless_it_is_young(experiment: Experiment) -> None:
    trial = Trial.objects.all()[0]
    recorded(trial)
    lies(trial, "draft.part")
    assert found() == [f"trials/{trial.pk}/draft.part"]
    assert found(older_than=dt.timedelta(hours=1)) == []


def test_files_of_a_running_trial_are_left_alone(experiment: Experiment) -> None:
    trial = cast.running_trial(experiment.studies.get(arm_index=0))
    lies(trial)
    assert found() == []
    Trial.objects.filter(pk=trial.pk).update(state=TrialState.FAILED)
    assert found() == [f"trials/{trial.pk}/a.pt"]


def test_what_a_decision_cites_is_left_alone(experiment: Experiment) -> None:
    cast.repeated(experiment, looks=(5,), done=5)
    replicate = Trial.objects.filter(origin="replicate", study__side="candidate").first()
    assert replicate is not None
    checkpoint = recorded(replicate)
    decision = cast.decide(experiment.replications.get(), "adopt")
    assert json.loads(decision.evidence)["checkpoint"]["trial"] == replicate.pk
    beside = lies(replicate, "beside.pt")
    assert found() == []
    Artifact.objects.all().delete()  # whatever loses the record: the file is still there
    assert found() == []
    assert checkpoint.exists() and beside.exists()


def test_links_and_other_folders_are_not_followed(experiment: Experiment, folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("key")
    (folder / "trials").mkdir(parents=True)
    (folder / "trials" / "77").symlink_to(outside)
    (folder / "trials" / "notes").mkdir()
    (folder / "trials" / "notes" / "a").write_text("mine")
    lies(78).with_name("link").symlink_to(outside / "secret")
    assert found() == ["trials/78/a.pt"]


def test_a_sweep_says_first_and_then_deletes(experiment: Experiment) -> None:
    gone, kept = lies(4711), recorded(Trial.objects.all()[0])

    def sweep(*options: str) -> str:
        output = StringIO()
        call_command("artifacts", "sweep", "--hours=0", *options, stdout=output)
        return output.getvalue()

    assert "trials/4711/a.pt  7 bytes\n1 file would be deleted, 0.0 MiB" in sweep("--dry-run")
    assert gone.exists()
    assert "1 file deleted" in sweep()
    assert kept.exists() and not gone.parent.exists()
    assert "0 files deleted" in sweep()


def test_a_sweep_with_another_database_deletes_nothing() -> None:
    left = lies(1)
    with pytest.raises(CommandError, match="knows no trial"):
        call_command("artifacts", "sweep", "--hours=0")
    assert left.exists()
