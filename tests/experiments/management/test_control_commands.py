from __future__ import annotations

import pytest
from click import ClickException
from click.testing import CliRunner
from django.contrib.auth.models import User

from experiments.management.experiment_commands import experiment_group
from experiments.models import Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import queue, trials
from tests import cast

pytestmark = pytest.mark.django_db

NAME = "digits/queued"


@pytest.fixture
def search() -> Experiment:
    """Two arms of three rows, three trials at a time."""
    cast.project()
    User.objects.create_superuser("root")
    experiment = cast.search("queued", trials_per_arm=3)
    Experiment.objects.filter(pk=experiment.pk).update(parallel=3)
    return experiment


def _call(*arguments: str) -> str:
    """Output of a command.

    Raises:
        ClickException: when it fails.
    """
    done = CliRunner().invoke(experiment_group, arguments, standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.output


def _claim() -> queue.Claim:
    claim = queue.claim(queue="cpu", worker_id=None)
    assert claim is not None
    return claim


def _control(claim: queue.Claim) -> str | None:
    return queue.heartbeat(trial_id=claim.trial_id, attempt=claim.attempt)


def test_a_pause_and_a_resume(search: Experiment) -> None:
    claim = _claim()
    assert _call("pause", NAME) == f"{NAME} is paused; running trials go on.\n"
    assert queue.claim(queue="cpu", worker_id=None) is None and _control(claim) == ""
    assert _call("resume", NAME) == f"{NAME} goes on.\n"
    assert "are handed back" in _call("pause", NAME, "--hand-back")
    assert _control(claim) == "back"


def test_a_stop(search: Experiment) -> None:
    claim = _claim()
    assert "running trials stop at their next step" in _call("stop", NAME)
    assert _control(claim) == "stop"
    with pytest.raises(ClickException, match="has ended already"):
        _call("stop", NAME)


def test_single_trials_are_cancelled(search: Experiment) -> None:
    first, second = _claim(), _claim()
    assert _call("cancel", NAME, "A0", "B0") == f"2 trials of {NAME} cancelled.\n"
    assert _control(first) == _control(second) == "cancel"
    assert Trial.objects.get(pk=first.trial_id).failure_reason == "cancelled by root"
    for name in ("Z9", "what"):
        with pytest.raises(ClickException, match=f"has no trial {name}"):
            _call("cancel", NAME, name)


def test_failed_trials_are_queued_again(search: Experiment) -> None:
    for claim in (_claim(), _claim()):
        trials.finish(
            trial_id=claim.trial_id,
            state=TrialState.FAILED,
            values=None,
            attempt=claim.attempt,
            failure_kind="lost",
        )
    assert _call("retry", NAME, "A0") == f"1 trial of {NAME} queued.\n"
    assert _call("retry", NAME) == f"1 trial of {NAME} queued.\n"
    assert Trial.objects.filter(retry_of__isnull=False).count() == 2
    with pytest.raises(ClickException, match="queued has no failed trials to retry"):
        _call("retry", NAME)


def test_limits_are_set(search: Experiment) -> None:
    arguments = ("--parallel", "5", "--priority", "-2", "--trials", "4", "--gpu-hours", "8.5")
    said = _call("set", NAME, *arguments)
    assert said == f"{NAME}: parallel 5, priority -2, trials of each arm 4, GPU hours 8.5.\n"
    search.refresh_from_db()
    assert (search.parallel, search.priority, search.budget) == (5, -2, 8)
    assert search.gpu_hours_cap == 8.5
    assert _call("set", NAME, "--gpu-hours", "none") == f"{NAME}: GPU hours no cap.\n"
    search.refresh_from_db()
    assert Experiment.objects.filter(gpu_hours_cap=None, parallel=5).exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Nothing to change"),
        (("--parallel", "0"), "parallel: found 0, expected 1 to 1000"),
        (("--gpu-hours", "many"), "gpu-hours: found many, expected a number or none"),
        (("--trials", "0"), "expected 1 to"),
    ],
)
def test_what_cannot_be_set_is_said(
    search: Experiment, arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ClickException, match=said):
        _call("set", NAME, *arguments)


def test_show_says_what_trials_wait_for(search: Experiment) -> None:
    said = _call("show", NAME)
    assert "Waits for a worker that listens to the queue cpu; none does." in said
