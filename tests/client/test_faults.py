"""Programs that give odd keys, fork, are ended by signals, or are started by launchers."""

from __future__ import annotations

import enum
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.client.fake_server import FakeServer
from tests.client.starting import FILE, start
from tests.waiting import PATIENCE, wait_until


class Split(enum.Enum):
    TRAIN = "train"


def play(
    server: FakeServer, code: str, *, first: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program that has started a run called `run`, after what it does `first`."""
    process = begin(server, code, first=first, **environment)
    out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def begin(
    server: FakeServer, code: str, *, first: str = "", **environment: str
) -> subprocess.Popen[str]:
    whole = textwrap.dedent(
        f"""
        import multiprocessing, os, signal, sys, threading, time
        {first}
        sys.path.insert(0, {str(FILE.parent)!r})
        import verdict
        verdict.SEND_SECONDS, verdict.TERMINATE_SECONDS = .02, {PATIENCE}

        def wait_for_ever():
            # A signal that comes right before a long sleep would be heard after it.
            while True:
                time.sleep(.02)

        run = verdict.run(project="a", experiment="b", url={server.url!r}, token="t")
        """
    ) + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", whole],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def points(server: FakeServer) -> list[tuple[Any, ...]]:
    return [(step, *metrics.items()) for step, metrics in server.points]


def test_keys_of_any_kind_are_logged_under_their_words_and_told_once(
    client: ModuleType, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    keys: dict[Any, Any] = {("train", "loss"): 1.0, np.int64(3): 2.0, Split.TRAIN: 3.0, None: 4.0}
    with start(client, server, params={("a", 1): 1, Split.TRAIN: {np.int64(2): 2}}) as run:
        for step in range(3):
            run.log(keys, step=step)
            run.log({"loss": 0.5}, step=step)
    odd = {"train/loss": 1.0, "3": 2.0, "train": 3.0, "None": 4.0}
    assert server.points == [point for s in range(3) for point in ((s, odd), (s, {"loss": 0.5}))]
    assert server.requests[0][1]["params"] == {"a/1": 1, "train.2": 2}
    assert capfd.readouterr().err.count("logged as 'train/loss'") == 1


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_name_that_no_database_holds_is_mended_and_the_rest_is_logged(
    client: ModuleType, server: FakeServer, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    with start(client, server, params={name: name}) as run:
        run.log({name: 1.0, "loss": 2.0}, step=1)
        run.log({name: 3.0}, step=2)
    assert server.points == [(1, {"a\ufffdb": 1.0, "loss": 2.0}), (2, {"a\ufffdb": 3.0})]
    assert server.requests[0][1]["params"] == {"a\ufffdb": "a\ufffdb"}
    assert "logged as" in capfd.readouterr().err


def test_objects_whose_words_fail_cost_themselves_alone(
    client: ModuleType, server: FakeServer
) -> None:
    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError("no words")

    with start(client, server, params={"x": Mute(), "lr": 0.1}) as run:
        run.log({"loss": Mute(), "acc": 1}, step=Mute())
    assert server.requests[0][1]["params"] == {"x": "a Mute", "lr": 0.1}
    assert server.points == [(0, {"acc": 1.0})]


def test_a_score_and_a_reason_of_any_kind_end_the_run(
    client: ModuleType, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    start(client, server).finish(value=np.float32(0.5), reason=ValueError("too \0 low"))
    start(client, server).finish(Split.TRAIN, value="high", reason=None)
    assert server.bodies("/finish") == [
        {"state": "complete", "value": 0.5, "reason": "too \ufffd low"},
        {"state": "train", "value": None, "reason": ""},
    ]
    assert capfd.readouterr().err.count("metric 'value': skipped, a str is no number") == 1


def test_a_batch_whose_content_is_refused_is_told_once_and_later_ones_are_sent(
    client: ModuleType, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    run = start(client, server)
    server.status = 422
    for step in range(2):
        run.log({"loss": 1.0}, step=step)
        wait_until(lambda step=step: len(server.bodies("/points")) > step)
    wait_until(lambda: not run._sender._queue.points)
    server.status = 200
    run.log({"loss": 2.0}, step=5)
    run.finish()
    assert [call["step"] for batch in server.batches.values() for call in batch] == [5]
    assert capfd.readouterr().err.count("left out") == 1


def test_an_error_of_the_sender_itself_is_raised_at_the_end(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(client, server)
    monkeypatch.setattr(run._sender._queue, "put", lambda *_: 1 / 0)
    run.log({"loss": 1.0})
    wait_until(lambda: run._sender._error)
    with pytest.raises(client.VerdictError, match="ZeroDivisionError"):
        run.finish()


@pytest.mark.parametrize("end", ["sys.exit(0)", "sys.exit(3)", "raise ValueError", "run.finish()"])
def test_a_forked_child_that_ends_leaves_its_parents_run_alone(
    server: FakeServer, end: str
) -> None:
    done = play(
        server,
        f"""
        with run:
            run.log({{"loss": 1.0}}, step=0)
            if os.fork() == 0:
                {end}
                os._exit(0)
            os.wait()
            run.log({{"loss": 2.0}}, step=1)
        """,
    )
    assert done.returncode == 0, done.stderr
    assert [body["state"] for body in server.bodies("/finish")] == ["complete"]
    assert points(server) == [(0, ("loss", 1.0)), (1, ("loss", 2.0))]


def test_points_of_forked_children_and_of_theirs_are_sent_by_the_parent(
    server: FakeServer,
) -> None:
    done = play(
        server,
        """
        names = {f"metric of some length {k}": k / 7 for k in range(400)}
        def child(k, more=True):
            run.log({"loss": float("nan")}, step=k)
            run.log(names, step=100 + k)
            if more:
                inner = context.Process(target=child, args=(k + 10, False))
                inner.start(); inner.join()
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=child, args=(k,)) for k in range(2)]
        [process.start() for process in children]
        [process.join() for process in children]
        run.finish()
        """,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    losses = sorted(step for step, metrics in server.points if "loss" in metrics)
    assert losses == [0, 1, 10, 11]
    for step in (100, 101, 110, 111):
        told = {k: v for at, metrics in server.points if at == step for k, v in metrics.items()}
        assert told == {f"metric of some length {k}": k / 7 for k in range(400)}


def test_a_child_that_outlives_the_run_says_that_nobody_sends_its_points(
    server: FakeServer,
) -> None:
    done = play(
        server,
        """
        ours, theirs = os.pipe()
        if os.fork() == 0:
            os.read(ours, 1)
            run.log({"loss": 1.0})
            run.log({"loss": 1.0})
            os._exit(0)
        run.finish()
        os.write(theirs, b"x")
        os.wait()
        """,
    )
    assert done.stderr.count("not sent: the run has ended") == 1


@pytest.mark.parametrize("where", ["wait_for_ever()", "with run: wait_for_ever()"])
def test_sigterm_delivers_what_was_logged_and_ends_the_run_as_terminated(
    server: FakeServer, where: str
) -> None:
    process = begin(
        server,
        f"""
        verdict.SEND_SECONDS = 600
        run.log({{"loss": 1.0}}, step=1)
        print("logged", flush=True)
        {where}
        """,
        PYTHONUNBUFFERED="1",
    )
    assert process.stdout is not None and process.stdout.readline() == "logged\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGTERM
    assert points(server) == [(1, ("loss", 1.0))]
    (ending,) = server.bodies("/finish")
    assert ending["state"] == "terminated" and "SIGTERM" in ending["reason"]


def test_sigterm_while_a_run_is_finished_lets_it_end_and_then_the_process(
    server: FakeServer,
) -> None:
    process = begin(
        server,
        """
        print("ready", flush=True)
        sys.stdin.readline()
        run.finish()
        wait_for_ever()
        """,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    server.answers.clear()
    assert process.stdin is not None
    print(file=process.stdin, flush=True)
    wait_until(lambda: server.bodies("/finish"))
    process.send_signal(signal.SIGTERM)
    server.answers.set()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGTERM
    assert [body["state"] for body in server.bodies("/finish")] == ["complete"]


def test_sigterm_within_the_lock_that_finish_takes_is_no_deadlock(server: FakeServer) -> None:
    begun = begin(
        server,
        """
        notify = threading.Condition.notify_all
        def signalled(condition):
            if threading.current_thread() is threading.main_thread():
                os.kill(os.getpid(), signal.SIGTERM)
            notify(condition)
        threading.Condition.notify_all = signalled
        run.finish()
        """,
    )
    begun.communicate(timeout=PATIENCE)
    assert begun.returncode == -signal.SIGTERM
    assert [body["state"] for body in server.bodies("/finish")] == ["complete"]


def test_a_program_that_hears_sigterm_itself_goes_on_hearing_it(server: FakeServer) -> None:
    done = play(
        server,
        """
        run.finish()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        with verdict.run(project="a", experiment="b", url=run._sender._server.url, token="t"):
            os.kill(os.getpid(), signal.SIGTERM)
        """,
    )
    assert done.returncode == 5
    assert [body["state"] for body in server.bodies("/finish")] == ["complete", "failed"]


def test_a_pool_of_forked_processes_is_ended_by_sigterm_as_ever(server: FakeServer) -> None:
    done = play(
        server,
        """
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        child.start(); child.terminate(); child.join()
        run.finish()
        print(child.exitcode)
        """,
    )
    assert done.stdout == "-15\n"
    assert [body["state"] for body in server.bodies("/finish")] == ["complete"]


@pytest.mark.parametrize(
    "fork", ["os.fork()", "ctypes.PyDLL(None).fork()"], ids=["hooked", "past the hooks"]
)
def test_sigterm_in_the_very_moment_of_a_fork_ends_the_child_alone(
    server: FakeServer, fork: str
) -> None:
    done = play(
        server,
        f"""
        child = {fork}
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            wait_for_ever()
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        run.finish()
        """,
        # A hook that runs before the client's own.
        first="import ctypes; os.register_at_fork("
        "after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))",
    )
    assert done.stdout == "-15\n", done.stderr
    assert [body["state"] for body in server.bodies("/finish")] == ["complete"]


@pytest.mark.parametrize(
    "told",
    [
        {"RANK": "1"},
        {"SLURM_PROCID": "3"},
        {"OMPI_COMM_WORLD_RANK": "2"},
        {"PMI_RANK": "2"},
        {"WORLD_SIZE": "8", "LOCAL_RANK": "1"},  # Lightning's and Accelerate's launchers
        {"WORLD_SIZE": "8", "NODE_RANK": "1", "LOCAL_RANK": "0"},
        {"RANK": "4", "SLURM_PROCID": "0"},  # torchrun below srun
    ],
)
def test_ranks_above_0_of_every_launcher_send_nothing(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch, told: dict[str, str]
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with start(client, server, params={"lr": 0.1}) as run:
        run.log({"loss": 1.0})
        assert run.config.lr == 0.1
    assert server.requests == []
    with start(client, server, rank=0):
        assert server.bodies("/runs")


@pytest.mark.parametrize(
    "told",
    [
        {"RANK": "0", "SLURM_PROCID": "1"},
        {"SLURM_PROCID": "0"},
        {"LOCAL_RANK": "1"},  # of one process alone
        {"WORLD_SIZE": "1", "LOCAL_RANK": "1"},
        {"RANK": "first"},
    ],
)
def test_rank_0_and_a_process_alone_send(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch, told: dict[str, str]
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    start(client, server).finish()
    assert server.bodies("/finish")


def test_a_token_with_a_line_break_at_its_end_is_taken_and_no_other_is_shown(
    client: ModuleType, server: FakeServer
) -> None:
    place = {"project": "a", "experiment": "b", "url": server.url}
    client.run(**place, token="vd_secret\n").finish()
    assert server.requests[0][2]["Authorization"] == "Bearer vd_secret"
    for token in ("vd_sec\nret", "vd_sécret", "vd_sec\0ret"):
        with pytest.raises(client.VerdictError, match="no token has") as refused:
            client.run(**place, token=token)
        assert "vd_s" not in str(refused.value) and refused.value.__cause__ is None


def test_a_password_in_the_address_is_not_shown(client: ModuleType) -> None:
    for url in ("ftp://ada:s3cret@host", "http://ada:s3cret@host:port"):
        with pytest.raises(client.VerdictError) as refused:
            client.run(project="a", experiment="b", url=url)
        assert "s3cret" not in str(refused.value)


def test_a_server_that_moved_to_https_is_named(client: ModuleType) -> None:
    class Moved(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(301)
            self.send_header("Location", f"https://verdict.example.org/team{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    moved = ThreadingHTTPServer(("127.0.0.1", 0), Moved)
    threading.Thread(target=moved.serve_forever, args=(0.02,), daemon=True).start()
    try:
        with pytest.raises(client.VerdictError, match=r"is at https://verdict.example.org/team;"):
            client.run(
                project="a", experiment="b", url=f"http://127.0.0.1:{moved.server_address[1]}"
            )
    finally:
        moved.shutdown()
        moved.server_close()


def test_https_against_a_server_without_it_says_so_at_once(
    client: ModuleType, server: FakeServer
) -> None:
    with pytest.raises(client.VerdictError, match="is its address http://"):
        client.run(project="a", experiment="b", url=server.url.replace("http", "https"), token="t")


def test_a_certificate_that_nobody_vouches_for_is_told_at_once(
    client: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        error.verify_message = "self-signed certificate"
        raise error

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(client.VerdictError, match=r"self-signed certificate.*SSL_CERT_FILE"):
        client.run(project="a", experiment="b", url="https://127.0.0.1:1", token="t")


def test_a_run_goes_on_where_another_program_ended(client: ModuleType, server: FakeServer) -> None:
    server.created = {"params": {"lr": 0.1}, "train_seed": 7, "next_batch": 5, "next_step": 40}
    with client.run(resume=7, url=server.url, token="t") as run:
        assert (run.id, run.params, run.train_seed) == (7, {"lr": 0.1}, 7)
        run.log({"loss": 1.0})
    assert server.requests[0][0].endswith("/runs/7/resume")
    assert server.batches == {
        5: [{"step": 40, "time_ms": server.batches[5][0]["time_ms"], "metrics": {"loss": 1.0}}]
    }


def test_the_file_is_a_package_of_its_own(tmp_path: Path) -> None:
    for name in ("verdict.py", "pyproject.toml", "README.md"):
        shutil.copy(FILE.parent / name, tmp_path)
    build = [sys.executable, "-c", "import sys; from setuptools import build_meta; "
             "print(build_meta.build_wheel(sys.argv[1]))", str(tmp_path)]  # fmt: skip
    done = subprocess.run(build, cwd=tmp_path, check=True, capture_output=True, text=True)
    wheel = tmp_path / done.stdout.splitlines()[-1]
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if ".dist-info/" not in name] == ["verdict.py"]
    assert wheel.name.startswith("verdict_client-2")


def test_the_shape_of_other_trackers(
    client: ModuleType, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.created = {"official_metric": "acc"}
    monkeypatch.setenv("VERDICT_URL", server.url)
    run = client.init("digits", name="wide", config={"lr": 0.1, "opt": {"name": "adam"}})
    client.log({"loss": 1.0})
    client.log({"loss": 0.5, "acc": 0.7})
    assert client.config.lr == run.config["lr"] == 0.1 and dict(run.config) == run.params
    client.config.update({"layers": np.int64(3), "lr": 0.1})
    client.config.depth = 2
    assert client.summary["loss"] == 0.5
    client.summary["acc"] = 0.9
    client.summary["machine"] = "a"
    client.finish()
    created = server.requests[0][1]
    assert (created["project"], created["experiment"], created["name"]) == (
        "digits",
        "runs",
        "wide",
    )
    assert server.bodies("/params") == [{"params": {"layers": 3}}, {"params": {"depth": 2}}]
    (ending,) = server.bodies("/finish")
    assert (ending["state"], ending["value"]) == ("complete", 0.9)
    assert ending["summary"] == {"acc": 0.9, "machine": "a"}
    with pytest.raises(client.VerdictError, match="no run has been started"):
        client.log({"loss": 1.0})
    with pytest.raises(AttributeError):
        _ = client.nothing
