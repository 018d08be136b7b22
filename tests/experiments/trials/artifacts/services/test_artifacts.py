from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.test import override_settings

from experiments.errors import TrialFenced
from experiments.models import Artifact, Trial
from experiments.models.trial import TrialState
from experiments.trials.artifacts import storage
from experiments.trials.artifacts.queries import artifacts as kept
from experiments.trials.artifacts.services import artifacts
from experiments.trials.artifacts.services.artifacts import NewFile
from experiments.trials.series.lineage import (
    ALL,
    NONE,
    Resumption,
    from_lower_budget,
    last_step,
    on_the_curve,
    resumptions,
    with_lower_budget,
    with_resumption,
)
from experiments.trials.series.services import series
from tests import cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    cast.project()
    search = cast.running_search(done=1)
    with override_settings(
        ARTIFACTS_DIR=tmp_path, CHECKPOINTS_KEEP_LAST=2, CHECKPOINTS_KEEP_BEST=1
    ):
        yield Trial.objects.filter(study__experiment=search, state=TrialState.RUNNING)[0]


def keep(
    trial: Trial,
    step: int,
    value: float | None,
    attempt: int | None = None,
    kind: str = "checkpoint",
) -> Path:
    attempt = trial.attempt if attempt is None else attempt
    path = f"trials/{trial.pk}/attempt-{attempt}-step-{step}.pt"
    whole = storage.local_path(path)
    whole.parent.mkdir(parents=True, exist_ok=True)
    whole.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    artifacts.keep_checkpoint(
        trial_id=trial.pk,
        attempt=attempt,
        file=NewFile(path, 7, digest, step, value),
        kind=kind,
    )
    return whole


def test_the_last_checkpoints_and_the_best_are_kept_and_the_others_files_are_gone(
    trial: Trial,
) -> None:
    values = {1: 0.5, 2: 0.9, 3: 0.9, 4: None, 5: float("nan"), 6: 0.7}
    files = {step: keep(trial, step, value) for step, value in values.items()}
    assert [checkpoint.step for checkpoint in kept.checkpoints(trial.pk)] == [6, 5, 2]
    assert [step for step, file in files.items() if file.exists()] == [2, 5, 6]


def test_a_fenced_attempt_keeps_nothing(trial: Trial) -> None:
    keep(trial, 1, 0.5)
    Trial.objects.filter(pk=trial.pk).update(attempt=trial.attempt + 1)
    with pytest.raises(TrialFenced):
        keep(trial, 2, 0.6, attempt=trial.attempt)
    assert [checkpoint.step for checkpoint in kept.checkpoints(trial.pk)] == [1]


def test_a_newer_attempts_checkpoint_comes_first_even_at_a_smaller_step(trial: Trial) -> None:
    keep(trial, 8, 0.9)
    Trial.objects.filter(pk=trial.pk).update(attempt=trial.attempt + 1)
    keep(trial, 2, 0.4, attempt=trial.attempt + 1)
    assert [checkpoint.step for checkpoint in kept.checkpoints(trial.pk)] == [2, 8]


@pytest.mark.parametrize("path", ["../secret_key", "/etc/passwd", "trials/../../x"])
def test_no_path_leads_out_of_the_folder(trial: Trial, path: str) -> None:
    with pytest.raises(ValueError, match="does not lie in the folder of artifacts"):
        artifacts.keep_file(
            trial_id=trial.pk, attempt=trial.attempt, file=NewFile(path, 1, "0" * 64)
        )
    assert not Artifact.objects.exists()


def test_a_curve_goes_on_from_the_attempt_that_wrote_the_checkpoint() -> None:
    text = with_resumption("{}", 3, Resumption(8, 1))  # attempt 2 died before it came so far
    assert _last(3, text) == {3: ALL, 1: 8}
    further = with_resumption(text, 4, Resumption(10, 3))
    assert _last(4, further) == {4: ALL, 3: 10, 1: 8}
    assert _last(2, '{"2": 5}') == {2: ALL, 1: 5}, "a step alone"


def _last(newest: int, text: str, name: str = "loss") -> dict[int, int]:
    kept = on_the_curve(newest, resumptions(text))
    return {attempt: last_step(name, bounds) for attempt, bounds in kept.items()}


def test_curves_of_finished_folds_stand_and_that_of_the_fold_under_way_goes_on() -> None:
    begun = Resumption(None, 1, "[fold=2]", ("[fold=1]",))
    text = with_resumption(with_resumption("{}", 2, begun), 3, replace(begun, step=6, origin=2))
    assert _last(3, text, "loss[fold=1]") == {3: ALL, 2: ALL, 1: ALL}
    assert _last(3, text, "loss[fold=2]") == {3: ALL, 2: 6, 1: NONE}
    assert _last(3, text, "loss[fold=3]") == {3: ALL, 2: NONE, 1: NONE}
    assert _last(3, text, "loss") == {3: ALL, 2: NONE, 1: NONE}


def test_the_curve_of_the_whole_budget_has_no_suffix() -> None:
    text = with_resumption("{}", 2, Resumption(4, 1, "", ("[width=8]",)))
    assert _last(2, text, "loss[width=8]") == {2: ALL, 1: ALL}
    assert _last(2, text, "loss") == {2: ALL, 1: 4}


def test_what_went_on_from_a_lower_budget_is_known_beside_what_was_resumed() -> None:
    text = with_lower_budget(with_resumption("{}", 2, Resumption(5, 1)))
    assert from_lower_budget(text) and not from_lower_budget("{}")
    assert resumptions(text) == {2: Resumption(5, 1)}


def test_which_attempt_wrote_the_checkpoint_is_recorded(trial: Trial) -> None:
    Trial.objects.filter(pk=trial.pk).update(attempt=3)
    series.resume(trial_id=trial.pk, attempt=3, resumption=Resumption(8, 1))
    trial.refresh_from_db()
    assert resumptions(trial.resumed) == {3: Resumption(8, 1)}


def test_checkpoints_of_folds_displace_neither_the_trials_own_nor_what_is_known_of_folds(
    trial: Trial,
) -> None:
    keep(trial, 1, 0.9)
    keep(trial, 2, None, kind="progress")
    for step in (3, 4, 5):
        keep(trial, step, None, kind="pass checkpoint")
    assert [checkpoint.step for checkpoint in kept.checkpoints(trial.pk)] == [5, 4, 2, 1]
