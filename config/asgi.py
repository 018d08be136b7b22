"""The ASGI application that the web server runs."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

from config.kept_connections import ENGINES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Before anything asks for a connection. Only here: workers keep theirs as long as they need them.
for _database in settings.DATABASES.values():
    _database["ENGINE"] = ENGINES.get(_database["ENGINE"], _database["ENGINE"])
_django = get_asgi_application()

from config.static_files import StaticFiles  # noqa: E402  (these need the settings)
from config.watch import Watch  # noqa: E402
from experiments.api.long_poll import LongPoll, News  # noqa: E402
from experiments.queries.champion import newest_decision  # noqa: E402

application = Watch(StaticFiles(LongPoll(_django, News(newest_decision))))
