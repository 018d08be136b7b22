from __future__ import annotations

import json
from typing import Any

from experiments.team.message_formats import json_body, mail, slack_body

DOCUMENT: dict[str, Any] = {
    "event": "decided",
    "project": "digits",
    "experiment": "wider",
    "text": "ada decided on wider: adopt (production, decision 3).",
    "address": "https://verdict.example.org/projects/digits/decisions/3/",
    "at": "2026-11-21T10:00:00+00:00",
    "decision": {"reason": "It pays.", "decided_by": "ada"},
    "head": {"count": 3, "hash": "ab" * 32},
}


def test_a_program_reads_the_event_with_its_id_and_the_head_of_the_log() -> None:
    told = json.loads(json_body(7, DOCUMENT))
    assert told == {"id": 7, **DOCUMENT}


def test_slack_gets_text_and_blocks_with_its_control_characters_escaped() -> None:
    document = DOCUMENT | {"text": "<!channel> & <https://evil.example|click>"}
    told = json.loads(slack_body(document))
    section, context = told["blocks"]
    assert "<!channel>" not in json.dumps(told)
    assert (
        "&lt;!channel&gt; &amp;" in told["text"] and "&lt;!channel&gt;" in section["text"]["text"]
    )
    assert "> It pays." in section["text"]["text"]
    assert "log 3:abababababab" in context["elements"][0]["text"]


def test_a_long_reason_stays_below_what_slack_takes() -> None:
    document = DOCUMENT | {"decision": {"reason": "<" * 10_000, "decided_by": "ada"}}
    assert len(json.loads(slack_body(document))["blocks"][0]["text"]["text"]) <= 3000


def test_the_subject_of_a_mail_is_one_short_line_whatever_a_name_holds() -> None:
    made = mail(DOCUMENT | {"text": "x\r\nBcc: dan@example.org " + "y" * 300}, "https://c")
    assert "\n" not in made.subject and "\r" not in made.subject and len(made.subject) <= 150


def test_a_mail_says_the_reason_where_to_look_and_how_to_end_it() -> None:
    body = mail(DOCUMENT, "https://verdict.example.org/account/messages/").body
    assert "It pays." in body and DOCUMENT["address"] in body
    assert "account/messages/" in body and "ab" * 32 in body
