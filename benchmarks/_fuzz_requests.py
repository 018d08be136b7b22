"""Requests that work, to begin with: every form of the pages and every body of the API."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from benchmarks import _fuzz_mutations as mutations
from benchmarks._fuzz_mutations import Rng

API = "/api/v1/projects/digits"
PAGE = "/projects/digits"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Request:
    """`body` is a form's fields or a JSON document; `query` what follows the ?."""

    method: str
    path: str
    body: Any = None
    query: dict[str, Any] = field(default_factory=dict)
    is_form: bool = False

    def sent(self, rng: Rng) -> tuple[str, str, bytes, dict[str, str]]:
        """Method, address, body and headers of the request with something wrong in it."""
        where = rng.random()
        path, query, body, headers = self.path, dict(self.query), self.body, {}
        if where < 0.08:
            parts = path.split("/")
            # The first ones say whether this is a page or the API.
            at = int(rng.integers(min(4, len(parts) - 1), len(parts)))
            parts[at] = quote(str(mutations.extreme(rng))[:200], safe="", errors="replace")
            path = "/".join(parts)
        elif query and (body is None or where < 0.25):
            query = mutations.damaged(query, rng)
            query = query if isinstance(query, dict) else {}
        elif body is not None:
            body = mutations.damaged(body, rng)
        address = f"{path}?{_encoded(query)}" if query else path
        raw = b""
        if body is not None:
            raw = _encoded(body).encode() if self.is_form else mutations.as_json(body)
        if raw and rng.random() < 0.08:
            raw = mutations.raw(raw, rng)
        if raw and not self.is_form and rng.random() < 0.05:
            raw, headers = gzip.compress(raw), {"Content-Encoding": "gzip"}
            raw = mutations.raw(raw, rng) if rng.random() < 0.5 else raw
        method = "PUT" if rng.random() < 0.01 else self.method
        return method, address, raw, headers


def _encoded(fields: Any) -> str:
    if not isinstance(fields, dict):
        return str(fields)[:2000].encode(errors="replace").decode()
    pairs = [
        (str(name), element if isinstance(element, str) else str(element))
        for name, value in fields.items()
        for element in (value if isinstance(value, list) else [value])
    ]
    return urlencode(pairs, errors="replace")


def forms(text: str, made: dict[str, Any]) -> Iterator[Request]:
    """What the pages send."""

    def form(path: str, **fields: Any) -> Request:
        return Request("POST", f"{PAGE}/{path}", fields, is_form=True)

    for _ in range(4):  # the file is the largest body of all
        yield form("experiments/new/", text=text)
        yield form("experiments/new/check/", text=text)
    yield form(
        "experiments/new/rows/",
        text=text, edit='{"do": "set", "was": "dropout", "cells": {"low": "0.1"}}',
    )  # fmt: skip
    s, replication = "experiments/s/", made["replication"]
    for word in ("stop", "pause", "resume", "archive", "bring-back", "hand-back", "retry-failed"):
        yield form(f"experiments/r/{word}/", confirm="1")
    yield form(f"{s}edit/", notes="Some *notes*.", tags="a, b")
    yield form(f"{s}rename/", name="t")
    yield form(f"{s}delete/", typed_name="s")
    yield form(f"{s}mute/", muted="1")
    yield form("experiments/r/control/", parallel="2", priority="1", per_arm="24")
    yield form(
        f"{s}add/configuration/",
        **{"value-learning_rate": "1e-3", "value-dropout": "0.1", "value-hidden_units": "2"},
    )
    yield form(f"{s}add/trials/", per_arm="30")
    yield form(f"{s}add/grid/", insist="on")
    yield form(f"{s}trials/{made['trial']}/retry/", x="")
    yield form(f"experiments/r/trials/{made['running']}/cancel/", x="")
    yield form(
        "experiments/u/seeds/",
        candidate=made["candidate"], baseline="", looks="5, 10", margin="0.001",
        score_rule="tail_median", further=[made["other"]], guard_metric="train_loss",
        guard_bound="at most", guard_limit="3",
    )  # fmt: skip
    yield form(f"{s}seeds/{replication}/extra/", pairs="5")
    yield form(f"{s}seeds/{replication}/continue/", x="")
    yield form(f"{s}seeds/{replication}/repeat/", x="")
    yield form(f"{s}seeds/{replication}/open-test/", x="")
    yield form(f"{s}seeds/measure/training_seed/", x="")
    yield form(
        f"{s}decide/record/",
        choice="reject", reason="No.", state=made["state"], target="production",
    )  # fmt: skip
    yield form("champions/revert/", target="production", to="1", current="1", reason="Back.")
    yield form(f"findings/{made['finding']}/dismiss/", reason="Known.", back=f"{PAGE}/")
    yield form("baseline/start/", text=text, seeds="3")
    yield form(
        "baseline/enter/",
        objective="workers.problems.digits:train", parameters="{lr: 0.1}", scores="0.9 0.91",
        source="before", reason="It runs.", commit="", chance="0.1",
    )  # fmt: skip
    yield form("members/add/", username="dan", role="viewer")
    yield form("members/invite/", role="viewer", email="x@example.org")
    yield form("members/role/", username="ben", role="editor")
    yield form("members/remove/", username="ben")
    yield form("settings/", name="Digits", margin="0.001", smallest_gain="", targets="production")
    yield form("webhooks/", name="chat", url="https://hooks.example.org/x", events=["finished"])
    yield form(f"webhooks/{made['webhook']}/secret/", x="")
    yield form(f"webhooks/{made['webhook']}/test/", x="")
    yield form(f"deliveries/{made['delivery']}/again/", x="")
    yield Request("POST", "/account/messages/digits/", {"events": ["decided"]}, is_form=True)
    yield Request(
        "POST", "/account/", {"email": "x@example.org", "password": "secret"}, is_form=True
    )
    joining = {"username": "new", "password": "long and rare 7", "email": ""}
    yield Request("POST", f"/invitations/{made['invitation']}/", joining, is_form=True)
    yield Request(
        "POST", "/account/tokens/", {"name": "x", "scope": "read", "lifetime": "30"}, is_form=True
    )


def bodies(text: str, document: dict[str, Any], made: dict[str, Any]) -> Iterator[Request]:
    """What programs send."""

    def ask(method: str, path: str, body: Any = None, **query: Any) -> Request:
        return Request(method, f"{API}/{path}", body, query)

    s, replication = "experiments/s", made["replication"]
    for _ in range(3):
        yield ask("POST", "experiments", {"file": document})
        yield ask("POST", "experiments", {"text": text})
        yield ask("POST", "check-experiment", {"file": document})
    yield ask("PATCH", s, {"notes": "n", "tags": ["a"]})
    yield ask("DELETE", s, confirm="s")
    yield ask("POST", f"{s}/rename", {"name": "t"})
    yield ask("POST", "experiments/r/stop", {"reason": "enough"})
    yield ask("PUT", "experiments/r/limits", {"parallel": 3, "priority": 2, "per_arm": 30})
    values = {"learning_rate": 0.001, "dropout": 0.1, "hidden_units": 64}
    yield ask("POST", f"{s}/trials", {"parameters": values, "arm": "B"})
    yield ask("POST", f"{s}/budget", {"per_arm": 30})
    yield ask("POST", f"{s}/grid", {"insist": True})
    yield ask("POST", f"{s}/mute", {"muted": True})
    yield ask("POST", f"findings/{made['finding']}/dismiss", {"reason": "Known."})
    yield ask(
        "POST",
        "experiments/u/repetitions",
        {
            "candidate": made["candidate_name"], "further": [made["other_name"]],
            "looks": [5, 10], "margin": 0.001, "score_rule": "tail_median",
            "guards": [{"metric": "train_loss", "bound": "at most", "value": 3.0}],
        },
    )  # fmt: skip
    yield ask("POST", f"{s}/repetitions/{replication}/extra", {"pairs": 5})
    yield ask("POST", f"{s}/variance", {"purpose": "split_seed", "runs": 3})
    decision = {"choice": "reject", "reason": "No.", "target": "production"}
    yield ask("POST", f"{s}/decisions", {**decision, "state": made["state"]})
    yield ask("POST", "revert", {"to": 1, "current": 1, "reason": "Back."})
    yield ask("POST", "baseline", {"text": text, "seeds": 3})
    known = {"objective": "workers.problems.digits:train", "parameters": {"lr": 0.1}}
    more = {"scores": [0.9], "source": "before", "reason": "It runs.", "data": {"name": "d"}}
    yield ask("POST", "baseline/known", known | more)
    yield ask("POST", "members", {"username": "dan", "role": "viewer"})
    yield ask("PATCH", "members/ben", {"role": "editor"})
    yield ask("POST", "invitations", {"role": "viewer", "email": ""})
    yield ask("PUT", "settings", {"name": "D", "margin": 0.1, "targets": ["production"]})
    hook = {"address": "https://hooks.example.org/x", "kind": "json", "events": ["decided"]}
    one = f"webhooks/{made['webhook']}"
    yield ask("POST", "webhooks", hook)
    yield ask("PATCH", one, {"address": "https://hooks.example.org/y", "events": ["failed"]})
    yield ask("POST", f"{one}/secret")
    yield ask("POST", f"{one}/test")
    yield ask("DELETE", one)
    yield ask("POST", f"deliveries/{made['delivery']}/again")
    sizes = {"parameter": "batch_size", "first": 16, "largest": 64, "steps": 5}
    yield ask("POST", f"{s}/batch-size", sizes)
    yield ask("GET", "batch-sizes/1")
    yield ask("POST", "batch-sizes/1/cancel")
    run = {"project": "digits", "experiment": "outside", "params": {"lr": 0.1}}
    told = {"metrics": {"loss": {"split": "train"}}, "tags": ["x"], "data": {"name": "v"}}
    yield Request("POST", "/api/v1/runs", run | told)
    points = [{"step": 1, "metrics": {"loss": 0.5, "validation_accuracy": 0.9}, "time": 1.7e9}]
    here = f"/api/v1/runs/{made['run']}"
    for batch in range(3):
        yield Request("POST", f"{here}/points", {"batch": batch, "points": points})
    yield Request("POST", f"{here}/finish", {"state": "complete", "value": 0.9})


def tracked(made: dict[str, Any]) -> Iterator[Request]:
    """What MLflow clients send, and programs that keep files of their runs."""
    door = f"{PAGE}/api/2.0/mlflow"
    run, experiment = made["tracked_run"], made["tracked_experiment"]
    named = {"run_id": run}
    point = {"key": "loss", "value": 0.5, "timestamp": 1_700_000_000_000, "step": 1}

    def call(path: str, **body: Any) -> Request:
        return Request("POST", f"{door}/{path}", body)

    yield call("experiments/create", name="tracked-too", tags=[{"key": "a", "value": "b"}])
    yield call("experiments/search", filter="name LIKE 'tr%'", max_results=10)
    yield call("experiments/update", experiment_id=experiment, new_name="renamed")
    yield call(
        "runs/create",
        experiment_id=experiment, start_time=1_700_000_000_000, run_name="r",
        tags=[{"key": "mlflow.user", "value": "ada"}],
    )  # fmt: skip
    for _ in range(3):
        yield call("runs/log-metric", **named, **point)
        yield call(
            "runs/log-batch",
            **named, metrics=[point], params=[{"key": "lr", "value": "0.1"}],
            tags=[{"key": "t", "value": "v"}],
        )  # fmt: skip
        yield call(
            "runs/search",
            experiment_ids=[experiment], max_results=5, order_by=["metrics.loss DESC"],
            filter="metrics.loss < 1 and params.lr = '0.1' or tags.t LIKE 'v%'",
        )  # fmt: skip
    yield call("runs/log-parameter", **named, key="width", value="8")
    yield call("runs/set-tag", **named, key="mlflow.note.content", value="*note*")
    yield call("runs/delete-tag", **named, key="t")
    yield call("runs/log-inputs", **named, datasets=[{"dataset": {"name": "d", "digest": "1"}}])
    yield call("runs/update", **named, status="FINISHED", end_time=1_700_000_000_001)
    yield call("runs/delete", **named)
    yield call("logged-models", experiment_id=experiment, name="m", source_run_id=run)
    yield call("logged-models/search", experiment_ids=[experiment], filter="name = 'm'")
    for path, query in (
        ("runs/get", named), ("metrics/get-history", {**named, "metric_key": "loss"}),
        ("artifacts/list", {**named, "path": "a"}),
        ("experiments/get", {"experiment_id": experiment}),
        ("experiments/get-by-name", {"experiment_name": "tracked"}),
    ):  # fmt: skip
        yield Request("GET", f"{door}/{path}", None, query)
    files = f"{PAGE}/api/2.0/mlflow-artifacts/artifacts"
    yield Request("GET", f"{files}/{experiment}/{run}/artifacts/a.txt")
    yield Request("GET", files, None, {"path": f"{experiment}/{run}/artifacts"})


def addresses(made: dict[str, Any]) -> Iterator[Request]:
    """What is only read: the query is what can be wrong."""
    table = {"state": "complete", "arm": "A", "order": "p.dropout", "down": "1", "page": "1"}
    listed = {"q": "s", "state": "running", "order": "best", "page": "1", "tag": "a"}
    for path, query in (
        ("/", listed), ("/experiments/s/", {**table, "tab": "axes", "x": "dropout"}),
        ("/experiments/s/charts/", {"tab": "curves", "metric": "train_loss", "log": "1"}),
        ("/experiments/s/curves/", {"metric": "train_loss", "from": "1", "to": "9"}),
        ("/experiments/s/live/", {"since": "1|2|3"}), ("/experiments/s/trials.csv", table),
        ("/experiments/s/series.csv", {"trials": "1", "metric": "x", "from": "1", "points": "9"}),
        ("/experiments/s/follow-ups/", {"x": "1"}), ("/experiments/s/add/", {"trial": "A1"}),
        ("/experiments/new/", {"extends": "s", "follow": "extend", "hyperparameter": "dropout"}),
        ("/experiments/s/seeds/power/", {"looks": "5, 10", "margin": "0.1", "candidates": "2"}),
        ("/experiments/s/decide/", {"candidate": "1"}), ("/compare/", {"a": "s", "b": "r"}),
        ("/compare/", {"run": "1,2", "experiment": "s", "baseline": "2", "diff": "code"}),
        ("/decisions/", {"choice": "adopt", "q": "x", "page": "1"}),
        (f"/experiments/s/trials/{made['trial']}/", {"metric": "train_loss"}),
    ):  # fmt: skip
        yield Request("GET", PAGE + path, None, query)
    for path, query in (
        ("/experiments", listed), ("/experiments/s/trials", table),
        ("/experiments/s/trials/A1/series", {"first": "1", "last": "2"}),
        ("/experiments/s/follow-ups/extend", {"hyperparameter": "dropout", "edge": "high"}),
        ("/experiments/s/series.csv", {"metric": "train_loss"}), ("/decisions", {"page": "1"}),
        (f"/experiments/s/repetitions/{made['replication']}", {"x": "1"}),
        ("/champion", {"target": "production", "wait": "0"}),
        ("/decisions", {"q": "pays", "choice": "adopt", "target": "production"}),
        ("/experiments/s/charts", {"tab": "curves", "metric": "loss", "trials": "best-3"}),
        ("/experiments/s/charts", {"tab": "contour", "across": "dropout", "up": "hidden_units"}),
        ("/experiments/s/trials/A1/charts", {"metric": "loss"}),
        ("/experiments/s/schedule", {"looks": "5, 10", "margin": "0.1", "candidates": "2"}),
        (f"/experiments/s/trials/A1/files/{made['file']}", {"x": "1"}),
        (f"/experiments/s/repetitions/{made['replication']}/charts", {"x": "1"}),
        ("/compare", {"a": "s", "b": "r"}), ("/deliveries", {"page": "1"}),
    ):  # fmt: skip
        yield Request("GET", API + path, None, query)
    yield Request("GET", "/jump/", None, {"q": "s"})
