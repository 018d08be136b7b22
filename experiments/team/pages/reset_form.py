"""The request for a link with which a new password is set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth.forms import PasswordResetForm

# Two at a time; what waits when the server ends is lost, and its receiver asks again.
MAILS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="reset-mail")


class ResetForm(PasswordResetForm):
    """Mails leave in a thread of their own: how long the answer takes tells nobody whether there
    is such an account. Django logs one that cannot be sent."""

    def send_mail(self, *arguments: Any, **named: Any) -> None:
        MAILS.submit(super().send_mail, *arguments, **named)
