from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.core import mail, signing
from django.utils import timezone

from experiments.errors import Conflict, NotAllowed, NotFound, VerdictError
from experiments.models import Invitation, Membership
from experiments.team.queries.changes import changes_of
from experiments.team.services import invitations
from tests import cast

pytestmark = pytest.mark.django_db

PASSWORD = "seven green herons"


def invited(role: str = "editor", email: str = "") -> tuple[Invitation, str]:
    project = cast.project()
    made = invitations.create(access=cast.access("ada", project), role=role, email=email)
    return made, invitations.token_of(made.pk)


def test_an_account_is_made_with_the_role_of_the_invitation() -> None:
    made, token = invited("approver", "eve@example.org")
    person = invitations.join(token=token, username="eve", password=PASSWORD)
    assert person.check_password(PASSWORD)
    membership = Membership.objects.get(user=person)
    assert (membership.project_id, membership.role) == (made.project_id, "approver")
    made.refresh_from_db()
    assert made.accepted_by == person and made.ended_at is not None
    (change,) = changes_of(cast.access("ada", made.project)).rows
    assert (change.made_by, change.text) == ("eve", "joined as approver, invited by ada")


def test_a_link_works_once() -> None:
    _, token = invited()
    invitations.accept(user=cast.person("dan"), token=token)
    with pytest.raises(NotFound, match="has ended"):
        invitations.join(token=token, username="eve", password=PASSWORD)
    assert not User.objects.filter(username="eve").exists()


def test_a_link_ends_by_itself() -> None:
    made, token = invited()
    Invitation.objects.filter(pk=made.pk).update(expires_at=timezone.now() - dt.timedelta(1))
    with pytest.raises(NotFound):
        invitations.find(token)


def test_a_withdrawn_link_is_dead() -> None:
    made, token = invited()
    invitations.withdraw(access=cast.access("ada", made.project), invitation_id=made.pk)
    with pytest.raises(NotFound):
        invitations.accept(user=cast.person("dan"), token=token)


def test_a_link_that_was_not_signed_here_opens_nothing() -> None:
    made, token = invited()
    elsewhere = signing.dumps(made.pk, key="x" * 50, salt="experiments.invitation")
    other_purpose = signing.dumps(made.pk, salt="something else")
    for forged in (elsewhere, other_purpose, str(made.pk), token[:-1], "", "\x00"):
        with pytest.raises(NotFound):
            invitations.find(forged)


def test_an_invitation_changes_no_role_of_a_member() -> None:
    made, token = invited("admin")
    with pytest.raises(Conflict, match="already"):
        invitations.accept(user=cast.person("ben"), token=token)
    assert Membership.objects.get(user=cast.person("ben")).role == "viewer"
    made.refresh_from_db()
    assert made.ended_at is None, "whom it was meant for can still follow it"


def test_only_an_admin_invites() -> None:
    project = cast.project()
    for name, refusal in (("cleo", NotAllowed), ("dan", NotFound)):
        with pytest.raises(refusal):
            invitations.create(access=cast.access(cast.person(name), project), role="viewer")


def test_a_name_that_is_taken_and_a_password_that_is_easy_are_refused_together() -> None:
    made, token = invited()
    with pytest.raises(VerdictError) as refused:
        invitations.join(token=token, username="BEN", password="12345")
    wheres = {problem.where for problem in refused.value.problems}
    assert wheres == {"username", "password"}
    made.refresh_from_db()
    assert made.ended_at is None


@pytest.mark.parametrize("name", ["ADA", "\uff41da", " ada", "A\uff24a"])
def test_a_name_that_looks_like_another_is_taken(name: str) -> None:
    _, token = invited()
    with pytest.raises(VerdictError) as refused:
        invitations.join(token=token, username=name, password=PASSWORD)
    assert [problem.where for problem in refused.value.problems] == ["username"]


def test_a_name_is_stored_as_the_login_form_will_read_it() -> None:
    _, token = invited()
    assert invitations.join(token=token, username="\uff45ve ", password=PASSWORD).username == "eve"


def test_a_mail_leaves_when_a_mail_server_is_named(settings) -> None:  # type: ignore[no-untyped-def]
    made, _ = invited("editor", "eve@example.org")
    assert not invitations.mail(invitation=made, link="https://verdict.example.org/x")
    settings.EMAIL_HOST = "mail.example.org"
    made.project.name = "Digits\nBcc: everybody@example.org"
    assert invitations.mail(invitation=made, link="https://verdict.example.org/x")
    [sent] = mail.outbox
    assert sent.to == ["eve@example.org"] and "https://verdict.example.org/x" in sent.body
    assert "\n" not in sent.subject and "Bcc" not in sent.extra_headers


def test_a_mail_address_that_is_none_is_refused() -> None:
    project = cast.project()
    for address in ("nobody", "a@b@c", "eve@example.org\nBcc: all@example.org"):
        with pytest.raises(VerdictError):
            invitations.create(access=cast.access("ada", project), role="viewer", email=address)
