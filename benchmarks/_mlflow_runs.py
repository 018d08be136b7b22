"""The two servers of `benchmarks.mlflow` as one client meets them, and runs made in bulk."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlencode, urlsplit

START = 1_700_000_000_000  # ms since 1970
PIECE = 2**20  # bytes that a client sends or reads at a time
IDLE_SECONDS = 2.0  # after which a server may have closed a connection
PAGE = 25_000  # points of a page of a history, as MLflow's client asks for them


class Tracker:
    """One kept-alive connection to a server that speaks MLflow's protocol."""

    def __init__(self, address: str, token: str = "") -> None:
        url = urlsplit(address)
        self._connection = http.client.HTTPConnection(url.netloc, timeout=120)
        self._path = f"{url.path}/api/2.0/mlflow/"
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._answered = 0.0
        self.seconds: list[float] = []

    def post(self, call: str, **fields: Any) -> dict[str, Any]:
        """Answer of a call; its seconds are kept.

        Raises:
            RuntimeError: when it is refused.
        """
        return self._asked("POST", call, json.dumps(fields).encode())

    def get(self, call: str, **fields: Any) -> dict[str, Any]:
        """As `post`, for a call that reads."""
        return self._asked("GET", f"{call}?{urlencode(fields)}", None)

    def _asked(self, method: str, call: str, body: bytes | None) -> dict[str, Any]:
        start = time.perf_counter()
        if start > self._answered + IDLE_SECONDS:
            self._connection.close()  # opened again by the request
        self._connection.request(method, self._path + call, body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        self._answered = time.perf_counter()
        self.seconds.append(self._answered - start)
        if answer.status != 200:
            raise RuntimeError(f"{call} answers {answer.status}: {text[:300]!r}")
        found: dict[str, Any] = json.loads(text)
        return found

    def send_file(self, name: str, size: int) -> str:
        """Send a file of so many bytes without holding it; its SHA-256."""
        digest = hashlib.sha256()

        def pieces() -> Iterator[bytes]:
            rng, left = random.Random(size), size
            while left:
                piece = rng.randbytes(min(left, PIECE))
                digest.update(piece)
                left -= len(piece)
                yield piece

        headers = {**self._headers, "Content-Length": str(size)}
        self._connection.close()
        self._connection.request("PUT", self._file(name), pieces(), headers)
        answer = self._connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"{name}: {answer.status} {answer.read()[:300]!r}")
        answer.read()
        return digest.hexdigest()

    def file_digest(self, name: str) -> str:
        """SHA-256 of a file as it is read back."""
        digest = hashlib.sha256()
        self._connection.request("GET", self._file(name), None, self._headers)
        answer = self._connection.getresponse()
        while piece := answer.read(PIECE):
            digest.update(piece)
        return digest.hexdigest()

    def _file(self, name: str) -> str:
        return self._path.replace("/mlflow/", "/mlflow-artifacts/artifacts/") + name

    def close(self) -> None:
        self._connection.close()

    def experiment(self, name: str) -> str:
        return str(self.post("experiments/create", name=name)["experiment_id"])

    def run(self, experiment: str) -> str:
        made = self.post("runs/create", experiment_id=experiment, start_time=START)
        return str(made["run"]["info"]["run_id"])

    def history(self, run: str, key: str) -> list[dict[str, Any]]:
        """Points of a metric, page by page."""
        points: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            page = self.get(
                "metrics/get-history", run_id=run, metric_key=key, max_results=PAGE, **token
            )
            points += page.get("metrics", [])
            if not page.get("next_page_token"):
                return points
            token = {"page_token": page["next_page_token"]}


def batch(first: int, steps: int, names: int) -> list[dict[str, Any]]:
    """Points of a batch: so many steps of so many metrics, m0, m1 and so on."""
    return [
        {"key": f"m{name}", "value": 1 / (step + 1), "timestamp": START + step, "step": step}
        for step in range(first, first + steps)
        for name in range(names)
    ]


def multiply(database: str, tables: dict[str, dict[str, str]], run: str, times: int) -> None:
    """Copy a run in its server's database.

    Each table's columns that change are SQL over `s`, the number of the copy; `where` picks the
    run's rows (`%s` is its id). Columns that are not named are copied, a serial `id` is new.
    """
    import psycopg2

    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        for table, changes in tables.items():
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s "
                "AND column_name <> 'id' AND is_generated = 'NEVER'",
                (table,),
            )
            names = [f'"{name}"' for (name,) in cursor.fetchall()]
            values = [changes.get(name.strip('"'), f"t.{name}") for name in names]
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} "
                f"FROM {table} t, generate_series(1, {times}) s WHERE {changes['where']}",
                (run,),
            )
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE")


_UUID = "md5('run ' || s)"  # the copy's id, alike in all tables
OURS = {
    "experiments_trial": {
        "where": "t.run_id = %s",
        "number": "t.number + s",
        "run_id": f"{_UUID}::uuid",
    },
    "experiments_latestmetric": {
        "where": "t.trial_id = (SELECT id FROM experiments_trial WHERE run_id = %s)",
        "trial_id": f"(SELECT id FROM experiments_trial WHERE run_id = {_UUID}::uuid)",
        "value": "1.0 / s",
    },
}
_OF_RUN = {"where": "t.run_uuid = %s", "run_uuid": _UUID}
THEIRS = {
    "runs": _OF_RUN,
    "latest_metrics": {**_OF_RUN, "value": "1.0 / s"},
    "metrics": {**_OF_RUN, "value": "1.0 / s"},
    "params": _OF_RUN,
    "tags": _OF_RUN,
}
