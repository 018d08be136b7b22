"""The ASGI application that the web server runs."""

from __future__ import annotations

import gc
import os

import django
from django.conf import settings
from django.urls import get_resolver

from experiments.database import limit_statements
from experiments.dispatch import task_app

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Before anything asks for a connection. Only here: each thread of a pool hands its connection on
# to the next request (config/threads.py); workers keep theirs as long as they need them.
for _database in settings.DATABASES.values():
    _database["CONN_MAX_AGE"] = 60
    _database["CONN_HEALTH_CHECKS"] = True
django.setup(set_prefix=False)
limit_statements(settings.DATABASE_SECONDS)

from config.limits import Limits  # noqa: E402  (these need the settings)
from config.proxied import Proxied  # noqa: E402
from config.static_files import StaticFiles  # noqa: E402
from config.threads import Pools, ThreadedHandler  # noqa: E402
from config.uploads import Uploads  # noqa: E402
from config.watch import Watch  # noqa: E402
from experiments.decisions.queries.champion import newest_decision  # noqa: E402
from experiments.web.long_poll import LongPoll, News  # noqa: E402

_pools = Pools.of(settings.WEB_THREADS)
_django = ThreadedHandler(_pools)
_news = News(newest_decision, in_thread=_pools.polls.run)
_limited = Limits(
    StaticFiles(LongPoll(_django, _news)),
    in_thread=_pools.programs.run,
    uploads=Uploads(_django, in_thread=_pools.downloads.run),
)
application = Watch(Proxied(_limited, prefix=settings.FORCE_SCRIPT_NAME or ""))
# Pages, API and queue are read in before the first visitor comes, not while one waits.
_ = get_resolver().url_patterns, task_app()
# A full collection over all that was read in takes 130 ms and lets nothing else run meanwhile,
# a probe included. None of it is garbage ever: from now on collections leave it out.
gc.collect()
gc.freeze()
