from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.test import Client

from experiments.models import Membership, Project
from tests import cast

pytestmark = pytest.mark.django_db

P = "/projects/digits/"


def signed_in(client: Client, name: str) -> Client:
    client.force_login(cast.person(name))
    return client


def test_an_admin_invites_and_a_stranger_joins(client: Client, settings) -> None:  # type: ignore[no-untyped-def]
    settings.PUBLIC_URL = "https://verdict.example.org"
    cast.project()
    signed_in(client, "ada")
    page = client.post(f"{P}members/invite/", {"role": "editor", "email": ""}, follow=True)
    [link] = re.findall(
        r"https://verdict\.example\.org(/invitations/[\w:-]+/)<", page.content.decode()
    )
    for word in ("permissions", "expires"):
        for shown in (f"<th>{word}</th>", f'data-label="{word}"'):
            assert shown in page.content.decode()
    stranger = Client()
    assert "Join Digits" in stranger.get(link).content.decode()
    account = {"username": "eve", "password": "seven green herons", "again": "seven green herons"}
    answer = stranger.post(link, account)
    assert (answer.status_code, answer.headers["Location"]) == (302, P)
    assert stranger.get(P).status_code == 200
    assert Membership.objects.get(user__username="eve").role == "editor"
    assert Client().get(link).status_code == 404, "once"


def test_somebody_with_an_account_joins_with_one_press(client: Client) -> None:
    cast.project()
    page = signed_in(client, "ada").post(f"{P}members/invite/", {"role": "viewer"}, follow=True)
    [link] = re.findall(r"(/invitations/[\w:-]+/)<", page.content.decode())
    signed_in(client, "dan")
    assert "You join as dan" in client.get(link).content.decode()
    assert not Membership.objects.filter(user__username="dan").exists(), "looking joins nobody"
    assert client.post(link).status_code == 302
    assert Membership.objects.get(user__username="dan").role == "viewer"


def test_two_passwords_that_differ_make_no_account(client: Client) -> None:
    cast.project()
    page = signed_in(client, "ada").post(f"{P}members/invite/", {"role": "viewer"}, follow=True)
    [link] = re.findall(r"(/invitations/[\w:-]+/)<", page.content.decode())
    account = {"username": "eve", "password": "seven green herons", "again": "six green herons"}
    answer = Client().post(link, account)
    assert answer.status_code == 400 and "passwords differ" in answer.content.decode()
    assert "herons" not in answer.content.decode()


def test_the_link_is_mailed_when_there_is_a_mail_server(client: Client, settings) -> None:  # type: ignore[no-untyped-def]
    settings.EMAIL_HOST = "mail.example.org"
    cast.project()
    signed_in(client, "ada")
    fields = {"role": "viewer", "email": "eve@example.org"}
    page = client.post(f"{P}members/invite/", fields, follow=True).content.decode()
    assert "Mailed to eve@example.org" in page
    [link] = re.findall(r"http[^<\s]+/invitations/[^<\s]+", mail.outbox[0].body)
    # Both are signed with the second in which they were made, which may differ.
    invitation = link.rpartition(":")[0].rpartition(":")[0]
    assert f"{invitation}:" in page


def test_a_mail_server_that_is_down_leaves_the_link_to_copy(
    client: Client, settings, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    def refuse(*args: object, **more: object) -> None:
        raise ConnectionRefusedError

    settings.EMAIL_HOST = "mail.example.org"
    monkeypatch.setattr("experiments.team.services.invitations.send_mail", refuse)
    cast.project()
    fields = {"role": "viewer", "email": "eve@example.org"}
    page = signed_in(client, "ada").post(f"{P}members/invite/", fields, follow=True)
    assert "Copy the invitation link below" in page.content.decode()


def test_a_withdrawn_invitation_leaves_the_page(client: Client) -> None:
    cast.project()
    page = signed_in(client, "ada").post(f"{P}members/invite/", {"role": "viewer"}, follow=True)
    [address] = re.findall(
        r'"(/projects/digits/invitations/\d+/withdraw/)"', page.content.decode()
    )
    assert "/invitations/" not in client.post(address, follow=True).content.decode()
    assert client.post(address).status_code == 404


def test_roles_change_and_the_last_admin_stays(client: Client) -> None:
    cast.project()
    signed_in(client, "ada")
    client.post(f"{P}members/role/", {"username": "ben", "role": "approver"})
    assert Membership.objects.get(user__username="ben").role == "approver"
    page = client.post(f"{P}members/role/", {"username": "ada", "role": "viewer"}, follow=True)
    assert "only admin" in page.content.decode()
    page = client.post(f"{P}members/remove/", {"username": "ada"}, follow=True)
    assert "only admin" in page.content.decode()


def test_whoever_is_removed_sees_the_project_no_longer(client: Client) -> None:
    cast.project()
    signed_in(client, "ada").post(f"{P}members/remove/", {"username": "ben"})
    assert signed_in(client, "ben").get(P).status_code == 404


def test_a_name_that_nobody_has_is_said_at_its_field(client: Client) -> None:
    cast.project()
    fields = {"username": "<b>eve", "role": "viewer"}
    answer = signed_in(client, "ada").post(f"{P}members/add/", fields)
    text = answer.content.decode()
    assert answer.status_code == 400
    assert "Nobody is called" in text and "<b>eve" not in text


def test_a_viewer_sees_names_and_roles_but_no_buttons_or_links(client: Client) -> None:
    cast.project()
    signed_in(client, "ada").post(f"{P}members/invite/", {"role": "admin"})
    text = signed_in(client, "ben").get(f"{P}members/").content.decode()
    assert "cleo" in text and "Remove" not in text and "/invitations/" not in text


SETTINGS = {"name": "Digits", "margin": "0.002", "smallest_gain": "", "targets": "production"}


def test_settings_are_changed_all_or_nothing(client: Client) -> None:
    project = cast.project()
    signed_in(client, "ada")
    answer = client.post(f"{P}settings/", SETTINGS | {"name": "Ten", "targets": "Not a name!"})
    assert answer.status_code == 400 and "lower-case letters" in answer.content.decode()
    project.refresh_from_db()
    assert (project.name, project.margin) == ("Digits", 0.001)
    fields = SETTINGS | {"name": "Ten", "targets": "production, staging"}
    assert client.post(f"{P}settings/", fields).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.margin, project.smallest_gain) == ("Ten", 0.002, None)
    assert project.targets == ["production", "staging"]


@pytest.mark.parametrize("margin", ["-1", "nan", "inf", "a"])
def test_a_margin_that_is_none_is_said_at_its_field(client: Client, margin: str) -> None:
    cast.project()
    answer = signed_in(client, "ada").post(f"{P}settings/", SETTINGS | {"margin": margin})
    assert answer.status_code == 400 and 'class="problems"' in answer.content.decode()


NEW = {"slug": "speech", "name": "Speech", "official_metric": "wer", "direction": "minimize"}


def test_whoever_may_creates_a_project_and_administers_it(client: Client) -> None:
    dan = cast.person("dan")
    signed_in(client, "dan")
    assert "New project" not in client.get("/").content.decode()
    assert client.post("/new-project/", NEW).status_code == 403
    dan.user_permissions.add(Permission.objects.get(codename="add_project"))
    assert "New project" in client.get("/").content.decode()
    assert client.post("/new-project/", NEW).headers["Location"] == "/projects/speech/"
    made = Project.objects.get(slug="speech")
    assert made.direction == "minimize" and made.memberships.get().role == "admin"
    answer = client.post("/new-project/", NEW)
    assert answer.status_code == 400 and "Is taken" in answer.content.decode()
