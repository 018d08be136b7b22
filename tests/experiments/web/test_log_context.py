from __future__ import annotations

import io
import json
import logging
import threading

import pytest
from django.conf import settings
from django.test import Client

from experiments.web.log_context import (
    JsonLines,
    RefusalsInOneLine,
    WithContext,
    WithoutSecrets,
    about,
    begin,
)


def _record(message: str = "claimed %s", *args: object, **more: object) -> logging.LogRecord:
    record = logging.LogRecord("workers.node.runner", logging.INFO, "", 1, message, args, None)
    record.__dict__.update(more)
    WithContext().filter(record)
    return record


def test_lines_inside_name_the_trial_and_lines_after_do_not() -> None:
    with about(trial=17, attempt=2):
        inside = json.loads(JsonLines().format(_record("claimed %s", "it")))
    after = json.loads(JsonLines().format(_record("idle")))
    assert (inside["trial"], inside["attempt"], inside["message"]) == (17, 2, "claimed it")
    assert "trial" not in after


def test_trials_of_other_threads_do_not_mix() -> None:
    seen: list[str] = []
    begin()  # the thread that runs the tests has answered requests before
    with about(trial=1):
        other = threading.Thread(target=lambda: seen.append(_record("x").about))
        other.start()
        other.join()
        assert _record("x").about == "trial=1 "
    assert seen == [""]


@pytest.mark.parametrize("address", ["/login/", "/api/v1/projects"])
def test_a_host_that_is_not_ours_costs_one_short_line(address: str) -> None:
    console = logging.StreamHandler(stream := io.StringIO())
    console.addFilter(RefusalsInOneLine())
    logging.getLogger("django.security").addHandler(console)
    try:
        answer = Client().get(address, headers={"host": "evil.example.org" + "x" * 10_000})
    finally:
        logging.getLogger("django.security").removeHandler(console)
    assert answer.status_code == 400
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("Invalid HTTP_HOST header: 'evil.example.org") and len(line) <= 300


def test_the_console_writes_refusals_in_one_line() -> None:
    assert "refusals" in settings.LOGGING["handlers"]["console"]["filters"]


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    text = JsonLines().format(_record("a\nb", exc_info=info))
    assert "\n" not in text
    assert "two\nlines" in json.loads(text)["exception"]


@pytest.mark.parametrize("place", ["shared", "invitations", "password/MQ"])
def test_no_line_holds_the_secret_of_an_address(place: str) -> None:
    record = _record("Not Found: %s", f"/team/{place}/s3cret-Value/?tab=axes")
    WithoutSecrets().filter(record)
    assert "s3cret" not in record.getMessage()
    assert record.getMessage().endswith("…?tab=axes")
    assert "secrets" in settings.LOGGING["handlers"]["console"]["filters"]


def test_a_message_that_cannot_be_formatted_breaks_nobody() -> None:
    assert WithoutSecrets().filter(_record("%d trials", "many"))
