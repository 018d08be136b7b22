"""The trackers that `benchmarks.series` runs beside Verdict, each in processes of its own."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from benchmarks._series_work import points, timed_loop, wait_for


class Tracker(Protocol):
    """One run of a tracker that is being logged."""

    def log(self, values: Mapping[str, float], step: int) -> object: ...

    def close(self) -> None:
        """Return when all is stored."""


class Trackio:
    """Local: SQLite, a background thread writes."""

    def __init__(self, place: str, name: str) -> None:
        os.environ["TRACKIO_DIR"] = place
        import trackio

        self._module = trackio
        trackio.init(
            project="bench", name=name, embed=False, auto_log_gpu=False, auto_log_cpu=False
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._module.log(dict(values), step=step)

    def close(self) -> None:
        self._module.finish()


class TensorBoardX:
    """An event file a run."""

    def __init__(self, place: str, name: str) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(Path(place) / name))

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class MLflow:
    """Its tracking server; `batch` points in one request, or one request a call when it is 0."""

    batch = 1000

    def __init__(self, place: str, name: str) -> None:
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        mlflow.set_tracking_uri(place)
        mlflow.set_experiment("bench")
        self._module = mlflow
        self._client = mlflow.MlflowClient()
        self._run = mlflow.start_run(run_name=name).info.run_id
        self._buffer: list[Any] = []

    def log(self, values: Mapping[str, float], step: int) -> None:
        if not self.batch:
            self._module.log_metrics(dict(values), step=step)
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._buffer += [Metric(name, value, now, step) for name, value in values.items()]
        if len(self._buffer) >= self.batch:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._module.end_run()

    def _flush(self) -> None:
        if self._buffer:
            self._client.log_batch(self._run, metrics=self._buffer)
            self._buffer = []


class MLflowByCall(MLflow):
    batch = 0


TRACKERS: dict[str, type[Any]] = {
    "trackio": Trackio,
    "tensorboardX": TensorBoardX,
    "MLflow": MLflow,
    "MLflow by call": MLflowByCall,
}
MODULES = {
    "trackio": "trackio",
    "tensorboardX": "tensorboardX",
    "MLflow": "mlflow",
    "MLflow by call": "mlflow",
}


def serve(pipe: Connection, kind: str, place: str, seed: int, steps: int, go: str) -> None:
    """One training loop: says when it is ready, starts with all others, tells how it was."""
    warnings.simplefilter("ignore")
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # they print where to look
        os.dup2(silence, stream)
    try:
        tracker: Tracker = TRACKERS[kind](place, f"w{seed}")
        calls = points(seed, steps)
        pipe.send("ready")
        wait_for(Path(go))
        told = timed_loop(tracker.log, calls)
        tracker.close()
        pipe.send(told)
    except Exception as error:
        pipe.send(error)


def trackio_points(place: Path) -> int:
    """How many points are stored."""
    count = 0
    for file in place.glob("*.db"):
        with contextlib.closing(sqlite3.connect(file)) as held:
            rows = held.execute("SELECT metrics FROM metrics")
            count += sum(len(json.loads(row[0])) for row in rows)
    return count


def bytes_of(place: Path) -> int:
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


@contextmanager
def _server(command: list[str], address: str, log: Path, **more: str) -> Iterator[str]:
    """A server of a peer until the block ends; gives its address when it answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **more},
        )
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not answer: {log.read_text()[-2000:]}")
            time.sleep(0.3)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)


@contextmanager
def mlflow_server(
    database: str, folder: Path, port: int, python: str = sys.executable
) -> Iterator[str]:
    folder.mkdir(exist_ok=True)
    store = database.replace("postgresql://", "postgresql+psycopg2://")
    command = [python, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--port", str(port), "--artifacts-destination", str(folder / "artifacts")]
    address = f"http://127.0.0.1:{port}"
    environment = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with _server(command, f"{address}/health", folder / "server.log", **environment):
        yield address


def fill_mlflow(address: str, database: str, count: int) -> str:
    """A run with one metric of so many points, straight into its database; its id."""
    import mlflow
    import psycopg2

    mlflow.set_tracking_uri(address)
    mlflow.set_experiment("long")
    with mlflow.start_run() as run:
        mlflow.log_metric("loss", 1.0, step=0)
    run_id: str = run.info.run_id
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as at:
        at.execute(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
            "SELECT 'loss', 1.0 / (s + 1), s, %s, s, false FROM generate_series(1, %s) AS s",
            (run_id, count - 1),
        )
        connection.commit()
    return run_id


def read_mlflow(address: str, run_id: str) -> int:
    """Read one metric's whole history through its client; how many points came."""
    import mlflow

    mlflow.set_tracking_uri(address)
    return len(mlflow.MlflowClient().get_metric_history(run_id, "loss"))


def fill_optuna(path: Path, trials: int, steps: int) -> str:
    """A journal file with so many running trials and their reports; its storage URL."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    study = optuna.create_study(storage=JournalStorage(JournalFileBackend(str(path))))
    for _ in range(trials):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        for step in range(steps):
            trial.report(1 / (step + 1), step)
    return str(path)


@contextmanager
def dashboard(journal: str, folder: Path, port: int) -> Iterator[str]:
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), journal]
    command += [
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--storage-class",
        "JournalFileStorage",
    ]
    address = f"http://127.0.0.1:{port}"
    with _server(command, f"{address}/api/studies", folder / "dashboard.log"):
        yield address
