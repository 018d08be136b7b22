"""The secret of a webhook and the signature that its receiver checks.

A secret is stored nowhere: it is derived from a random nonce with the key of the decision log,
which is not in the database, so a stolen database signs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from django.conf import settings

_PREFIX = "whsec_"


def secret_of(nonce: str) -> str:
    """Secret for the receiver; the text as it stands, prefix included, is the key."""
    digest = hmac.new(
        settings.DECISION_KEY.encode(), f"verdict webhook {nonce}".encode(), hashlib.sha256
    ).digest()
    return _PREFIX + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """`sha256=` and the HMAC-SHA256, hexadecimal, of timestamp (in seconds), a dot and body."""
    signed = str(timestamp).encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
