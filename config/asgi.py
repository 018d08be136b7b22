"""The ASGI application that the web server runs."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
_django = get_asgi_application()

from config.static_files import StaticFiles  # noqa: E402  (needs the settings)

application = StaticFiles(_django)
