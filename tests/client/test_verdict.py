from __future__ import annotations

import ast
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from django.test import Client

from experiments.models import Decision, Experiment, Replication, Trial
from experiments.team.services import tokens
from experiments.trials.series.queries import series
from experiments.verdict.evidence.evidence import evaluate
from tests import cast
from tests.client.fake_server import FakeServer
from tests.client.starting import FILE, start
from tests.services_under_test.web_server import WebServer
from tests.waiting import wait_until


def test_it_needs_nothing_but_the_standard_library() -> None:
    names = set()
    for node in ast.walk(ast.parse(FILE.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    assert names <= set(sys.stdlib_module_names)


def test_a_run_sends_all_that_was_logged_in_order(client: ModuleType, server: FakeServer) -> None:
    with start(client, server, params={"lr": 0.1, "optimizer": {"name": "adam"}}) as run:
        for step in range(50):
            run.log({"loss": 1 / (step + 1), "acc": step}, step=step)
    assert server.points == [(s, {"loss": 1 / (s + 1), "acc": float(s)}) for s in range(50)]
    created = server.requests[0][1]
    assert created["params"] == {"lr": 0.1, "optimizer.name": "adam"}
    assert server.requests[0][2]["Authorization"] == "Bearer vd_x"
    assert server.bodies("/finish") == [{"state": "complete", "value": None, "reason": ""}]
    assert server.connections == 1


def test_values_of_any_library_and_what_is_not_finite_are_sent(
    client: ModuleType, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with start(client, server, params={"n": np.int64(3), "path": Path("a")}) as run:
        run.log({"a": np.float32(0.5), "b": torch.tensor(2), "c": float("nan"), "d": True}, step=1)
        for _ in range(3):
            run.log({"bad": [1.0], "worse": "0.5", "e": float("-inf")}, step=np.int64(2))
        run.log({"f": torch.ones(1)}, step=2.5)
        run.log({"g": 1}, step="x")
    assert server.points[0] == (1, {"a": 0.5, "b": 2.0, "c": "NaN", "d": 1.0})
    assert server.points[1:4] == [(2, {"e": "-Infinity"})] * 3
    assert server.points[4] == (2.5, {"f": 1.0})
    assert server.points[5] == (5, {"g": 1.0})  # calls are counted
    assert server.requests[0][1]["params"] == {"n": 3, "path": "a"}
    said = capfd.readouterr().err
    assert said.count("'bad'") == said.count("'worse'") == 1


def test_large_calls_and_long_buffers_are_split(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_POINTS", 10)
    with start(client, server) as run:
        for step in range(8):
            run.log({f"m{k}": k for k in range(3)}, step=step)
        run.log({f"m{k}": k for k in range(25)}, step=8)
    sizes = [sum(len(call["metrics"]) for call in calls) for calls in server.batches.values()]
    assert max(sizes) <= 10 and sum(sizes) == 8 * 3 + 25


def test_while_the_server_is_away_nothing_waits_and_nothing_is_lost(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MEMORY_BYTES", 2000)
    run = start(client, server)
    server.status = 503
    server.answers.clear()
    for step in range(1500):
        run.log({"loss": step / 7}, step=step)
    assert len(server.bodies("/points")) <= 1, "the first request hangs, and nobody waits for it"
    server.answers.set()
    for step in range(1500, 3000):
        run.log({"loss": step / 7}, step=step)
    wait_until(lambda: len(server.bodies("/points")) > 3)
    wait_until(lambda: run._sender._queue._file._rolled)  # on disk
    server.status = 200
    run.finish()
    assert server.points == [(s, {"loss": s / 7}) for s in range(3000)]


def test_a_lost_answer_doubles_nothing(client: ModuleType, server: FakeServer) -> None:
    run = start(client, server)
    server.losing = True
    run.log({"loss": 1.0}, step=1)
    wait_until(lambda: len(server.bodies("/points")) >= 2)
    server.losing = False
    run.finish()
    assert server.points == [(1, {"loss": 1.0})]


def test_creating_is_tried_again_with_the_same_key(client: ModuleType, server: FakeServer) -> None:
    server.losing = True

    def answer_the_next() -> None:
        wait_until(lambda: len(server.bodies("/runs")) > 1)
        server.losing = False

    waiting = threading.Thread(target=answer_the_next)
    waiting.start()
    start(client, server).finish()
    waiting.join()
    created = server.bodies("/runs")
    assert len(created) > 1 and len({body["key"] for body in created}) == 1


def test_what_was_not_delivered_is_told_at_the_end(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CLOSE_SECONDS", 0.05)
    run = start(client, server)
    server.status = 503
    run.log({"loss": 1.0, "acc": 2.0}, step=1)
    with pytest.raises(client.VerdictError, match="2 points were not delivered"):
        run.finish()


@pytest.mark.parametrize("status", [401, 404, 422])
def test_a_refusal_says_why_and_is_not_repeated(
    client: ModuleType, server: FakeServer, status: int
) -> None:
    server.status = status
    with pytest.raises(client.VerdictError, match=f"{status}.*refused.*params.x: is wrong"):
        start(client, server)
    assert len(server.requests) == 1


def test_a_refusal_while_logging_ends_the_logging_and_not_the_training(
    client: ModuleType, server: FakeServer
) -> None:
    run = start(client, server)
    server.status = 403
    run.log({"loss": 1.0})
    wait_until(lambda: run._sender._error)
    for _ in range(1000):
        run.log({"loss": 1.0})
    assert len(run._calls) == 0
    with pytest.raises(client.VerdictError, match="403"):
        run.finish()


def test_an_exception_fails_the_run_and_passes_through(
    client: ModuleType, server: FakeServer
) -> None:
    with pytest.raises(RuntimeError, match="diverged"), start(client, server) as run:
        run.log({"loss": 1.0}, step=3)
        raise RuntimeError("diverged")
    (ending,) = server.bodies("/finish")
    assert ending["state"] == "failed" and "RuntimeError: diverged" in ending["reason"]
    assert server.points == [(3, {"loss": 1.0})]


def test_an_error_of_the_program_is_not_hidden_by_one_of_ours(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CLOSE_SECONDS", 0.05)
    with pytest.raises(RuntimeError, match="diverged"), start(client, server) as run:
        server.status = 503
        run.log({"loss": 1.0})
        raise RuntimeError("diverged")


@pytest.mark.parametrize("rank", ["1", "7"])
def test_ranks_above_0_send_nothing(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch, rank: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    with start(client, server) as run:
        run.log({"loss": 1.0})
        assert not run.stop_requested
    assert server.requests == []


def test_rank_0_sends(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    with start(client, server) as run:
        run.log({"loss": 1.0})
    assert len(server.points) == 1


def test_a_stop_is_heard(client: ModuleType, server: FakeServer) -> None:
    run = start(client, server)
    server.stop = True
    run.log({"loss": 1.0})
    wait_until(lambda: run.stop_requested)
    run.finish()


def test_a_run_that_only_thinks_is_kept_alive(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "KEEP_ALIVE_SECONDS", 0.02)
    run = start(client, server)
    wait_until(lambda: {} in server.bodies("/points"))
    run.finish()


def test_address_and_token_come_from_the_environment(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERDICT_URL", server.url)
    monkeypatch.setenv("VERDICT_TOKEN", "vd_env")
    client.run(project="digits", experiment="laptop").finish()
    assert server.requests[0][2]["Authorization"] == "Bearer vd_env"
    with pytest.raises(client.VerdictError, match="no http or https address"):
        client.run(project="digits", experiment="laptop", url="localhost:8000")


def test_a_program_that_forgets_to_finish_delivers_and_fails_the_run(server: FakeServer) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(FILE.parent)!r}); import verdict\n"
        f"run = verdict.run(project='a', experiment='b', url={server.url!r}, token='t')\n"
        "run.log({'loss': 1.0}, step=5)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert server.points == [(5, {"loss": 1.0})]
    assert server.bodies("/finish")[0]["state"] == "failed"


@pytest.mark.django_db(transaction=True)
def test_against_the_real_server_all_is_read_back_exactly(
    client: ModuleType, web_server: WebServer, transactional_db: None
) -> None:
    cast.project()
    _, secret = tokens.create(
        user=cast.person("cleo"), project=None, name="laptop", scopes=("write",)
    )
    with client.run(
        project="digits",
        experiment="laptop",
        url=web_server.url,
        token=secret,
        name="wide",
        params={"lr": 0.1},
        train_seed=3,
    ) as run:
        run.config.layers = 3
        run.summary["machine"] = "a"
        for step in range(2000):
            values = {"train/loss": step / 7, "λ": float("nan"), "test_accuracy": 0.5}
            run.log({**values, "validation_accuracy": step / 2000}, step=step)
    trial = Trial.objects.get()
    assert (trial.value, trial.best_step, trial.train_seed) == (1999 / 2000, 1999, 3)
    assert (trial.run_name, trial.parameters) == ("wide", '{"lr":0.1,"layers":3}')
    assert trial.user_attributes == '{"machine":"a"}'
    curves = series.read([trial.pk])[trial.pk]
    assert set(curves) == {"train/loss", "λ", "validation_accuracy"}
    assert curves["train/loss"].values.tolist() == [step / 7 for step in range(2000)]
    assert np.isnan(curves["λ"].values).all() and len(curves["λ"].values) == 2000
    assert Experiment.objects.get().state == "finished"


def test_a_verdict_over_runs_from_outside_from_the_first_run_to_the_adopt(
    client: ModuleType, web_server: WebServer, transactional_db: None
) -> None:
    cast.project()
    _, secret = tokens.create(
        user=cast.person("cleo"), project=None, name="laptop", scopes=("write",)
    )
    place = {"project": "digits", "experiment": "laptop"}
    place |= {"url": web_server.url, "token": secret}

    def train(run: Any) -> None:
        """Better with a lower rate; the seeds, both of them, move the score."""
        noise = (run.train_seed % 100 + (run.split_seed or 0) % 10) / 20_000
        for epoch in range(10):
            accuracy = 0.9 - run.params["lr"] * (1 + noise) + noise - 0.5 / (epoch + 1)
            run.log({"validation_accuracy": accuracy}, step=epoch)

    for seed, lr in enumerate((0.1, 0.2)):
        with client.run(**place, params={"lr": lr, "layers": 3}, train_seed=seed) as run:
            train(run)
    browser = Client()
    browser.force_login(cast.person("ada"))
    page = "/projects/digits/experiments/laptop/"
    better, worse = Trial.objects.order_by("pk")
    declared = {"candidate": better.pk, "baseline": worse.pk, "looks": "3, 6", "margin": "0.001"}
    browser.post(f"{page}seeds/", declared | {"score_rule": "tail_median"})
    replication = Replication.objects.get()
    for side in ("candidate", "baseline"):
        for pair in range(1, 4):
            with client.run(**place, replication=replication.pk, side=side) as run:
                assert run.pair == pair
                train(run)
    with pytest.raises(client.VerdictError, match="All 3 replicates of the baseline"):
        client.run(**place, replication=replication.pk, side="baseline")
    evidence = evaluate(Replication.objects.get())
    assert evidence.verdict is not None
    assert (evidence.outcome, evidence.verdict.paired) == ("adopt", True)
    assert not evidence.verdict.on_this_split
    text = browser.get(f"{page}decide/").content.decode()
    state = re.findall(r'name="state" value="(\w+)"', text)[0]
    fields = {"choice": "adopt", "reason": "It gains a tenth.", "state": state}
    browser.post(f"{page}decide/record/", fields)
    decision = Decision.objects.get()
    assert (decision.choice, decision.candidate) == ("adopt", better.configuration)
    answer = browser.get(
        "/api/v1/projects/digits/champion", headers={"Authorization": f"Bearer {secret}"}
    )
    assert answer.json()["configuration"]["parameters"] == {"lr": 0.1, "layers": 3}


def test_a_replicate_is_handed_what_to_train_and_says_whether_it_split_by_its_seed(
    client: ModuleType, server: FakeServer
) -> None:
    server.created = {"params": {"lr": 0.1}, "pair": 2, "train_seed": 7, "split_seed": 9}
    with start(client, server, replication=4, side="baseline", pair=2) as run:
        assert (run.params, run.pair, run.train_seed) == ({"lr": 0.1}, 2, 7)
    assert server.requests[0][1]["replication"] == 4
    with start(client, server, replication=4, side="baseline") as run:
        assert run.split_seed == 9
    with start(client, server, params={"lr": 0.3}, train_seed=1) as run:
        assert (run.params, run.train_seed, run.split_seed) == ({"lr": 0.3}, 1, None)
    told = [body.get("read_split_seed") for body in server.bodies("/finish")]
    assert told == [False, True, None]
    assert "replication" not in server.requests[-2][1]
