from __future__ import annotations

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    """Runs trials. Registered for its management commands; it has no tables."""

    name = "workers"
