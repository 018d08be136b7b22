"""For machines that watch this one: is it alive, is it ready, and its numbers."""

from __future__ import annotations

import hmac
import ipaddress
import logging
from collections.abc import Callable
from contextlib import suppress

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError

from experiments import dispatch
from experiments.site import prometheus
from experiments.verdict.queries.chain_check import cut_logs

logger = logging.getLogger(__name__)

REDIS_SECONDS = 2
View = Callable[[HttpRequest], HttpResponse]


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers. Nothing else is asked: a restart of it would heal nothing else."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Test whether database and Redis answer and no decision log was cut: 200, or 503 that says
    which.

    Which project's log it is stands in the server's own log: anybody may ask here.
    """
    parts = {"database": _database_answers(), "redis": _redis_answers()}
    body = {name: "ok" if well else "away" for name, well in parts.items()}
    if parts["database"]:
        parts["decisions"] = _logs_are_whole()
        body["decisions"] = "ok" if parts["decisions"] else "cut"
    return JsonResponse(body, status=200 if all(parts.values()) else 503)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Numbers for Prometheus, for those who hold the token or come from a listed address."""
    if not _may_scrape(request):
        return HttpResponse(f"{_HOW}\n", status=403, content_type="text/plain")
    try:
        text = prometheus.exposition()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("no metrics, the database is away: %s", error)
        return HttpResponse("the database is away\n", status=503, content_type="text/plain")
    return HttpResponse(text, content_type=prometheus.CONTENT_TYPE)


_HOW = "send METRICS_TOKEN as a bearer token, or have your address listed in METRICS_NETWORKS"
# A proxy that the web server does not trust (see BEHIND_TLS) hides who asks.
_PROXIED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")


def _may_scrape(request: HttpRequest) -> bool:
    given = request.headers.get("Authorization", "").encode()
    token = f"Bearer {settings.METRICS_TOKEN}".encode()
    if settings.METRICS_TOKEN and hmac.compare_digest(given, token):
        return True
    if not settings.BEHIND_TLS and any(name in request.headers for name in _PROXIED):
        return False
    with suppress(ValueError):
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
        networks = map(ipaddress.ip_network, settings.METRICS_NETWORKS)
        return any(address in network for network in networks)
    return False


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return cursor.fetchone() is not None
    except (DatabaseError, InterfaceError) as error:
        logger.warning("not ready, the database is away: %s", error)
        return False


def _logs_are_whole() -> bool:
    """Test whether every decision log still has the head that this node noted."""
    try:
        cut = cut_logs()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("not ready, the logs of decisions cannot be read: %s", error)
        return False
    for problem in cut:
        logger.error("not ready, a decision log was cut: %s", problem)
    return not cut


def _redis_answers() -> bool:
    try:
        with dispatch.task_app().connection_for_write() as queue:
            queue.ensure_connection(max_retries=1, interval_start=0, timeout=REDIS_SECONDS)
    except (OperationalError, OSError) as error:
        logger.warning("not ready, Redis is away: %s", error)
        return False
    return True


PROBES: dict[str, View] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
}


def probes(get_response: View) -> View:
    """Middleware that answers the addresses above before any other has looked at the request.

    Whoever probes calls this machine by an address of its own and without TLS; the check of the
    Host header and the redirect to https would stand in the way.
    """
    return lambda request: PROBES.get(request.path_info, get_response)(request)
