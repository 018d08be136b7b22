from __future__ import annotations

import pytest
from django.test import Client

from experiments.services import batch_sizes
from tests import cast

pytestmark = pytest.mark.django_db


def test_the_page_shows_what_was_measured_and_the_answer_to_members(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    empty = client.get("/projects/digits/batch-sizes/")
    assert "Nothing was measured yet" in empty.content.decode()
    row = {"batch": 8, "examples_per_second": 1234.0, "step_seconds": 0.0065}
    row |= {"peak_memory_mb": 50.0, "ended": "", "reason": ""}
    end = {**row, "batch": 16, "examples_per_second": None, "step_seconds": None}
    end |= {"ended": "memory", "reason": "no <more>"}
    batch_sizes.record(
        project="digits", objective="a:b", parameters={}, device="cpu", host="h", rows=[row, end]
    )
    text = client.get("/projects/digits/batch-sizes/").content.decode()
    for words in ("Take 8", "1,234", "6.50", "50 MB", "memory: no &lt;more&gt;"):
        assert words in text, words
    client.force_login(cast.person("mallory"))
    assert client.get("/projects/digits/batch-sizes/").status_code == 404
