from __future__ import annotations

import pytest
from django.test import Client

from experiments.trials.lifecycle.services import batch_sizes, workers
from tests import cast

pytestmark = pytest.mark.django_db


def test_the_page_shows_what_was_measured_and_the_answer_to_members(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    empty = client.get("/projects/digits/batch-sizes/")
    assert "No measurements yet" in empty.content.decode()
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


def test_an_editor_asks_watches_and_cancels_on_the_page(client: Client) -> None:
    cast.project()
    cast.search()
    client.force_login(cast.person("cleo"))
    address = "/projects/digits/batch-sizes/"
    chosen = client.get(f"{address}?experiment=label-smoothing").content.decode()
    assert '<option value="label-smoothing" selected>' in chosen
    fields = {"experiment": "label-smoothing", "parameter": "batch_size"}
    fields |= {"first": "8", "largest": "64", "steps": "5"}
    refused = client.post(address, fields)
    assert refused.status_code == 400
    assert "a worker that listens to the queue cpu; none does" in refused.content.decode()
    wrong = client.post(address, {**fields, "first": "many", "experiment": "other"})
    assert 'id="id_first_error"' in wrong.content.decode() and wrong.status_code == 400

    worker = workers.register(name="w", host="h", pid=1, queues=["cpu"], slots=1, devices=["cpu"])
    text = client.post(address, fields, follow=True).content.decode()
    assert "Waits for a worker with a free slot." in text and "asked by cleo" in text
    assert 'data-live="/projects/digits/batch-sizes/live/"' in text
    news = client.get(f"{address}live/").json()
    assert news["again"] and client.get(f"{address}live/?since={news['since']}").status_code == 204
    order = batch_sizes.claim(queue="cpu", worker_id=worker, allocate=lambda gpus: "cpu")
    assert order is not None
    later = client.get(f"{address}live/?since={news['since']}").json()
    assert "Measures batch_size 8." in later["parts"]["measurements"]

    client.post(f"{address}{order.id}/cancel/")
    assert "Ends within seconds." in client.get(address).content.decode()
    batch_sizes.finish(probe_id=order.id, worker_id=worker, rows=[])
    last = client.get(f"{address}live/").json()
    assert not last["again"] and "Cancelled by cleo." in last["parts"]["measurements"]
    client.force_login(cast.person("ben"))
    assert client.post(address, fields).status_code == 403
    assert 'name="steps"' not in client.get(address).content.decode()
