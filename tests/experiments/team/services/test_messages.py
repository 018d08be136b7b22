from __future__ import annotations

import json

import pytest
from django.db import transaction

from experiments.errors import NotFound, VerdictError
from experiments.models import Decision, Delivery, Event, Experiment, Membership, Project
from experiments.models.webhook import ASKED
from experiments.team.services import messages, webhooks
from experiments.trials.lifecycle.services import experiments
from tests import cast

pytestmark = pytest.mark.django_db


def _hook(project: Project, *events: str) -> int:
    made, _ = webhooks.create(
        access=cast.access("ada", project),
        kind="json",
        address="https://hooks.example.org/x",
        events=events or ASKED,
    )
    return made.pk


def _subscribe(project: Project, name: str, *events: str) -> None:
    person = cast.person(name)
    person.email = f"{name}@example.org"
    person.save()
    messages.choose(access=cast.access(person, project), events=events)


def _adopted(name: str = "first") -> Decision:
    held = cast.repeated(cast.finished_search(name, trials_per_arm=2), looks=(10,))
    return cast.decide(held, "adopt")


def test_a_decision_tells_webhooks_and_members() -> None:
    project = cast.project()
    hook = _hook(project, "decided")
    _subscribe(project, "ben", "decided")
    _subscribe(project, "cleo", "stalled")
    made = _adopted()
    event = Event.objects.get()
    told = json.loads(event.document)
    assert told["event"] == "decided" and told["project"] == "digits"
    assert told["decision"]["hash"] == made.hash and told["decision"]["choice"] == "adopt"
    assert told["address"].endswith("/projects/digits/decisions/1/")
    receivers = Delivery.objects.order_by("pk").values_list("webhook", "user__username")
    assert list(receivers) == [(hook, None), (None, "ben")]


def test_a_decision_against_the_verdict_says_so() -> None:
    project = cast.project()
    _hook(project)
    held = cast.repeated(cast.finished_search("first", trials_per_arm=2), looks=(10,))
    cast.decide(held, "reject", "It needs twice the memory.")
    told = json.loads(Event.objects.get().document)
    assert told["decision"]["overrides_verdict"] is True
    assert "reject, against the verdict" in told["text"]


def test_what_is_rolled_back_tells_nobody() -> None:
    project = cast.project()
    _hook(project)
    with pytest.raises(RuntimeError), transaction.atomic():
        _adopted()
        raise RuntimeError
    assert Event.objects.count() == Delivery.objects.count() == 0


def test_where_nobody_asked_nothing_is_written() -> None:
    cast.project()
    _adopted()
    assert not Event.objects.exists()


def test_a_search_that_is_stopped_is_told_once() -> None:
    project = cast.project()
    _hook(project, "finished", "failed")
    experiment = cast.running_search("wider", done=2, trials_per_arm=4)
    experiments.stop(access=cast.access("ada", experiment), experiment=experiment)
    told = json.loads(Event.objects.get().document)
    assert told["event"] == "finished" and told["experiment"] == "wider"
    assert "is stopped after 4 trials: stopped by ada." in told["text"]


def test_a_search_without_a_complete_trial_has_failed() -> None:
    project = cast.project()
    _hook(project, "finished", "failed")
    experiment = cast.search("wider")
    Experiment.objects.filter(pk=experiment.pk).update(trial_count=3, failed_count=3)
    experiments.stop(access=cast.access("ada", experiment), experiment=experiment)
    event = Event.objects.get()
    assert event.kind == "failed" and "none of its 3 trials completed" in event.document


def test_telling_the_same_again_does_nothing() -> None:
    project = cast.project()
    _hook(project)
    for _ in range(2):
        messages.announce(project=project, kind="stalled", key="k", text="t", path="/")
    assert Event.objects.count() == Delivery.objects.count() == 1


def test_who_left_the_project_or_has_no_address_hears_nothing() -> None:
    project = cast.project()
    _subscribe(project, "ben", "decided")
    _subscribe(project, "cleo", "decided")
    Membership.objects.filter(user=cast.person("ben")).delete()
    cleo = cast.person("cleo")
    cleo.email = ""
    cleo.save()
    _adopted()
    assert not Delivery.objects.exists()


def test_choices_need_a_project_one_may_see_known_events_and_an_address() -> None:
    project = cast.project()
    with pytest.raises(VerdictError, match="no mail address"):
        messages.choose(access=cast.access("ben", project), events=["decided"])
    _subscribe(project, "ben", "finished", "decided")
    ben = cast.person("ben")
    with pytest.raises(VerdictError, match="no such event") as raised:
        messages.choose(access=cast.access(ben, project), events=["lunch"])
    assert raised.value.problems[0].where == "events"
    with pytest.raises(NotFound):
        messages.choose(access=cast.access("dan", project), events=[])
    messages.choose(access=cast.access(ben, project), events=[])
    _adopted()
    assert not Delivery.objects.exists()
