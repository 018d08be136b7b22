"""MLflow's folder, database and server, as MLflow 3.17 writes them and answers."""

from __future__ import annotations

import http.server
import json
import math
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from experiments.tracking.imports.foreign_runs import (
    ForeignRun,
    ForeignRuns,
    MissingFile,
    ReadOptions,
    UnreadableSource,
)
from experiments.tracking.imports.readers import mlflow, mlflow_server

PARENT_ID, CHILD_ID, DELETED_ID = "a" * 32, "b" * 32, "0" * 32
RUN = """artifact_uri: file:///elsewhere/mlruns/1/{run_id}/artifacts
end_time: {end}
entry_point_name: ''
experiment_id: '1'
lifecycle_stage: {stage}
run_id: {run_id}
run_name: {name}
start_time: 1735700000000
status: {status}
tags: []
user_id: eve
"""
DATABASE = """
CREATE TABLE experiments (experiment_id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(256) NOT NULL,
    artifact_location VARCHAR(256), lifecycle_stage VARCHAR(32));
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL PRIMARY KEY, name VARCHAR(250),
    user_id VARCHAR(256), status VARCHAR(9), start_time BIGINT, end_time BIGINT,
    lifecycle_stage VARCHAR(20), artifact_uri VARCHAR(200), experiment_id INTEGER);
CREATE TABLE metrics ("key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL,
    run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0' NOT NULL,
    is_nan BOOLEAN DEFAULT '0' NOT NULL,
    PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan));
CREATE TABLE params ("key" VARCHAR(250) NOT NULL, value VARCHAR(8000) NOT NULL,
    run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY ("key", run_uuid));
CREATE TABLE tags ("key" VARCHAR(250) NOT NULL, value VARCHAR(8000),
    run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY ("key", run_uuid));
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
INSERT INTO experiments VALUES (1, 'digits', 'mlruns/1', 'active');
INSERT INTO runs VALUES
    ('{child}', 'inner', 'eve', 'FAILED', 1735700000000, 1735700009000, 'active', '{files}', 1),
    ('{parent}', 'outer', 'eve', 'FINISHED', 1735700000000, 1735700009000, 'active', '', 1),
    ('{deleted}', 'gone', 'eve', 'RUNNING', 1735700000000, NULL, 'deleted', '', 1);
INSERT INTO params VALUES ('lr', '0.1', '{child}');
INSERT INTO tags VALUES ('mlflow.parentRunId', '{parent}', '{child}'),
    ('mlflow.note.content', 'why', '{child}'), ('team', 'vision', '{child}');
INSERT INTO metrics VALUES
    ('val/acc', 0.5, 1735700001000, '{child}', 0, 0),
    ('val/acc', 0.75, 1735700002000, '{child}', 1, 0),
    ('loss', 0.0, 1735700003000, '{child}', 1, 1),
    ('loss', 1.7976931348623157e308, 1735700004000, '{child}', 2, 0),
    ('loss', -1.7976931348623157e308, 1735700005000, '{child}', 3, 0);
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_run(
    experiment: Path, run_id: str, name: str, status: int, stage: str = "active"
) -> Path:
    folder = experiment / run_id
    meta = RUN.format(run_id=run_id, name=name, status=status, stage=stage, end=1735700009000)
    write(folder / "meta.yaml", meta)
    return folder


@pytest.fixture
def mlruns(tmp_path: Path) -> Path:
    """A folder with a nested run, whose id sorts before its parent's, and a deleted one."""
    root = tmp_path / "mlruns"
    experiment = root / "1"
    write(experiment / "meta.yaml", "experiment_id: '1'\nlifecycle_stage: active\nname: digits\n")
    write_run(experiment, PARENT_ID, "outer", 3)
    write_run(experiment, DELETED_ID, "gone", 1, stage="deleted")
    child = write_run(experiment, CHILD_ID, "inner", 4)
    write(child / "params/lr", "0.1")
    write(child / "tags/mlflow.parentRunId", PARENT_ID)
    write(child / "tags/mlflow.note.content", "why")
    write(child / "tags/team", "vision")
    write(child / "metrics/val/acc", "1735700001000 0.5 0\n1735700002000 0.75 1\n")
    write(child / "metrics/loss", "1735700003000 nan 1\n1735700004000 inf 2\n1 -inf 3\n")
    write(child / "artifacts/plots/curve.txt", "a plot")
    return root


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "mlflow.db"
    folder = tmp_path / "mlruns" / "1" / CHILD_ID / "artifacts"
    write(folder / "plots/curve.txt", "a plot")
    connection = sqlite3.connect(path)
    connection.executescript(
        DATABASE.format(
            child=CHILD_ID, parent=PARENT_ID, deleted=DELETED_ID, files=folder.as_uri()
        )
    )
    connection.close()
    return path


def read(source: Path | str) -> ForeignRuns:
    return mlflow.read(str(source), ReadOptions())


def points(run: ForeignRun, name: str) -> list[tuple[float, float]]:
    columns = run.curves()[name]
    return list(zip(columns.steps.tolist(), columns.values.tolist(), strict=True))


def problem(source: Path | str) -> str:
    with pytest.raises(UnreadableSource) as caught:
        list(read(source).runs)
    return str(caught.value.problems[0])


def check_child(run: ForeignRun, files: list[str]) -> None:
    """All that the nested run says, whichever way it came."""
    assert (run.key, run.name, run.experiment, run.state) == (
        CHILD_ID,
        "inner",
        "digits",
        "failed",
    )
    assert (run.parent, run.notes, run.user) == (PARENT_ID, "why", "eve")
    assert (run.parameters, run.tags) == ({"lr": "0.1"}, {"team": "vision"})
    assert run.started_at is not None
    assert run.finished_at is not None
    assert (run.finished_at - run.started_at).total_seconds() == 9
    assert points(run, "val/acc") == [(0, 0.5), (1, 0.75)]
    assert run.curves()["val/acc"].times_ms.tolist() == [1735700001000, 1735700002000]
    (_, nan), *infinite = points(run, "loss")
    assert math.isnan(nan)
    assert infinite == [(2, math.inf), (3, -math.inf)]
    assert sorted(file.name for file in run.files) == files


@pytest.mark.parametrize("kind", ["mlruns", "database"])
def test_a_nested_run_comes_whole_and_after_its_parent(
    kind: str, request: pytest.FixtureRequest
) -> None:
    found = read(request.getfixturevalue(kind))
    parent, child = found.runs
    assert (parent.key, parent.state) == (PARENT_ID, "complete")
    check_child(child, ["plots/curve.txt"])
    assert child.files[0].path.read_text() == "a plot"
    assert "1 deleted runs are left out." in found.remarks


@pytest.mark.parametrize("kind", ["mlruns", "database"])
def test_a_runs_stamp_changes_when_it_grows(kind: str, request: pytest.FixtureRequest) -> None:
    source: Path = request.getfixturevalue(kind)
    before = {run.key: run.stamp for run in read(source).runs}
    assert before == {run.key: run.stamp for run in read(source).runs}
    if source.is_dir():
        with (source / "1" / CHILD_ID / "metrics/val/acc").open("a") as file:
            file.write("1735700003000 0.875 2\n")
    else:
        connection = sqlite3.connect(source)
        connection.execute(
            "INSERT INTO metrics VALUES ('val/acc', 0.1, 1735700000500, ?, 0, 0)", (CHILD_ID,)
        )
        connection.commit()
        connection.close()
    after = {run.key: run.stamp for run in read(source).runs}
    assert after[PARENT_ID] == before[PARENT_ID]
    assert after[CHILD_ID] != before[CHILD_ID]


def test_the_folder_around_mlruns_may_be_named_and_its_files_say_where_they_break(
    mlruns: Path,
) -> None:
    child = mlruns / "1" / CHILD_ID
    write(child / "metrics/loss", "1735700003000 0.5 1\nbroken\n1735700004000 0.25\n17357000")
    write(child / "metrics/val/acc", f"1735700003000 0.5 1\n1735700003000 0.5 {'9' * 400}\n")
    write(mlruns / "1" / PARENT_ID / "meta.yaml", "run_id: [half\n")
    found = read(mlruns.parent)
    parent, run = found.runs
    assert points(run, "loss") == [(1, 0.5), (0, 0.25)]
    assert list(run.left_out) == [
        "metric loss, line 2: not time, value and step",
        "metric loss, line 4: not time, value and step",
        "metric val/acc, line 2: not time, value and step",
    ]
    assert parent.key == PARENT_ID
    assert "meta.yaml" in parent.left_out[0]


def test_links_out_of_the_folder_bring_nothing_in(mlruns: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    write(secret / "key.txt", "1735700001000 1 0\n")
    child = mlruns / "1" / CHILD_ID
    (child / "artifacts/key.txt").symlink_to(secret / "key.txt")
    (child / "artifacts/all").symlink_to(secret)
    (child / "metrics/key").symlink_to(secret / "key.txt")
    (child / "params/key").symlink_to(secret / "key.txt")
    (mlruns / "2").symlink_to(mlruns / "1")
    _, run = read(mlruns).runs
    check_child(run, ["plots/curve.txt"])
    assert list(run.left_out) == ["file all: a symbolic link", "file key.txt: a symbolic link"]


@pytest.mark.parametrize("named", ["..", "elsewhere", f"{'c' * 32}/artifacts"])
def test_a_database_names_no_folder_but_its_runs_own(database: Path, named: str) -> None:
    write(database.parent / named / "key.txt", "secret")
    connection = sqlite3.connect(database)
    connection.execute("UPDATE runs SET artifact_uri = ?", ((database.parent / named).as_uri(),))
    connection.commit()
    connection.close()
    write(database.parent / "mlruns" / "1" / PARENT_ID / "artifacts" / "own.txt", "own")
    names = [[file.name for file in run.files] for run in read(database).runs]
    assert names == [["own.txt"], ["plots/curve.txt"]]


def test_a_damaged_database_gives_what_can_be_read(database: Path) -> None:
    assert problem(database.with_suffix(".x")).startswith("Name a folder mlruns")
    whole = database.read_bytes()
    database.write_bytes(whole[: len(whole) // 2])
    message = problem(database)
    assert "SQLite cannot read it" in message or "no table" in message
    database.write_bytes(b"PK\x03\x04 not a database")
    assert problem(database) == "This is no SQLite file."
    sqlite3.connect(database.with_name("empty.db")).executescript("CREATE TABLE runs (a)")
    assert "no table experiments" in problem(database.with_name("empty.db"))


def test_a_view_in_place_of_a_table_is_not_asked(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.executescript(
        "DROP TABLE metrics; CREATE VIEW metrics AS WITH RECURSIVE n(i) AS "
        "(SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS run_uuid FROM n;"
    )
    connection.close()
    assert "no table metrics" in problem(database)


class Answers(http.server.BaseHTTPRequestHandler):
    """A tracking server with two pages of runs and of points, which wants a token."""

    protocol_version = "HTTP/1.1"
    wanted = "Bearer vd_token"
    asked: list[str] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("experiments/search"):
            self.answer({"experiments": [{"experiment_id": "1", "name": "digits"}]})
        elif "page_token" in body:
            self.answer({"runs": [self.run(PARENT_ID, "outer", "FINISHED", {})]})
        else:
            tags = {
                "mlflow.parentRunId": PARENT_ID,
                "mlflow.note.content": "why",
                "team": "vision",
            }
            runs = [self.run(CHILD_ID, "inner", "FAILED", tags)]
            self.answer({"runs": runs, "next_page_token": "second"})

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        if "metric_key" not in asked:
            self.answer_of_files(asked.get("path", asked.get("artifact_directory_path", [""]))[0])
            return
        key, later = asked["metric_key"][0], "page_token" in asked
        values: list[tuple[str, object, str]] = {
            ("val/acc", False): [("0", 0.5, "1735700001000")],
            ("val/acc", True): [("1", 0.75, "1735700002000")],
            ("loss", False): [("1", "NaN", "1735700003000")],
            ("loss", True): [("2", "Infinity", "2"), ("3", -1.7976931348623157e308, "3")],
        }[key, later]
        found = [{"key": key, "step": s, "value": v, "timestamp": t} for s, v, t in values]
        self.answer({"metrics": found, **({} if later else {"next_page_token": "second"})})

    def answer_of_files(self, below: str) -> None:
        """A file in a folder, one that is gone, and those of a logged model kept elsewhere."""
        path = urlsplit(self.path).path.removeprefix("/prefix").removeprefix("/api/2.0/mlflow")
        root = f"mlflow-artifacts:/1/{CHILD_ID}/artifacts"
        listings = {
            ("/artifacts/list", ""): [("plots", True), ("gone.txt", False)],
            ("/artifacts/list", "plots"): [("plots/a curve.txt", False)],
            ("/logged-models/m-1/artifacts/directories", ""): [("MLmodel", False)],
        }
        found = listings.get((path, below))
        if path == "/logged-models/m-1":
            self.answer({"model": {"info": {"name": "net"}}})
        elif found is not None:
            files = [{"path": p, "is_dir": d, "file_size": "6"} for p, d in found]
            where = root if path == "/artifacts/list" else "s3://bucket/m-1"
            self.answer({"root_uri": where, "files": files})
        elif path.endswith("/a%20curve.txt") or path.startswith("/ajax-api"):
            self.answer("plot")
        else:
            self.answer({}, status=404)

    def run(self, run_id: str, name: str, status: str, tags: dict[str, str]) -> object:
        info = {"run_id": run_id, "run_name": name, "status": status, "user_id": "eve"}
        info |= {"start_time": "1735700000000", "end_time": "1735700009000"}
        data: dict[str, object] = {"tags": [{"key": k, "value": v} for k, v in tags.items()]}
        if tags:
            data["metrics"] = [{"key": "val/acc"}, {"key": "loss"}]
            data["params"] = [{"key": "lr", "value": "0.1"}]
        outputs = {"model_outputs": [{"model_id": "m-1"}]} if tags else {}
        return {"info": info, "data": data, "outputs": outputs}

    def answer(self, content: object, status: int = 200) -> None:
        self.asked.append(self.path)
        if self.headers.get("Authorization") != self.wanted:
            status = 401
        if "moved" in self.path:
            status = 302
        body = json.dumps(content if status == 200 else {"message": "no"}).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://other.example/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("TOKEN", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    monkeypatch.setattr(Answers, "asked", [])
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=found.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    thread.join()
    found.server_close()


def test_a_server_is_read_page_by_page_with_a_token(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "vd_token")
    parent, child = read(f"{server}/prefix/").runs
    assert parent.key == PARENT_ID
    check_child(child, ["gone.txt", "net/MLmodel", "plots/a curve.txt"])
    assert Answers.asked[0] == "/prefix/api/2.0/mlflow/experiments/search"


def test_files_of_a_server_are_downloaded_and_one_that_is_gone_is_owed(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "vd_token")
    _, child = read(server).runs
    files = {file.name: file for file in child.files}
    assert b"".join(files["plots/a curve.txt"].blocks()) == b'"plot"'
    assert b"".join(files["net/MLmodel"].blocks()) == b'"plot"'
    with pytest.raises(MissingFile, match="answers 404"):
        list(files["gone.txt"].blocks())
    asked = [path for path in Answers.asked if "curve.txt" in path]
    assert asked == [
        f"/api/2.0/mlflow-artifacts/artifacts/1/{CHILD_ID}/artifacts/plots/a%20curve.txt"
    ]


def test_a_database_that_only_a_server_reads_is_told_without_its_password() -> None:
    with pytest.raises(UnreadableSource) as caught:
        read("mysql+pymysql://eve:secret@host/mlflow")
    assert "mlflow server --backend-store-uri" in str(caught.value.problems[0])
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("address", ["http://[bad", "http://", "http://host:port"])
def test_an_address_that_is_none_is_refused_in_a_line(address: str) -> None:
    assert problem(address).startswith(("This is no address", "This address names no server"))


def test_a_user_and_a_password_come_from_the_environment(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answers, "wanted", "Basic ZXZlOnB3")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "eve")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pw")
    assert len(list(read(server).runs)) == 2
    assert "Leave user and password out" in problem(server.replace("//", "//eve:pw@"))


def test_a_server_that_refuses_or_leads_elsewhere_is_named_with_the_way_out(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Set MLFLOW_TRACKING_TOKEN" in problem(server)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "vd_token")
    assert "leads to http://other.example/" in problem(f"{server}/moved")
    monkeypatch.setattr(mlflow_server, "_RETRIES", False)
    assert "does not answer" in problem("http://127.0.0.1:1")
