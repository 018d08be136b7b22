from __future__ import annotations

import pytest

from experiments.models import Experiment, Trial
from experiments.models.trial import FailureKind, TrialState
from tests import cast
from tests.experiments.asking_programs import HERE, Program

pytestmark = pytest.mark.django_db
ONE = f"{HERE}/experiments/s"


def test_limits_change_while_a_search_runs() -> None:
    cast.project()
    cast.search("s")
    program = Program("cleo", ("write",))
    assert program.ask("PUT", f"{ONE}/limits", {"parallel": 5, "per_arm": 20})[0] == 200
    held = Experiment.objects.get()
    assert (held.parallel, held.budget) == (5, 40)
    assert program.ask("PUT", f"{ONE}/limits", {"parallel": 0})[0] == 400


def test_running_trials_are_handed_back_and_a_trial_is_cancelled() -> None:
    cast.project()
    cast.running_search("s", done=2)
    program = Program("cleo", ("write",))
    name = program.get(f"{ONE}/trials?state=running")["trials"][0]["name"]
    assert program.post(f"{ONE}/trials/{name}/cancel")[0] == 204
    assert program.post(f"{ONE}/hand-back") == (200, {"name": "s", "state": "paused"})
    running = Trial.objects.filter(state=TrialState.RUNNING)
    assert sorted(running.values_list("control", flat=True)) == ["back", "cancel"]


def test_all_that_failed_by_accident_is_queued_again() -> None:
    cast.project()
    cast.finished_search("s", trials_per_arm=3)
    some = Trial.objects.order_by("pk").values_list("pk", flat=True)[:2]
    Trial.objects.filter(pk__in=list(some)).update(
        state=TrialState.FAILED, failure_kind=FailureKind.EXCEPTION
    )
    program = Program("cleo", ("write",))
    assert program.post(f"{ONE}/retry-failed") == (200, {"added": 2})
    assert program.post(f"{ONE}/retry-failed")[0] == 409
