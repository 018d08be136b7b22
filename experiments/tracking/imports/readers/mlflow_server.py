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
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from experiments.tracking.imports.foreign_runs import (
    Curves,
    ForeignRun,
    ForeignRuns,
    MissingFile,
    Points,
    ServedFile,
    UnreadableSource,
    parents_first,
)
from experiments.tracking.imports.readers.local_files import MAX_FILES
from experiments.tracking.imports.readers.mlflow_runs import PARENT, MLflowRun, value_of
from experiments.trials.series.series_encoding import SeriesColumns

_AT_ONCE = 8  # requests
_RUNS_A_PAGE = 500
_POINTS_A_PAGE = 25_000
_MAX_ANSWER_BYTES, _MAX_REFUSAL_BYTES, _BLOCK = 256 * 2**20, 2**16, 2**20
_MAX_LISTINGS = 1_000  # folders of one run
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


class _Refused(UnreadableSource):
    """The server answers, with another status than 200."""


class _Server:
    """Requests to one server."""

    def __init__(self, address: str) -> None:
        try:
            parts = urlsplit(address)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise UnreadableSource.at(address, "", f"This is no address: {error}.") from None
        if not host:
            raise UnreadableSource.at(address, "", "This address names no server.")
        if parts.username or parts.password:
            raise UnreadableSource.at(
                f"{parts.scheme}://{host}",
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

    def blocks(self, path: str) -> Iterator[bytes]:
        """The content of a file, while it comes.

        Raises:
            MissingFile: when the server does not give it, or breaks off within it.
            UnreadableSource: when the server does not answer.
        """
        with self._asked("GET", f"{self.address}/{path}", None) as answer:
            if answer.status != 200:
                content = answer.read(_MAX_REFUSAL_BYTES)
                location = answer.headers.get("Location", "")
                raise MissingFile(_refusal(answer.status, location, content))
            try:
                yield from answer.stream(_BLOCK)
            except urllib3.exceptions.HTTPError as error:
                raise MissingFile(f"The server broke off: {error}.") from None

    def _ask(self, method: str, path: str, body: bytes | None) -> Json:
        with self._asked(method, f"{self.address}/api/2.0/mlflow/{path}", body) as answer:
            try:
                content = answer.read(_MAX_ANSWER_BYTES + 1, decode_content=True)
            except urllib3.exceptions.HTTPError as error:
                raise self.error(f"The server broke off: {error}.") from None
        if answer.status != 200:
            message = _refusal(answer.status, answer.headers.get("Location", ""), content)
            raise _Refused.at(self.address, "", message)
        if len(content) > _MAX_ANSWER_BYTES:
            raise self.error("Its answer is too long.")
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self.error("Its answer is no JSON object: this is no server of MLflow.")
        return found

    @contextmanager
    def _asked(
        self, method: str, url: str, body: bytes | None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        headers = {**self._pool.headers, "Content-Type": "application/json"}
        try:
            answer = self._pool.request(
                method, url, body=body, headers=headers, redirect=False, preload_content=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise self.error(f"The server does not answer: {error}.") from None
        try:
            yield answer
        except BaseException:  # the rest of it is not wanted
            answer.close()
            raise
        answer.release_conn()

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
    return ForeignRuns(name, _runs(server, experiments))


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
    left_out: list[str] = []
    ended = info.get("status") not in ("RUNNING", "SCHEDULED")
    content = json.dumps([info, data], sort_keys=True).encode()
    outputs = run.get("outputs", {}).get("model_outputs", ())
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
        files=_Files(server, run_id, [str(output["model_id"]) for output in outputs], left_out),
        left_out=left_out,
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


@dataclass(frozen=True, slots=True)
class _Files:
    """Files of a run and of the models that it logged, which the server is asked for."""

    server: _Server
    run_id: str
    models: Sequence[str]
    left_out: list[str]

    def __iter__(self) -> Iterator[ServedFile]:
        for number, file in enumerate(self._all()):
            if number == MAX_FILES:
                self.left_out.append(f"files after the first {MAX_FILES}")
                return
            yield file

    def _all(self) -> Iterator[ServedFile]:
        of_run = {"run_id": self.run_id}
        yield from self._below(
            "", "artifacts/list", of_run, "path", f"get-artifact?{urlencode(of_run)}&path="
        )
        taken: set[str] = set()
        for model in self.models:
            place = f"logged-models/{quote(model, safe='')}"
            try:
                with _understood(self.server):
                    info = self.server.get(place, {})["model"]["info"]
                    name = str(info.get("name") or model)
            except _Refused as error:
                yield _missing(model, error)
                continue
            prefix = f"{name if name not in taken else model}/"
            taken.add(name)
            content = f"ajax-api/2.0/mlflow/{place}/artifacts/files?artifact_file_path="
            listing = f"{place}/artifacts/directories"
            yield from self._below(prefix, listing, {}, "artifact_directory_path", content)

    def _below(
        self, prefix: str, listing: str, fields: Mapping[str, str], path_field: str, content: str
    ) -> Iterator[ServedFile]:
        """Files of a folder and of those in it, as the server lists them."""
        folders, listed = [""], 0
        while folders:
            folder = folders.pop()
            if listed == _MAX_LISTINGS:
                self.left_out.append(f"files in folders after the first {_MAX_LISTINGS}")
                return
            listed += 1
            asked = {**fields, path_field: folder} if folder else fields
            try:
                with _understood(self.server):
                    answer = self.server.get(listing, asked)
                    root = urlsplit(str(answer.get("root_uri", "")))
                    found = [
                        (
                            str(entry["path"]),
                            bool(entry.get("is_dir")),
                            int(entry.get("file_size", 0)),
                        )
                        for entry in answer.get("files", ())
                    ]
            except _Refused as error:
                yield _missing(prefix + folder, error)
                continue
            proxied = f"api/2.0/mlflow-artifacts/artifacts/{quote(root.path.strip('/'))}/"
            base = proxied if root.scheme == "mlflow-artifacts" else content
            for path, is_folder, size in found:
                if is_folder:
                    folders.append(path)
                else:
                    yield ServedFile(
                        prefix + path, size, partial(self.server.blocks, base + quote(path))
                    )


def _missing(name: str, error: UnreadableSource) -> ServedFile:
    """A stand-in for files that the server does not list; the next import asks again."""

    def refuse() -> Iterator[bytes]:
        raise MissingFile(error.problems[0].message)

    return ServedFile(name or "(all)", 0, refuse)
