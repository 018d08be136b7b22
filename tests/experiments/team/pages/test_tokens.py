from __future__ import annotations

import re

import pytest
from django.test import Client

from experiments.models import ApiToken
from tests import cast

pytestmark = pytest.mark.django_db

ADDRESS = "/account/tokens/"
FIELDS = {"name": "deploy", "project": "digits", "scope": "read", "lifetime": "90"}


def test_a_token_is_shown_once_and_never_cached(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    answer = client.post(ADDRESS, FIELDS)
    secret = re.findall(r"vd_[\w-]{40,}", answer.content.decode())[0]
    assert "no-store" in answer.headers["Cache-Control"]
    text = client.get(ADDRESS).content.decode()
    assert secret not in text and "<th>created</th>" in text and 'data-label="created"' in text
    token = ApiToken.objects.get()
    assert secret not in (token.digest, token.prefix) and secret.startswith(token.prefix)
    assert token.expires_at is not None


def test_a_token_is_revoked_by_its_owner_only(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    client.post(ADDRESS, FIELDS)
    token = ApiToken.objects.get()
    client.force_login(cast.person("ada"))
    assert client.post(f"{ADDRESS}{token.pk}/revoke/").status_code == 404
    client.force_login(cast.person("ben"))
    assert (
        "no longer works"
        in client.post(f"{ADDRESS}{token.pk}/revoke/", follow=True).content.decode()
    )
    token.refresh_from_db()
    assert token.revoked_at is not None


def test_somebody_elses_tokens_are_not_listed(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    client.post(ADDRESS, FIELDS)
    client.force_login(cast.person("ada"))
    assert "No tokens yet" in client.get(ADDRESS).content.decode()


def test_a_token_for_a_project_of_others_is_not_made(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("dan"))
    assert client.post(ADDRESS, FIELDS).status_code == 404
    assert not ApiToken.objects.exists()


def test_a_viewer_gets_no_token_that_writes(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    answer = client.post(ADDRESS, FIELDS | {"scope": "write"})
    assert answer.status_code == 200 and "your role is viewer" in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_a_token_without_a_name_is_asked_for_one(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    assert "This field is required" in client.post(ADDRESS, FIELDS | {"name": ""}).content.decode()
