"""A log that its database's owner has forged: every answer that rests on it is 409."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from experiments.decisions.services import champions, decisions
from experiments.errors import Conflict
from experiments.models import Decision, Delivery, Event, Project, Replication
from experiments.team.services import tokens, webhooks
from experiments.verdict.queries import chain_check
from experiments.verdict.queries.chain_check import intact_log
from experiments.verdict.queries.noted_heads import note_head
from tests import cast
from tests.services_under_test.receiver import Receiver
from workers.delivery.deliveries import send_due

pytestmark = pytest.mark.django_db

API = "/api/v1/projects/digits"
PAGES = "/projects/digits"
ANSWERS = (
    *(
        f"{API}/champion",
        f"{API}/champion/checkpoint",
        f"{API}/champions",
        API,
        "/api/v1/projects",
    ),
    *(f"{API}/decisions", f"{API}/decisions.jsonl", f"{API}/decisions/1"),
    *(f"{PAGES}/decisions/", f"{PAGES}/decisions/1/", f"{PAGES}/decisions/1.md"),
    *(f"{PAGES}/decisions.csv", f"{PAGES}/decisions.jsonl", f"{PAGES}/champions/", f"{PAGES}/"),
)
# What rolls the newest adopt back, and the decision at fault.
NEWEST = "WHERE sequence = 2"
FORGERIES = {
    "another choice": (
        f"UPDATE experiments_decision SET choice = 'reject' {NEWEST}",
        "decision 2",
    ),
    "another target": (
        f"UPDATE experiments_decision SET target = 'staging' {NEWEST}",
        "decision 2",
    ),
    "in front of the others": (
        f"UPDATE experiments_decision SET sequence = 0 {NEWEST}",
        "decision 0",
    ),
    "another reason": (f"UPDATE experiments_decision SET reason = 'x' {NEWEST}", "decision 2"),
    "an older entry": (
        "UPDATE experiments_decision SET evidence = '{}' WHERE sequence = 1",
        "decision 1",
    ),
    "an older entry gone": (
        "DELETE FROM experiments_decision WHERE sequence = 1",
        "decision 1 is missing",
    ),
}
# What leaves a chain that holds by itself, found by the head alone.
CUTS = {
    "a cut tail": f"DELETE FROM experiments_decision {NEWEST}",
    "an emptied log": "DELETE FROM experiments_decision",
}


@pytest.fixture(scope="module")
def made_project(module_db: None) -> Project:
    """Two adopts of production, the second stands."""
    made = cast.project()
    for name in ("first", "second"):
        held = cast.repeated(cast.finished_search(name, trials_per_arm=2), looks=(10,))
        cast.decide(held, "adopt")
    return made


@pytest.fixture
def project(made_project: Project) -> Project:
    return copy.deepcopy(made_project)


def _asked(address: str) -> tuple[int, str]:
    client = Client()
    if address.startswith("/api/"):
        _, secret = tokens.create(user=cast.person("ben"), project=None, name="deploy")
        answer = client.get(address, headers={"Authorization": f"Bearer {secret}"})
    else:
        client.force_login(cast.person("ben"))
        answer = client.get(address)
    body = b"".join(answer) if answer.streaming else answer.content  # type: ignore[arg-type]
    return answer.status_code, body.decode()


def _answers_409(at_fault: str) -> None:
    for address in ANSWERS:
        status, text = _asked(address)
        if address.endswith("/1/") or address.endswith("/1.md"):
            assert status in (404, 409), address  # an emptied log has no page of an entry
        else:
            assert status == 409, address
            assert at_fault.lower() in text.lower(), address


def test_a_log_that_nobody_touched_answers_everywhere(project: Project) -> None:
    found = {address: _asked(address)[0] for address in ANSWERS}
    assert found.pop(f"{API}/champion/checkpoint") == 404  # none was kept
    assert set(found.values()) == {200}, found


@pytest.mark.parametrize("forgery", FORGERIES)
def test_no_answer_rests_on_a_forged_log(project: Project, forgery: str) -> None:
    statement, at_fault = FORGERIES[forgery]
    cast.by_hand(statement)
    _answers_409(at_fault)


@pytest.mark.parametrize("forgery", ["another choice", "another target", "an older entry gone"])
def test_a_log_that_was_verified_before_is_seen_to_change_at_once(
    project: Project, forgery: str
) -> None:
    assert _asked(f"{API}/champion")[0] == 200
    cast.by_hand(FORGERIES[forgery][0])
    status, text = _asked(f"{API}/champion")
    assert status == 409 and FORGERIES[forgery][1] in text


def test_what_the_small_columns_do_not_tell_is_found_when_the_log_is_walked_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _asked(f"{API}/champion")[0] == 200
    cast.by_hand(FORGERIES["an older entry"][0])
    monkeypatch.setattr(chain_check, "VERIFIED_SECONDS", -1.0)
    assert _asked(f"{API}/champion")[0] == 409


def test_an_altered_reason_of_the_champion_is_found_however_fresh_the_check(
    project: Project,
) -> None:
    assert _asked(f"{API}/champion")[0] == 200
    cast.by_hand(FORGERIES["another reason"][0])
    assert _asked(f"{API}/champion")[0] == 409
    assert _asked(f"{API}/decisions/2")[0] == 409
    assert _asked(f"{PAGES}/decisions/2/")[0] == 409


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_log_is_found_by_the_head_that_this_node_noted(project: Project, cut: str) -> None:
    note_head(project.pk, project.slug, intact_log(project).head)
    cast.by_hand(CUTS[cut])
    _answers_409("2 when the head was noted")


def test_another_projects_log_does_not_answer_under_this_name(project: Project) -> None:
    other = cast.project("fashion")
    note_head(project.pk, project.slug, intact_log(project).head)
    Project.objects.filter(pk=other.pk).update(slug="was-fashion")
    Project.objects.filter(pk=project.pk).update(slug="fashion")
    status, text = _asked("/api/v1/projects/fashion/champion")
    assert status == 409 and "was called digits" in text


@pytest.mark.parametrize("forgery", FORGERIES)
def test_nothing_is_recorded_on_a_forged_log(project: Project, forgery: str) -> None:
    dropped = cast.finished_search("third", trials_per_arm=1)
    cast.by_hand(FORGERIES[forgery][0])
    before = Decision.objects.count()
    with pytest.raises(Conflict, match="was altered"):
        decisions.record(
            access=cast.access("ada", dropped),
            experiment=dropped,
            choice="dropped without seeds",
            reason="Not worth it.",
        )
    assert Decision.objects.count() == before


@pytest.mark.parametrize("forgery", FORGERIES)
def test_nothing_is_compared_with_the_champion_of_a_forged_log(
    project: Project, forgery: str
) -> None:
    third = cast.finished_search("third", trials_per_arm=2)
    cast.by_hand(FORGERIES[forgery][0])
    with pytest.raises(Conflict, match="was altered"):
        cast.repeated(third)
    assert not Replication.objects.filter(experiment=third).exists()


def test_a_card_of_the_list_says_that_its_log_is_forged_and_others_stand(
    project: Project,
) -> None:
    cast.project("fashion")
    cast.by_hand(FORGERIES["another target"][0])
    status, text = _asked("/")
    assert status == 200 and "decision 2: its signature" in text.lower()
    assert text.count("The decision log was altered.") == 1 and "fashion" in text


def test_nobody_reverts_on_a_forged_log(project: Project) -> None:
    cast.by_hand("UPDATE experiments_decision SET reason = 'x' WHERE sequence = 1")
    with pytest.raises(Conflict, match="decision 1: its signature"):
        champions.revert(
            access=cast.access("ada", project),
            target="production",
            to=1,
            current=2,
            reason="Back.",
        )


@pytest.fixture
def hook(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """Hears of the decisions of a new project."""
    monkeypatch.setattr(settings, "WEBHOOK_NETWORKS", ["127.0.0.0/8"])
    webhooks.create(
        access=cast.access("ada", cast.project()),
        kind="json",
        address=receiver.url,
        events=["decided"],
    )
    return receiver


def _sent(hook: Receiver) -> dict[str, Any]:
    assert send_due() == 1
    told: dict[str, Any] = json.loads(hook.got[-1][1])
    return told


def _adopted() -> Decision:
    held = cast.repeated(cast.finished_search("first", trials_per_arm=2), looks=(10,))
    return cast.decide(held, "adopt")


def test_each_message_of_a_webhook_is_a_receipt_of_the_head(hook: Receiver) -> None:
    made = _adopted()
    told = _sent(hook)
    assert told["head"] == {"count": 1, "hash": made.hash} and told["problems"] == []
    assert told["decision"]["hash"] == made.hash


def test_a_message_from_a_forged_log_tells_what_is_wrong_and_no_decision(hook: Receiver) -> None:
    _adopted()
    cast.by_hand("UPDATE experiments_decision SET target = 'staging'")
    told = _sent(hook)
    assert told["decision"] is None and told["head"] is None
    assert told["problems"][0].startswith("decision 1: its signature")
    assert "Keep what is deployed" in told["text"]


def test_a_decision_that_nobody_made_is_not_sent(hook: Receiver) -> None:
    _adopted()
    event = Event.objects.get()
    document = json.loads(event.document)
    document["decision"]["hash"] = "0" * 64
    Event.objects.update(document=json.dumps(document))
    assert send_due() == 1 and hook.got == []
    assert "log holds no such decision" in Delivery.objects.get().answer


def test_a_message_says_what_the_log_says_and_not_what_became_of_its_event(
    hook: Receiver,
) -> None:
    made = _adopted()
    document = json.loads(Event.objects.get().document)
    document["text"] = "ada decided on evil: adopt."
    document["decision"] |= {"candidate": {"objective": "evil"}, "target": "staging"}
    Event.objects.update(document=json.dumps(document))
    told = _sent(hook)
    assert told["decision"]["target"] == "production" and "evil" not in json.dumps(told)
    assert told["text"].startswith(f"ada decided on {made.experiment.name}: adopt")  # type: ignore[union-attr]
