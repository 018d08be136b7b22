from __future__ import annotations

import hashlib
import hmac

from django.test import override_settings

from experiments.team.webhook_signature import secret_of, signature


def test_a_receiver_can_check_a_signature_with_nothing_but_its_secret() -> None:
    secret = secret_of("nonce")
    expected = hmac.new(secret.encode(), b"1763720000." + b"{}", hashlib.sha256).hexdigest()
    assert signature(secret, 1763720000, b"{}") == f"sha256={expected}"


def test_another_time_body_or_secret_has_another_signature() -> None:
    secret = secret_of("nonce")
    made = {
        signature(secret, 1, b"2"),
        signature(secret, 12, b""),
        signature(secret, 1, b"3"),
        signature(secret_of("other"), 1, b"2"),
    }
    assert len(made) == 4


def test_the_secret_depends_on_the_key_outside_the_database() -> None:
    first = secret_of("nonce")
    with override_settings(DECISION_KEY="x" * 40):
        assert secret_of("nonce") != first
