"""JSON that is deep, holds millions of values, or comes large from many at once."""

from __future__ import annotations

import gzip
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.test import Client, RequestFactory
from hypothesis import given, settings
from hypothesis import strategies as st
from ninja import Schema

from experiments.team.services import tokens
from experiments.web import api_bodies
from tests import cast


class _Text(Schema):
    text: str


@pytest.fixture
def secret(db: None) -> str:
    cast.project()
    _, made = tokens.create(
        user=cast.person("cleo"), project=None, name="p", scopes=("read", "write")
    )
    return str(made)


@pytest.mark.parametrize("opened,closed", [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_deep_json_is_refused(client: Client, secret: str, opened: str, closed: str) -> None:
    headers = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
    for depth in (api_bodies.DEEPEST * 2, 100_000):
        body = '{"points": ' + opened * depth + "1" + closed * depth + "}"
        answer = client.generic("POST", "/api/v1/runs", body, "application/json", **headers)
        assert answer.status_code == 400 and answer.json()["ok"] is False


def test_brackets_in_text_and_many_values_in_few_levels_are_not_deep() -> None:
    strings = {"a": "[" * 500 + '"\\' + "{" * 500, "b\\": ["\\", "[", "]", "}"], "c": "\\["}
    text = json.dumps(strings)
    assert not api_bodies._is_deep(text.encode())
    flat = json.dumps({"a": [[{"b": {}}, []] for _ in range(10_000)]})
    assert not api_bodies._is_deep(flat.encode())


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.text('[]{}"\\a,', max_size=6),
        lambda inside: (
            st.lists(inside, max_size=4)
            | st.dictionaries(st.text('[]{}"\\a,', max_size=4), inside, max_size=4)
        ),
    )
)
def test_nothing_shallow_is_taken_for_deep(document: Any) -> None:
    assert not api_bodies._is_deep(json.dumps(document).encode())


@pytest.mark.parametrize("value", [b"[],", b"{},", b"1,", b'"",', b'{"a":1},'])
def test_a_body_that_unpacks_to_millions_of_values_is_refused_before_it_is_built(
    client: Client, secret: str, monkeypatch: pytest.MonkeyPatch, value: bytes
) -> None:
    body = gzip.compress(b'{"points": [' + value * 2_000_000 + b"1]}", compresslevel=9)
    headers = {"HTTP_AUTHORIZATION": f"Bearer {secret}", "HTTP_CONTENT_ENCODING": "gzip"}
    monkeypatch.setattr(api_bodies, "_read", lambda *read: pytest.fail("it was built"))
    answer = client.generic("POST", "/api/v1/runs", body, "application/json", **headers)
    assert answer.status_code == 413 and "values" in answer.json()["error"]


def test_large_bodies_are_read_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most, lock = 0, 0, threading.Lock()
    real = api_bodies._read

    def watched(raw: bytes, schema: Any) -> Any:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        try:
            return real(raw, schema)
        finally:
            with lock:
                at_once -= 1

    monkeypatch.setattr(api_bodies, "_read", watched)
    text = json.dumps({"text": "a" * (2 * api_bodies.LARGE_BYTES)}).encode()
    packed = gzip.compress(text)

    def read(number: int) -> int:
        request = RequestFactory().post(
            "/", packed, "application/json", HTTP_CONTENT_ENCODING="gzip"
        )
        return len(api_bodies.read(request, _Text).text)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(read, range(16))) == {2 * api_bodies.LARGE_BYTES}
    assert most == 1
