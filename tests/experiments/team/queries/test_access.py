from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from experiments.errors import NotAllowed, NotFound
from experiments.models import Membership
from experiments.models.project import Role
from experiments.team.queries.access import (
    find_project,
    get_project,
    members,
    people_who_may,
    visible_projects,
)
from tests import cast

pytestmark = pytest.mark.django_db


def test_a_stranger_finds_no_project() -> None:
    cast.project()
    assert find_project(cast.person("dan"), "digits") is None
    assert list(visible_projects(cast.person("dan"))) == []


def test_an_administrator_of_the_installation_sees_all() -> None:
    cast.project()
    cast.project("other")
    root = cast.person("root", is_superuser=True)
    assert len(visible_projects(root)) == 2
    found = find_project(root, "digits")
    assert found is not None and found.can_administer


@pytest.mark.parametrize(
    ("name", "may"),
    [("ben", (False, False, False)), ("cleo", (True, False, False)), ("ada", (True, True, True))],
)
def test_each_role_includes_the_ones_before(name: str, may: tuple[bool, bool, bool]) -> None:
    cast.project()
    found = find_project(cast.person(name), "digits")
    assert found is not None
    assert (found.can_edit, found.can_decide, found.can_administer) == may


def test_members_are_listed_the_most_powerful_first() -> None:
    project = cast.project()
    assert [member.username for member in members(project.pk).rows] == ["ada", "cleo", "ben"]


def test_whom_to_ask_are_those_whose_role_is_enough() -> None:
    project = cast.project()
    assert people_who_may(project.pk, Role.EDITOR) == ("ada", "cleo")
    assert people_who_may(project.pk, "approver") == ("ada",)


@pytest.mark.parametrize("held", list(Role))
@pytest.mark.parametrize("wanted", list(Role))
def test_what_a_role_may_do_a_higher_one_may_too(held: Role, wanted: Role) -> None:
    project = cast.project()
    Membership.objects.create(user=cast.person("eve"), project=project, role=held)
    access = cast.access("eve")
    if list(Role).index(held) >= list(Role).index(wanted):
        access.require(wanted)
    else:
        with pytest.raises(NotAllowed, match=f"your role is {held}"):
            access.require(wanted)


def test_a_record_of_another_project_is_not_found() -> None:
    cast.project()
    cast.project("other")
    experiment = cast.search()
    cast.access("ada").require(Role.EDITOR, experiment)
    with pytest.raises(NotFound):
        cast.access("ada", "other").require(Role.EDITOR, experiment)


def test_an_inactive_member_finds_nothing() -> None:
    cast.project()
    User.objects.filter(username="ada").update(is_active=False)
    with pytest.raises(NotFound):
        get_project(User.objects.get(username="ada"), "digits")
