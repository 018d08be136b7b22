from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parent.parent.parent


def test_django_finds_nothing_to_complain_of_behind_tls(tmp_path: Path) -> None:
    """`make lint` runs the same; cookies are secure and HSTS is on."""
    environment = {
        **os.environ,
        "BEHIND_TLS": "1",
        "VERDICT_DATA": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "ALLOWED_HOSTS": "verdict.example.org",
        "CSRF_TRUSTED_ORIGINS": "https://verdict.example.org",
    }
    for name in ("SECRET_KEY", "DECISION_KEY", "DEBUG"):
        environment.pop(name, None)
    check = (
        "import django; django.setup()\n"
        "from django.conf import settings\n"
        "from django.core.management import call_command\n"
        "call_command('check', deploy=True, fail_level='WARNING')\n"
        "assert settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE\n"
        "assert settings.SECURE_HSTS_SECONDS > 0 and settings.SECURE_SSL_REDIRECT\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
