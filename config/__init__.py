"""Wires the parts together; nothing else imports it.

The Celery application is loaded with Django, so that the web can send tasks by name.
"""

from __future__ import annotations

from workers.celery import app as celery_app

__all__ = ["celery_app"]
