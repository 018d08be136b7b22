"""Changes to one's own account."""

from __future__ import annotations

from contextlib import suppress

from django.conf import settings
from django.contrib.auth.models import User

from experiments.errors import Problem, VerdictError
from experiments.team.services.invitations import checked_email


def change_address(*, user: User, email: str, password: str) -> None:
    """Set where mails go, those with a link for a new password among them.

    Raises:
        VerdictError: for a wrong password, or an address that is none.
    """
    if not user.check_password(password):
        raise VerdictError(
            "Nothing was changed.", [Problem("password", "is not your present password")]
        )
    user.email = checked_email(email)
    user.save(update_fields=["email"])


def forget_first_password(*, user: User) -> None:
    """Remove the file of the first admin's generated password: an administrator has signed in."""
    if user.is_superuser:
        with suppress(OSError):  # another machine's, or read-only: the next start looks again
            settings.FIRST_PASSWORD.unlink(missing_ok=True)
