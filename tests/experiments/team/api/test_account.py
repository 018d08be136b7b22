from __future__ import annotations

import pytest
from django.test import Client

from tests import cast
from tests.experiments.asking_programs import HERE, Program

pytestmark = pytest.mark.django_db


def test_a_program_learns_in_whose_name_it_acts() -> None:
    project = cast.project()
    program = Program("cleo", ("read",), project)
    assert program.get("/api/v1/account") == {
        "username": "cleo",
        "project": "digits",
        "scopes": ["read"],
        "expires_at": None,
    }


def test_tokens_are_listed_without_their_text_and_revoked() -> None:
    cast.project()
    program, other = Program("cleo"), Program("cleo")
    answer = str(program.get("/api/v1/account/tokens"))
    assert program.secret not in answer and other.secret not in answer
    assert program.ask("DELETE", f"/api/v1/account/tokens/{other.token.pk}")[0] == 204
    assert other.ask("GET", "/api/v1/account")[0] == 401


def test_nobody_revokes_the_token_of_somebody_else() -> None:
    cast.project()
    program, other = Program("cleo"), Program("ada")
    assert program.ask("DELETE", f"/api/v1/account/tokens/{other.token.pk}")[0] == 404
    assert other.ask("GET", "/api/v1/account")[0] == 200


def test_a_token_of_one_project_touches_no_other_token() -> None:
    project = cast.project()
    other, bound = Program("cleo"), Program("cleo", ("read", "write"), project)
    ids = [token["id"] for token in bound.get("/api/v1/account/tokens")["tokens"]]
    assert ids == [bound.token.pk]
    assert bound.ask("DELETE", f"/api/v1/account/tokens/{other.token.pk}")[0] == 404


def test_members_are_listed_with_their_roles() -> None:
    cast.project()
    told = Program("ben", ("read",)).get(f"{HERE}/members")["members"]
    assert [(member["username"], member["role"]) for member in told] == [
        ("ada", "admin"),
        ("cleo", "editor"),
        ("ben", "viewer"),
    ]


def test_the_description_of_the_api_is_for_members_and_programs_only() -> None:
    address = "/api/v1/openapi.json"
    assert Client().get(address).status_code == 401
    program = Program("ben", ("read",)) if cast.project() else None
    assert program is not None
    assert program.get(address)["info"]["title"] == "Verdict"
    client = Client()
    client.force_login(cast.person("ben"))
    assert client.get(address).status_code == 200


def test_a_method_that_an_address_does_not_know_is_refused_in_the_one_shape() -> None:
    cast.project()
    status, answer = Program().ask("PUT", HERE, {})
    assert status == 405 and set(answer) == {"ok", "error", "errors", "status"}
    assert "GET" in answer["error"]
