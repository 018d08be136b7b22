"""Changes to one's own account."""

from __future__ import annotations

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
