from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from experiments.errors import TrialFenced
from experiments.lineage import last_steps, resumed_steps, with_resumed
from experiments.models import Artifact, Trial
from experiments.models.trial import TrialState
from experiments.queries import artifacts as kept
from experiments.services import artifacts, series
from experiments.services.artifacts import NewFile
from tests import cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    cast.project()
    search = cast.running_search()
    with override_settings(
        ARTIFACTS_DIR=tmp_path, CHECKPOINTS_KEEP_LAST=2, CHECKPOINTS_KEEP_BEST=1
    ):
        yield Trial.objects.filter(study__experiment=search, state=TrialState.RUNNING)[0]


def keep(trial: Trial, step: int, value: float | None, attempt: int | None = None) -> Path:
    attempt = trial.attempt if attempt is None else attempt
    path = f"trials/{trial.pk}/attempt-{attempt}-step-{step}.pt"
    whole = artifacts.whole_path(path)
    whole.parent.mkdir(parents=True, exist_ok=True)
    whole.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    artifacts.keep_checkpoint(
        trial_id=trial.pk, attempt=attempt, file=NewFile(path, 7, digest, step, value)
    )
    return whole


def test_the_last_checkpoints_and_the_best_are_kept_and_the_others_files_are_gone(
    trial: Trial,
) -> None:
    values = {1: 0.5, 2: 0.9, 3: 0.9, 4: None, 5: float("nan"), 6: 0.7}
    files = {step: keep(trial, step, value) for step, value in values.items()}
    assert [each.step for each in kept.checkpoints(trial.pk)] == [6, 5, 2]
    assert [step for step, file in files.items() if file.exists()] == [2, 5, 6]


def test_a_fenced_attempt_keeps_nothing(trial: Trial) -> None:
    keep(trial, 1, 0.5)
    Trial.objects.filter(pk=trial.pk).update(attempt=trial.attempt + 1)
    with pytest.raises(TrialFenced):
        keep(trial, 2, 0.6, attempt=trial.attempt)
    assert [each.step for each in kept.checkpoints(trial.pk)] == [1]


def test_a_newer_attempts_checkpoint_comes_first_even_at_a_smaller_step(trial: Trial) -> None:
    keep(trial, 8, 0.9)
    Trial.objects.filter(pk=trial.pk).update(attempt=trial.attempt + 1)
    keep(trial, 2, 0.4, attempt=trial.attempt + 1)
    assert [each.step for each in kept.checkpoints(trial.pk)] == [2, 8]


@pytest.mark.parametrize("path", ["../secret_key", "/etc/passwd", "trials/../../x"])
def test_no_path_leads_out_of_the_folder(trial: Trial, path: str) -> None:
    with pytest.raises(ValueError, match="does not lie in the folder of artifacts"):
        artifacts.keep_output(
            trial_id=trial.pk, attempt=trial.attempt, file=NewFile(path, 1, "0" * 64)
        )
    assert not Artifact.objects.exists()


def test_a_curve_goes_on_from_the_attempt_that_wrote_the_checkpoint() -> None:
    text = with_resumed("{}", 3, step=8, origin=1)  # attempt 2 died before it came so far
    assert last_steps(3, resumed_steps(text)) == {3: None, 1: 8}
    further = with_resumed(text, 4, step=10)
    assert last_steps(4, resumed_steps(further)) == {4: None, 3: 10, 1: 8}
    assert last_steps(2, resumed_steps('{"2": 5}')) == {2: None, 1: 5}, "a step alone"


def test_which_attempt_wrote_the_checkpoint_is_recorded(trial: Trial) -> None:
    Trial.objects.filter(pk=trial.pk).update(attempt=3)
    series.resume(trial_id=trial.pk, attempt=3, step=8, origin=1)
    trial.refresh_from_db()
    assert resumed_steps(trial.resumed) == {3: (8, 1)}
