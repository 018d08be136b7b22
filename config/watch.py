"""Periodic tasks of the web server: messages while no worker lives, pruning of deliveries.

Worker nodes look for stalled experiments and send what is due at every heartbeat. When the last
one has died, whoever should hear of it is told from here. Several web servers may look at once:
an event is told once by its key, and a delivery is claimed by compare-and-set.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from experiments.decisions.services import reviews
from experiments.team.services import deliveries
from experiments.trials.lifecycle.queries.workers import anyone_lives
from experiments.trials.lifecycle.services import stalled
from workers.delivery.deliveries import send_due

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

EVERY_SECONDS = 60.0
CLOSE_SECONDS = 2.0  # for what is being sent; its delivery would be due again
logger = logging.getLogger(__name__)


def look(closing: threading.Event) -> None:
    """Look once: tell of what stands still if no worker does, let proposals expire whose evidence
    changed, and old deliveries go."""
    if not anyone_lives():
        stalled.check()
        send_due(closing)
    reviews.expire_stale()
    days = settings.DELIVERIES_KEEP_DAYS
    while days and not closing.is_set():
        if not deliveries.prune(older_than=dt.timedelta(days=days)):
            break


class Watch:
    """ASGI application in front of another one: from the server's start to its end a thread
    looks every so many seconds, the first time after as many."""

    def __init__(
        self,
        application: Application,
        look: Callable[[threading.Event], None] = look,
        every: float = EVERY_SECONDS,
    ) -> None:
        self.application = application
        self._look = look
        self._every = every

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.application(scope, receive, send)
            return
        closing = threading.Event()
        thread = threading.Thread(target=self._run, args=(closing,), name="watch", daemon=True)
        await receive()  # the server starts
        thread.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()  # it ends
        closing.set()
        thread.join(CLOSE_SECONDS)
        await send({"type": "lifespan.shutdown.complete"})

    def _run(self, closing: threading.Event) -> None:
        while not closing.wait(self._every):
            try:
                self._look(closing)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("the database is away, stalled work is not checked: %s", error)
            except Exception:
                logger.exception("looking for stalled work broke")
            finally:
                connections.close_all()
