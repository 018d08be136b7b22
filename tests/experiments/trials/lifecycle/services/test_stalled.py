from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from experiments.models import Event, Experiment, Project, SeriesBatch, Trial, Worker
from experiments.models.trial import TrialState
from experiments.team.services import webhooks
from experiments.trials.lifecycle.services import stalled
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    made = cast.project()
    webhooks.create(
        access=cast.access("ada", made),
        kind="json",
        address="https://hooks.example.org/x",
        events=["stalled", "decision wanted", "failed"],
    )
    return made


def _told() -> list[tuple[str, str]]:
    rows = Event.objects.order_by("pk").values_list("kind", "document")
    return [(kind, document) for kind, document in rows]


def _an_hour_ago(experiment: Experiment) -> None:
    then = timezone.now() - dt.timedelta(hours=1)
    Experiment.objects.filter(pk=experiment.pk).update(active_at=then)
    trials = Trial.objects.filter(study__experiment=experiment)
    trials.update(started_at=then)
    SeriesBatch.objects.filter(trial__in=trials).update(written_at=then)


def _worker(**more: object) -> None:
    now = timezone.now()
    fields = {"pid": 1, "queues": "cpu", "started_at": now, "heartbeat_at": now, **more}
    Worker.objects.create(name="node", host="node", **fields)


def test_a_complete_look_wants_a_decision_once(project: Project) -> None:
    cast.repeated(cast.finished_search("first", trials_per_arm=2), looks=(10, 20), done=10)
    stalled.check()
    stalled.check()
    [(kind, document)] = _told()
    assert kind == "decision wanted"
    assert "complete at 10 pairs" in document and "/experiments/first/decide/" in document


def test_replicates_that_still_run_or_are_decided_want_none(project: Project) -> None:
    held = cast.repeated(cast.finished_search("first", trials_per_arm=2), looks=(10,), done=4)
    stalled.check()
    assert _told() == []
    cast.finish_pairs(held, 10)
    cast.decide(held, "adopt")
    stalled.check()
    assert _told() == []


def test_broken_replicates_are_told_instead(project: Project) -> None:
    held = cast.repeated(cast.finished_search("first", trials_per_arm=2), looks=(10,))
    broken = Trial.objects.replicates_of(held).first()
    assert broken is not None
    Trial.objects.filter(pk=broken.pk).update(state=TrialState.FAILED, failure_kind="exception")
    stalled.check()
    stalled.check()
    [(kind, document)] = _told()
    assert kind == "failed" and "1 replicate failed by accident" in document


def test_a_trial_that_logs_nothing_has_stalled_whatever_its_heartbeat_says(
    project: Project,
) -> None:
    experiment = cast.running_search("wider", done=1, trials_per_arm=4)
    _worker()
    stalled.check()
    assert _told() == []
    _an_hour_ago(experiment)
    stalled.check()
    stalled.check()
    [(kind, document)] = _told()
    assert kind == "stalled" and "none of its 2 trials has logged" in document
    assert "made no progress for 60 minutes" in document


def test_a_sign_of_life_ends_it_and_the_next_standstill_is_told_again(project: Project) -> None:
    experiment = cast.running_search("wider", done=1, trials_per_arm=4)
    _an_hour_ago(experiment)
    stalled.check()
    assert len(_told()) == 1
    SeriesBatch.objects.filter(trial__study__experiment=experiment).update(
        written_at=timezone.now()
    )
    stalled.check()
    assert len(_told()) == 1
    SeriesBatch.objects.filter(trial__study__experiment=experiment).update(
        written_at=timezone.now() - dt.timedelta(minutes=40)
    )
    stalled.check()
    assert len(_told()) == 2


def test_without_a_living_worker_of_its_queue_it_stalls(project: Project) -> None:
    _an_hour_ago(cast.search("wider"))
    _worker(heartbeat_at=timezone.now() - dt.timedelta(hours=1))
    stalled.check()
    [(kind, document)] = _told()
    assert kind == "stalled" and "no live worker serves the queue cpu" in document


def test_one_that_waits_for_its_turn_has_not_stalled(project: Project) -> None:
    _an_hour_ago(cast.search("wider"))
    cast.running_search("busy", done=1, trials_per_arm=4)
    _worker()
    stalled.check()
    assert _told() == []


def test_a_paused_experiment_does_not_stall(project: Project) -> None:
    experiment = cast.search("wider")
    _an_hour_ago(experiment)
    Experiment.objects.filter(pk=experiment.pk).update(state="paused")
    stalled.check()
    assert _told() == []


def test_where_nobody_listens_two_queries_are_all_it_costs(
    django_assert_num_queries: object,
) -> None:
    cast.project()
    _an_hour_ago(cast.search("wider"))
    with django_assert_num_queries(2):  # type: ignore[operator]
        stalled.check()
    assert _told() == []
