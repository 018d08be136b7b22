"""Delivery of due webhooks and mails, in threads.

A message on the queue and every heartbeat wake the threads; what is to be sent lies in the
database, so a message that was lost or came twice changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from smtplib import SMTPException
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import DatabaseError, connections

from experiments.decisions.queries.champion import message_as_sent
from experiments.errors import NotFound
from experiments.team import message_formats
from experiments.team.page_addresses import page
from experiments.team.services import deliveries
from experiments.team.services.deliveries import Answer, Parcel
from experiments.team.webhook_signature import signature
from experiments.verdict.queries.chain_check import note_heads
from workers.delivery.outgoing_http import post

logger = logging.getLogger(__name__)

THREADS = 2  # so that one slow receiver does not hold up the others
NOTE_SECONDS = 60.0
USER_AGENT = "Verdict-Webhook/1"


class Deliverer:
    """The sending threads of a worker node."""

    def __init__(self, threads: int = THREADS) -> None:
        self._due = threading.Event()
        self._closing = threading.Event()
        self._note_at = 0.0
        self._threads = [
            threading.Thread(target=self._run, name=f"deliveries-{index}", daemon=True)
            for index in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Wake the threads. Returns at once."""
        self._due.set()

    def poll(self, *, sends: bool = True) -> None:
        """Wake the threads when heads have not been noted for long or, for one that `sends`, when
        something is due.
        """
        if time.monotonic() > self._note_at or (sends and deliveries.any_due()):
            self.wake()

    def close(self) -> None:
        """End the threads; waits a moment for sends in progress."""
        self._closing.set()
        self._due.set()
        for thread in self._threads:
            thread.join(2.0)

    def _note_heads(self) -> None:
        """Copy the decision logs' heads to this node, so that no single machine can lose them."""
        if time.monotonic() > self._note_at:
            self._note_at = time.monotonic() + NOTE_SECONDS
            note_heads()

    def _run(self) -> None:
        while True:
            self._due.wait()
            if self._closing.is_set():
                return
            self._due.clear()
            try:
                self._note_heads()
                send_due(self._closing)
            except DatabaseError as error:
                logger.warning("the database is away, deliveries wait: %s", error)
            except Exception:
                logger.exception("a delivery broke")
            finally:
                connections.close_all()


def send_due(closing: threading.Event | None = None) -> int:
    """Send everything that is due, one after the other; returns how many attempts were made."""
    made = 0
    while not (closing and closing.is_set()) and (parcel := deliveries.claim()) is not None:
        answer = send(parcel)
        deliveries.record(parcel=parcel, answer=answer)
        made += 1
        # What a receiver says stands on the page of deliveries, not in our log.
        outcome = "sent" if answer.sent else f"not sent ({answer.status or 'no answer'})"
        logger.info("delivery %s: %s", parcel.delivery_id, outcome)
    return made


def send(parcel: Parcel) -> Answer:
    """One attempt; errors are part of the answer."""
    if parcel.refused:
        return Answer(False, f"Refused: {parcel.refused}.", final=True)
    try:
        document = message_as_sent(parcel.project_id, parcel.document)
    except NotFound as error:
        return Answer(False, f"Refused: {error.message}", final=True)
    if parcel.kind == "mail":
        return _mail(parcel.email, document)
    if parcel.kind == "slack":
        body = message_formats.slack_body(document)
    else:
        body = message_formats.json_body(parcel.event_id, document)
    now = int(time.time())
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": USER_AGENT,
        "Verdict-Event": document["event"],
        "Verdict-Delivery": str(parcel.delivery_id),
        "Verdict-Timestamp": str(now),
        "Verdict-Signature": signature(parcel.secret, now, body),
    }
    return post(parcel.address, body, headers, networks=settings.WEBHOOK_NETWORKS)


def _mail(address: str, document: Mapping[str, Any]) -> Answer:
    choices = f"{settings.PUBLIC_URL}{page('messages')}"
    text = message_formats.mail(document, choices)
    try:
        EmailMessage(text.subject, text.body, to=[address]).send()
    except (OSError, SMTPException, ValueError) as error:
        return Answer(False, f"{type(error).__name__}: {error}")
    return Answer(True, f"handed over for {address}")
