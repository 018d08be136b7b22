from __future__ import annotations

from django.contrib.auth.hashers import ScryptPasswordHasher


class QuickScrypt(ScryptPasswordHasher):
    """A hundred times cheaper; the web server under test verifies its hashes all the same."""

    work_factor = 2**4
