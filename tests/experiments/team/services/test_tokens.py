from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from experiments.errors import NotAllowed, NotFound, VerdictError
from experiments.models import ApiToken
from experiments.team.services import tokens
from tests import cast

pytestmark = pytest.mark.django_db


def test_a_token_is_long_random_and_shown_once() -> None:
    project = cast.project()
    made = [
        tokens.create(user=cast.person("ada"), project=project, name=f"deploy {number}")
        for number in range(2)
    ]
    (first, secret), (_, other) = made
    assert secret.startswith("vd_") and len(secret) > 40 and secret != other
    assert first.digest == tokens.digest(secret) and secret not in repr(first.__dict__)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes"),
        ({"expires_at": timezone.now() - dt.timedelta(1)}, "expires_at"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], where: str) -> None:
    arguments: dict[str, object] = {"name": "deploy", "project": cast.project(), **fields}
    with pytest.raises(VerdictError) as raised:
        tokens.create(user=cast.person("ada"), **arguments)  # type: ignore[arg-type]
    assert [problem.where for problem in raised.value.problems] == [where]
    assert not ApiToken.objects.exists()


def test_a_viewer_makes_no_token_that_writes() -> None:
    project = cast.project()
    with pytest.raises(NotAllowed):
        tokens.create(
            user=cast.person("ben"), project=project, name="log", scopes=["read", "write"]
        )


def test_nobody_revokes_another_persons_token() -> None:
    token, _ = tokens.create(user=cast.person("ada"), project=cast.project(), name="deploy")
    with pytest.raises(NotFound):
        tokens.revoke(user=cast.person("ben"), token_id=token.pk)
    assert tokens.revoke(user=cast.person("ada"), token_id=token.pk).revoked_at is not None
