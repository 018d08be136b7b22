from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from experiments.models import Invitation, Membership, MessageChoice
from experiments.team.services import invitations
from tests import cast
from tests.experiments.asking_programs import Program

pytestmark = pytest.mark.django_db
MESSAGES, INVITATIONS = "/api/v1/account/messages", "/api/v1/account/invitations"


def test_a_member_chooses_which_events_come_by_mail() -> None:
    cast.project()
    ben = Program("ben")
    User.objects.filter(username="ben").update(email="ben@example.org")
    status, held = ben.ask("PUT", f"{MESSAGES}/digits", {"events": ["decided", "failed"]})
    chosen = {"slug": "digits", "name": "Digits", "events": ["failed", "decided"]}
    assert (status, held) == (200, chosen)
    assert ben.get(MESSAGES) == {"projects": [chosen]}
    assert ben.ask("PUT", f"{MESSAGES}/digits", {"events": ["test"]})[0] == 400
    assert ben.ask("PUT", f"{MESSAGES}/digits", {"events": "decided"})[0] == 422
    assert ben.get(MESSAGES) == {"projects": [chosen]}
    assert ben.ask("PUT", f"{MESSAGES}/digits", {"events": []})[0] == 200
    assert ben.get(MESSAGES)["projects"][0]["events"] == []


def test_whoever_has_no_address_is_told_so() -> None:
    cast.project()
    User.objects.filter(username="ben").update(email="")
    status, error = Program("ben").ask("PUT", f"{MESSAGES}/digits", {"events": ["decided"]})
    assert status == 400 and error["errors"][0]["where"] == "email"


def test_a_token_of_one_project_tells_and_changes_no_other_choice() -> None:
    digits, speech = cast.project(), cast.project("speech")
    User.objects.filter(username="ben").update(email="ben@example.org")
    of_one = Program("ben", scopes=("read",), project=digits)
    assert [row["slug"] for row in of_one.get(MESSAGES)["projects"]] == ["digits"]
    assert of_one.ask("PUT", f"{MESSAGES}/digits", {"events": []})[0] == 403
    wide = Program("cleo", scopes=("read", "write"), project=speech)
    assert wide.ask("PUT", f"{MESSAGES}/digits", {"events": ["decided"]})[0] == 404
    assert Program("dan").ask("PUT", f"{MESSAGES}/digits", {"events": []})[0] == 404
    assert not MessageChoice.objects.exists()


def test_an_invitation_is_followed_once() -> None:
    digits = cast.project()
    made = invitations.create(access=cast.access("ada", digits), role="editor")
    link = f"{INVITATIONS}/{invitations.token_of(made.pk)}"
    dan = Program("dan")
    told = dan.get(link)
    assert (told["project"], told["role"], told["invited_by"]) == ("Digits", "editor", "ada")
    assert Program("dan", scopes=("read",)).post(f"{link}/accept")[0] == 403
    assert dan.post(f"{link}/accept") == (201, {"project": "digits", "role": "editor"})
    assert dan.post(f"{link}/accept")[0] == 404
    assert Program("ben").post(f"{link}/accept")[0] == 404
    assert Membership.objects.get(user__username="dan").role == "editor"


def test_an_invitation_raises_no_members_role_and_stays_open_for_its_receiver() -> None:
    digits = cast.project()
    made = invitations.create(access=cast.access("ada", digits), role="admin")
    accept = f"{INVITATIONS}/{invitations.token_of(made.pk)}/accept"
    assert Program("ben").post(accept)[0] == 409
    assert Membership.objects.get(user__username="ben").role == "viewer"
    assert Program("dan").post(accept)[0] == 201


def test_a_token_of_one_project_joins_no_other() -> None:
    digits, speech = cast.project(), cast.project("speech")
    Membership.objects.filter(project=speech, user__username="cleo").delete()
    made = invitations.create(access=cast.access("ada", speech), role="viewer")
    bound = Program("cleo", scopes=("read", "write"), project=digits)
    status, _ = bound.post(f"{INVITATIONS}/{invitations.token_of(made.pk)}/accept")
    assert status == 403 and Invitation.objects.filter(ended_at__isnull=True).exists()


@pytest.mark.parametrize("damage", ["forged", "withdrawn", "old"])
def test_a_link_that_has_ended_tells_nothing(damage: str) -> None:
    made = invitations.create(access=cast.access("ada", cast.project()), role="viewer")
    token = invitations.token_of(made.pk)
    if damage == "forged":
        token = f"x{token}"
    elif damage == "withdrawn":
        Invitation.objects.update(ended_at=timezone.now())
    else:
        Invitation.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    dan = Program("dan")
    for method, address in (("GET", token), ("POST", f"{token}/accept")):
        status, error = dan.ask(method, f"{INVITATIONS}/{address}")
        assert status == 404 and "Digits" not in error["error"]
