"""The Celery application, which `manage.py worker` runs.

How messages are delivered is set in ``config.settings`` (the ``CELERY_`` names). Tasks are
included by name and imported by workers only, so that the web process never loads torch.
"""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("verdict", include=["workers.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")
