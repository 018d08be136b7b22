"""The ASGI application that the web server runs."""

from __future__ import annotations

import os

import django
from django.conf import settings
from django.urls import get_resolver

from config.kept_connections import ENGINES
from experiments.database import limit_statements

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Before anything asks for a connection. Only here: workers keep theirs as long as they need them.
for _database in settings.DATABASES.values():
    _database["ENGINE"] = ENGINES.get(_database["ENGINE"], _database["ENGINE"])
django.setup(set_prefix=False)
limit_statements(settings.DATABASE_SECONDS)

from config.static_files import StaticFiles  # noqa: E402  (these need the settings)
from config.threads import ThreadedHandler  # noqa: E402
from config.watch import Watch  # noqa: E402
from experiments.decisions.queries.champion import newest_decision  # noqa: E402
from experiments.web.long_poll import LongPoll, News  # noqa: E402

application = Watch(
    StaticFiles(LongPoll(ThreadedHandler(settings.WEB_THREADS), News(newest_decision)))
)
# Every page and the API are read in before the first visitor comes, not while one waits.
_ = get_resolver().url_patterns
