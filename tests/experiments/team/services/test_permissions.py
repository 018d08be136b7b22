from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from experiments.errors import NotAllowed, NotFound
from experiments.models import Membership
from experiments.models.project import Role
from experiments.team.services.permissions import require
from tests import cast

pytestmark = pytest.mark.django_db
ROLES = list(Role)


@pytest.mark.parametrize("held", ROLES)
@pytest.mark.parametrize("wanted", ROLES)
def test_each_role_includes_the_ones_before_it(held: Role, wanted: Role) -> None:
    project = cast.project()
    user = cast.person("eve")
    Membership.objects.create(user=user, project=project, role=held)
    if ROLES.index(held) >= ROLES.index(wanted):
        require(user, project, wanted)
    else:
        with pytest.raises(NotAllowed, match=f"your role is {held}"):
            require(user, project, wanted)


def test_a_stranger_is_told_that_there_is_no_project() -> None:
    with pytest.raises(NotFound):
        require(cast.person("dan"), cast.project(), Role.VIEWER)


def test_a_superuser_may_do_everything() -> None:
    root = User.objects.create_superuser("root")
    require(root, cast.project(), Role.ADMIN)


def test_an_inactive_member_may_do_nothing() -> None:
    project = cast.project()
    User.objects.filter(username="ada").update(is_active=False)
    with pytest.raises(NotFound):
        require(User.objects.get(username="ada"), project, Role.VIEWER)
