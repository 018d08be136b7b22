"""A running MLflow server, read over its REST protocol.

Who may ask for this names an address that this machine then calls: only whoever runs the command
line may, never a page or the API. Its token and password come from the environment, as MLflow's
own clients take them, and go to that address alone: no redirect is followed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from experiments.tracking.imports.foreign_runs import (
    Curves,
    ForeignRun,
    ForeignRuns,
    Points,
    UnreadableSource,
    parents_first,
)
from experiments.tracking.imports.readers.mlflow_runs import PARENT, MLflowRun, value_of
from experiments.trials.series.series_encoding import SeriesColumns

_AT_ONCE = 8  # requests
_RUNS_A_PAGE = 500
_POINTS_A_PAGE = 25_000
_MAX_ANSWER_BYTES = 256 * 2**20
_TIMEOUT = urllib3.Timeout(connect=10, read=120)
_RETRIES = urllib3.Retry(
    total=4,
    redirect=False,
    backoff_factor=0.5,
    status_forcelist=(429, 502, 503, 504),
    allowed_methods=None,  # every request here only reads
    raise_on_status=False,
)
Json = Mapping[str, Any]


class _Server:
    """Requests to one server."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.username or parts.password:
            raise UnreadableSource.at(
                f"{parts.scheme}://{parts.hostname}",
                "",
                "Leave user and password out of the address; set MLFLOW_TRACKING_USERNAME "
                "and MLFLOW_TRACKING_PASSWORD.",
            )
        self.address = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
        self._pool = urllib3.PoolManager(
            maxsize=_AT_ONCE, block=True, retries=_RETRIES, timeout=_TIMEOUT, headers=_headers()
        )

    def get(self, path: str, fields: Mapping[str, str]) -> Json:
        """The answer to a GET."""
        return self._ask("GET", f"{path}?{urlencode(fields)}", None)

    def post(self, path: str, body: Json) -> Json:
        """The answer to a POST of JSON."""
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> Json:
        url = f"{self.address}/api/2.0/mlflow/{path}"
        headers = {**self._pool.headers, "Content-Type": "application/json"}
        try:
            answer = self._pool.request(
                method, url, body=body, headers=headers, redirect=False, preload_content=False
            )
            content = answer.read(_MAX_ANSWER_BYTES + 1, decode_content=True)
            answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise self.error(f"The server does not answer: {error}.") from None
        if answer.status != 200:
            raise self.error(_refusal(answer.status, answer.headers.get("Location", ""), content))
        if len(content) > _MAX_ANSWER_BYTES:
            raise self.error("Its answer is too long.")
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self.error("Its answer is no JSON object: this is no server of MLflow.")
        return found

    def error(self, message: str) -> UnreadableSource:
        """An error that names the server."""
        return UnreadableSource.at(self.address, "", message)


def _headers() -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user:
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
        return urllib3.make_headers(basic_auth=f"{user}:{password}")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _refusal(status: int, location: str, content: bytes) -> str:
    if location:
        return f"It leads to {location}; name that address if it is the right one."
    if status in (401, 403):
        return (
            f"It refuses access ({status}). Set MLFLOW_TRACKING_TOKEN, or "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    try:
        message = str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        message = "is this the tracking address of an MLflow server?"
    return f"It answers {status}: {message[:300]}"


def read_server(address: str) -> ForeignRuns:
    """Open a server's runs, experiment by experiment.

    Raises:
        UnreadableSource: when it does not answer, refuses access or is no server of MLflow.
    """
    server = _Server(address)
    with _understood(server):
        found = _pages(server, "experiments/search", "experiments", {"max_results": 1000})
        experiments = [
            (str(experiment["experiment_id"]), str(experiment["name"])) for experiment in found
        ]
    name = urlsplit(server.address).hostname or "mlflow"
    remarks = ["Files stay on the server: import its folder of artifacts to have them here."]
    return ForeignRuns(name, _runs(server, experiments), None, remarks)


@contextmanager
def _understood(server: _Server) -> Iterator[None]:
    """Say that it is no answer of MLflow's where one has other parts."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise server.error("Its answer is none that MLflow gives.") from None


def _pages(server: _Server, path: str, name: str, body: Json) -> Iterator[Json]:
    """All items of a search, over its pages."""
    token = ""
    while True:
        answer = server.post(path, {**body, **({"page_token": token} if token else {})})
        yield from answer.get(name, ())
        token = answer.get("next_page_token", "")
        if not token:
            return


def _runs(server: _Server, experiments: Sequence[tuple[str, str]]) -> Iterator[ForeignRun]:
    for experiment_id, name in experiments:
        body = {
            "experiment_ids": [experiment_id],
            "run_view_type": "ACTIVE_ONLY",
            "max_results": _RUNS_A_PAGE,
            "order_by": ["attributes.start_time ASC"],
        }
        with _understood(server):
            pages = _pages(server, "runs/search", "runs", body)
            found = [_run(server, name, run) for run in pages]
        for run in parents_first(found, lambda run: run.run_id, lambda run: run.parent):
            yield run.foreign()


def _run(server: _Server, experiment: str, run: Json) -> MLflowRun:
    info, data = run["info"], run.get("data", {})
    run_id = str(info.get("run_id") or info["run_uuid"])
    tags = _texts(data.get("tags", ()))
    names = [str(metric["key"]) for metric in data.get("metrics", ())]
    ended = info.get("status") not in ("RUNNING", "SCHEDULED")
    content = json.dumps([info, data], sort_keys=True).encode()
    return MLflowRun(
        run_id=run_id,
        name=str(info.get("run_name", "")),
        experiment=experiment,
        status=str(info.get("status", "")),
        start_ms=int(info.get("start_time") or 0),
        end_ms=int(info.get("end_time") or 0),
        user=str(info.get("user_id", "")),
        parameters=_texts(data.get("params", ())),
        tags={key: text for key, text in tags.items() if key != PARENT or text},
        curves=lambda: _curves(server, run_id, names),
        # A run that goes on is read again: points may come at steps before its last.
        stamp=hashlib.sha256(content).hexdigest() if ended else "",
    )


def _texts(pairs: Sequence[Json]) -> dict[str, str]:
    return {str(pair["key"]): str(pair.get("value", "")) for pair in pairs}


def _curves(server: _Server, run_id: str, names: Sequence[str]) -> Curves:
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        found = threads.map(lambda name: _curve(server, run_id, name), names)
        return dict(zip(names, found, strict=True))


def _curve(server: _Server, run_id: str, name: str) -> SeriesColumns:
    """A metric's whole history; values that JSON has no number for come as text."""
    points = Points()
    fields = {"run_id": run_id, "metric_key": name, "max_results": str(_POINTS_A_PAGE)}
    while True:
        answer = server.get("metrics/get-history", fields)
        with _understood(server):
            for point in answer.get("metrics", ()):
                value = value_of(float(point.get("value", 0.0)))
                points.add(int(point.get("step", 0)), value, int(point.get("timestamp", 0)))
        token = answer.get("next_page_token")
        if not token:
            return points.columns()
        fields = {**fields, "page_token": token}
