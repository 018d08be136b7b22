"""A data folder that has seen its first start, built once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings


@pytest.fixture(scope="session")
def used_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data folder with tables and an admin; tests copy it, or only read."""
    data = tmp_path_factory.mktemp("launcher") / "used"
    program = """
import django; django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
call_command("migrate", verbosity=0)
get_user_model().objects.create_superuser("admin")
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "VERDICT_DATA": str(data)},
        cwd=settings.BASE_DIR,
        check=True,
    )
    return data
