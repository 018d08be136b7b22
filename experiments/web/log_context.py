"""Context of log lines: the trial of a worker's thread, the request being answered.

Set once around the work; every line logged inside carries it, whichever module wrote it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

Fields = Mapping[str, str | int]
_SECRET = re.compile(r"(/(?:shared|invitations|password)/)[^\s'\"?]+")
_context: ContextVar[Fields] = ContextVar("log_context", default=MappingProxyType({}))


@contextmanager
def about(**fields: str | int) -> Iterator[None]:
    """All log lines of this thread or task, until the block ends, carry these fields."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def begin(**fields: str | int) -> None:
    """Forget what log lines carried here, and let all that follow carry these fields.

    For work that has no end of its own to see, such as a request, whose last line is written
    after all of its code has run.
    """
    _context.set(fields)


def value_of(name: str) -> str:
    """A field that log lines carry here, empty where they carry none of that name."""
    return str(_context.get().get(name, ""))


class WithContext(logging.Filter):
    """Gives records `context`, the fields, and `about`, the same as text in front of a message."""

    def filter(self, record: logging.LogRecord) -> bool:
        fields = dict(_context.get())
        record.context = fields
        record.about = "".join(f"{name}={value} " for name, value in fields.items())
        return True


class RefusalsInOneLine(logging.Filter):
    """Requests that Django refuses for what they say (a Host header of another server): whoever
    sends them is no fault of ours, so a warning of one short line and no traceback.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.msg, record.args = f"{record.getMessage():.300}", ()
            record.exc_info = record.exc_text = None
        return True


class WithoutSecrets(logging.Filter):
    """Leaves out of messages what is a secret in an address: of a shared link, an invitation, a
    new password."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # the handler reports what cannot be formatted
            return True
        if _SECRET.search(message):
            record.msg, record.args = _SECRET.sub(r"\1…", message), ()
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, logger, message, the context's fields, and exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, str | int] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            **getattr(record, "context", {}),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
