from __future__ import annotations

import pytest

from experiments.models import Membership, Project
from tests import cast
from tests.experiments.asking_programs import HERE, Program

pytestmark = pytest.mark.django_db


def test_an_admin_adds_changes_and_removes_members_over_the_api() -> None:
    cast.project()
    admin = Program("ada")
    body = {"username": "dan", "role": "editor"}
    assert admin.post(f"{HERE}/members", body) == (
        201,
        {"username": "dan", "name": "", "role": "editor"},
    )
    assert admin.post(f"{HERE}/members", body)[0] == 409
    assert admin.post(f"{HERE}/members", {"username": "nobody"})[0] == 400
    status, changed = admin.ask("PATCH", f"{HERE}/members/dan", {"role": "approver"})
    assert status == 200 and changed["role"] == "approver"
    assert admin.ask("DELETE", f"{HERE}/members/dan")[0] == 204
    assert not Membership.objects.filter(user__username="dan").exists()
    assert admin.ask("DELETE", f"{HERE}/members/ada")[0] == 409


def test_nobody_but_an_admin_touches_members_and_settings() -> None:
    cast.project()
    for who in ("cleo", "ben"):
        program = Program(who)
        for method, address, body in (
            ("POST", "members", {"username": "dan"}),
            ("PATCH", "members/ben", {"role": "admin"}),
            ("DELETE", "members/ada", None),
            ("PUT", "settings", {"name": "Mine"}),
        ):
            assert program.ask(method, f"{HERE}/{address}", body)[0] == 403
    assert Membership.objects.count() == 3


def test_settings_that_are_left_out_stay_as_they_are() -> None:
    cast.project()
    admin = Program("ada")
    assert admin.ask("PUT", f"{HERE}/settings", {"targets": ["production", "staging"]})[0] == 204
    held = Project.objects.get()
    assert (held.name, held.margin, held.targets) == ("Digits", 0.001, ["production", "staging"])
    assert admin.ask("PUT", f"{HERE}/settings", {"margin": -1})[0] == 400
