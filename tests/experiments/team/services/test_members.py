from __future__ import annotations

import pytest

from experiments.errors import Conflict, NotAllowed, NotFound, VerdictError
from experiments.models import Membership, Project
from experiments.team.services import invitations, members
from tests import cast

pytestmark = pytest.mark.django_db


def role_of(name: str, project: Project) -> str | None:
    rows = Membership.objects.filter(user__username=name, project=project)
    return rows.values_list("role", flat=True).first()


def test_an_admin_adds_somebody_by_name() -> None:
    project = cast.project()
    members.add(access=cast.access("ada", project), username=" dan ", role="approver")
    assert role_of("dan", project) == "approver"


def test_nobody_is_added_twice() -> None:
    project = cast.project()
    with pytest.raises(Conflict, match="ben is a member already"):
        members.add(access=cast.access("ada", project), username="ben", role="admin")
    assert role_of("ben", project) == "viewer"


@pytest.mark.parametrize("name", ["nobody", ""])
def test_a_name_without_an_account_is_named(name: str) -> None:
    project = cast.project()
    with pytest.raises(VerdictError) as refused:
        members.add(access=cast.access("ada", project), username=name, role="viewer")
    assert "invite them with a link" in refused.value.problems[0].message


def test_a_role_that_there_is_not_is_refused() -> None:
    project = cast.project()
    with pytest.raises(VerdictError) as refused:
        members.change_role(access=cast.access("ada", project), username="ben", role="owner")
    assert refused.value.problems[0].where == "role"


def test_only_an_admin_changes_members() -> None:
    project = cast.project()
    cleo = cast.person("cleo")
    with pytest.raises(NotAllowed):
        members.add(access=cast.access(cleo, project), username="dan", role="viewer")
    with pytest.raises(NotAllowed):
        members.change_role(access=cast.access(cleo, project), username="cleo", role="admin")
    with pytest.raises(NotAllowed):
        members.remove(access=cast.access(cleo, project), username="ada")
    with pytest.raises(NotFound):
        members.remove(access=cast.access("dan", project), username="ada")


def test_a_project_keeps_an_admin() -> None:
    project = cast.project()
    ada = cast.person("ada")
    with pytest.raises(Conflict, match="only admin"):
        members.remove(access=cast.access(ada, project), username="ada")
    with pytest.raises(Conflict, match="only admin"):
        members.change_role(access=cast.access(ada, project), username="ada", role="viewer")
    members.change_role(access=cast.access(ada, project), username="cleo", role="admin")
    members.change_role(access=cast.access(ada, project), username="ada", role="viewer")
    assert (role_of("ada", project), role_of("cleo", project)) == ("viewer", "admin")


def test_an_admin_who_cannot_log_in_does_not_count_as_one() -> None:
    project = cast.project()
    ada, cleo = cast.person("ada"), cast.person("cleo")
    members.change_role(access=cast.access(ada, project), username="cleo", role="admin")
    cleo.is_active = False
    cleo.save()
    with pytest.raises(Conflict, match="only admin"):
        members.remove(access=cast.access(ada, project), username="ada")


def test_the_links_of_an_admin_end_with_that_role() -> None:
    project = cast.project()
    ada, cleo = cast.person("ada"), cast.person("cleo")
    members.change_role(access=cast.access(ada, project), username="cleo", role="admin")
    made = invitations.create(access=cast.access(cleo, project), role="admin")
    members.change_role(access=cast.access(ada, project), username="cleo", role="viewer")
    with pytest.raises(NotFound):
        invitations.find(invitations.token_of(made.pk))


def test_a_member_of_another_project_is_not_removed() -> None:
    project = cast.project()
    other = cast.project("speech")
    members.add(access=cast.access("ada", other), username="dan", role="viewer")
    with pytest.raises(NotFound):
        members.remove(access=cast.access("ada", project), username="dan")
    assert role_of("dan", other) == "viewer"
