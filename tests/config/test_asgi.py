from __future__ import annotations

import subprocess
import sys

import pytest
from django.conf import settings

HEAVY = ("torch", "sklearn", "optuna.samplers", "optuna.study")


@pytest.mark.parametrize("name", HEAVY)
def test_the_web_process_never_loads(name: str) -> None:
    program = (
        "import sys, config.asgi\n"
        "from django.urls import get_resolver\n"
        "get_resolver().url_patterns\n"  # imports every view
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert "django.contrib.auth" in loaded
    assert name not in loaded
