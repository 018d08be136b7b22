"""Renderings of an event: JSON for programs, Slack's format, mail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]
LONGEST_SECTION = 2900  # Slack refuses a section above 3,000 characters


@dataclass(frozen=True, slots=True)
class Mail:
    subject: str
    body: str


def json_body(event_id: int, document: Document) -> bytes:
    """The document with the event's id, which stays the same over every attempt."""
    return json.dumps({"id": event_id, **document}, ensure_ascii=False).encode()


def slack_body(document: Document) -> bytes:
    """`text` for notifications and `blocks` for the channel, as Slack's incoming webhooks read."""
    link = f"<{document['address']}|{_mrkdwn(document['project'])}>"
    lines = [f"*{_mrkdwn(document['event'].capitalize())}*: {_mrkdwn(document['text'])}"]
    reason = (document.get("decision") or {}).get("reason")
    if reason:
        lines += [f"> {line}" for line in _mrkdwn(reason)[:1500].splitlines()[:12]]
    head = document["head"]
    small = f"{link} · log {head['count']}:{head['hash'][:12]}" if head else link
    return json.dumps(
        {
            "text": f"{_mrkdwn(document['project'])}: {_mrkdwn(document['text'])}",
            "blocks": [
                {
                    "type": "section",
                    "text": {"type": "mrkdwn", "text": "\n".join(lines)[:LONGEST_SECTION]},
                },
                {"type": "context", "elements": [{"type": "mrkdwn", "text": small}]},
            ],
        },
        ensure_ascii=False,
    ).encode()


def mail(document: Document, choices_address: str) -> Mail:
    """Plain text. A subject is one line, whatever is in a name."""
    subject = " ".join(f"[{document['project']}] {document['text']}".split())
    lines = [document["text"], "", document["address"]]
    decision = document.get("decision") or {}
    if decision:
        lines[1:1] = ["", f"Reason, by {decision['decided_by']}:", "", decision["reason"]]
    head = document["head"]
    if head and head["hash"]:
        lines += ["", f"The log has {head['count']} entries and ends with {head['hash']}."]
    lines += ["", "-- ", f"Which events reach you by mail: {choices_address}"]
    return Mail(subject if len(subject) <= 150 else f"{subject[:149]}…", "\n".join(lines) + "\n")


def _mrkdwn(text: str) -> str:
    """Slack's three control characters, escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
