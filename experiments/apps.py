from __future__ import annotations

from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    """Records experiments and decisions, reads what they say, shows them."""

    name = "experiments"
    default_auto_field = "django.db.models.BigAutoField"
