"""``make run`` with real processes, each time on a data folder of its own."""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.urls import reverse

from config import children, launcher, redis_socket
from tests.services_under_test.ports import free_port
from tests.services_under_test.redis_server import RedisServer
from tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.processes


TRAINING = """
def train(run):
    run.log({"accuracy": 0.75}, step=1)
"""
EXPERIMENT = """
project: team
experiment: ours
goal: Does a package of this folder train?
objective: team.training:train
search: {sampler: halton, trials: 2, seed: 5}
hyperparameters: {learning_rate: {role: nuisance, low: 0.1, high: 0.9}}
"""


class Launched:
    """A launcher and what it prints."""

    def __init__(
        self,
        data: Path,
        *arguments: str,
        folder: Path = settings.BASE_DIR,
        **variables: str,
    ) -> None:
        self.data = data
        self.port = int(variables.setdefault("PORT", str(free_port())))
        self.output = data.parent / f"{data.name}-{time.monotonic_ns()}.txt"
        clean = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "HOST", "ALLOWED_HOSTS")
        environment = {k: v for k, v in os.environ.items() if k not in clean}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *(arguments or ("-m", "config.launcher"))],
                env={**environment, "VERDICT_DATA": str(data), **variables},
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        return self.output.read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_it_runs(self) -> Launched:
        """Until the banner is complete."""

        def is_up() -> bool:
            assert self.process.poll() is None, self.printed
            return "Ctrl-C stops everything" in self.printed

        wait_until(is_up, what="the launcher prints its banner")
        return self

    def processes(self) -> list[psutil.Process]:
        """Every living process started with this data folder, wherever it hangs."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if (
                    process.environ().get("VERDICT_DATA") == str(self.data)
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(process)
        return found

    def child(self, name: str) -> psutil.Process:
        marks = {"redis": "redis-server", "worker": "manage.py", "web": "config.web_server"}
        children = psutil.Process(self.process.pid).children()
        return next(c for c in children if any(marks[name] in part for part in c.cmdline()))

    def end(self, number: signal.Signals) -> int:
        """Send a signal; returns the launcher's exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def kill_what_is_left(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launched]]:
    """Starts launchers; whatever is left of them at the end is killed."""
    launched: list[Launched] = []

    def start(data: Path = tmp_path / "data", **variables: str) -> Launched:
        launched.append(Launched(data, **variables))
        return launched[-1]

    yield start
    for one in launched:
        one.kill_what_is_left()


@pytest.fixture
def used(used_once: Path, tmp_path: Path) -> Path:
    """A data folder that has seen its first start: it has a user, and nothing to do."""
    return Path(shutil.copytree(used_once, tmp_path / "used"))


@pytest.fixture(scope="module")
def looked_at(used_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """`verdict up --objectives team.training`, for tests that leave it running."""
    folder = tmp_path_factory.mktemp("looked-at")
    data = Path(shutil.copytree(used_once, folder / "used"))
    (folder / "team").mkdir()
    (folder / "team" / "__init__.py").write_text("")
    (folder / "team" / "training.py").write_text(TRAINING)
    up = ("up", "--objectives", "team.training")
    launched = Launched(data, *verdict(*up), folder=folder, OBJECTIVES="")
    try:
        yield launched.wait_until_it_runs()
    finally:
        launched.kill_what_is_left()


def verdict(*words: str) -> tuple[str, ...]:
    """Arguments of Python that are `verdict` with such words, from any folder."""
    program = (
        f"import sys; sys.path.append({str(settings.BASE_DIR)!r})\n"
        f"sys.argv = ['verdict', *{words!r}]\n"
        "from config.cli import main; main()"
    )
    return "-P", "-W", "ignore", "-c", program


def signs_in(url: str, password: str) -> bool:
    cookies = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    login = url + reverse("login")
    with opener.open(login, timeout=PATIENCE) as answer:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', answer.read().decode())
    assert token is not None
    fields = {"username": "admin", "password": password, "csrfmiddlewaretoken": token[1]}
    with opener.open(login, urllib.parse.urlencode(fields).encode(), timeout=PATIENCE) as answer:
        assert answer.status == 200
    return any(cookie.name == "sessionid" for cookie in cookies)


def wait_until_a_trial_trains(running: Launched) -> None:
    """Its process is one more than the launcher, Redis, the worker and the web server."""

    def is_busy() -> bool:
        assert running.process.poll() is None, running.printed
        return len(running.processes()) > 4

    wait_until(is_busy, what="a training process runs")


def test_a_first_start_lets_the_admin_in_and_the_next_keeps_everything(
    launch: Callable[..., Launched],
) -> None:
    first = launch().wait_until_it_runs()
    password = re.search(r"as admin with the password (\S+)", first.printed)
    assert password is not None
    assert signs_in(first.url, password[1])
    assert not signs_in(first.url, "wrong")
    wait_until_a_trial_trains(first)
    assert first.end(signal.SIGINT) == 0
    assert first.processes() == []
    assert "All data is kept" in first.printed
    assert not (first.data / "objectives").exists()  # holds while it runs

    second = launch(first.data).wait_until_it_runs()
    assert "password" not in second.printed
    assert signs_in(second.url, password[1])
    wait_until_a_trial_trains(second)  # it goes on with what was under way
    second.end(signal.SIGKILL)
    wait_until(lambda: second.processes() == [], what="all processes are gone")


def test_pages_and_static_files_come_from_the_production_server(looked_at: Launched) -> None:
    with urllib.request.urlopen(looked_at.url + reverse("login"), timeout=PATIENCE) as answer:
        assert answer.status == 200
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] is None
        style = re.search(r'href="(/static/[^"]+\.css)"', answer.read().decode())
    assert style is not None
    with urllib.request.urlopen(looked_at.url + style[1], timeout=PATIENCE) as answer:
        assert "immutable" in answer.headers["Cache-Control"]
    wrong_host = urllib.request.Request(looked_at.url + "/", headers={"Host": "elsewhere.example"})
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        urllib.request.urlopen(wrong_host, timeout=PATIENCE)
    refused.value.close()
    assert looked_at.child("redis").net_connections("tcp") == []


def test_commands_in_other_shells_allow_the_objectives_that_it_was_started_with(
    looked_at: Launched,
) -> None:
    elsewhere = {name: value for name, value in os.environ.items() if name != "OBJECTIVES"}
    program = "from config import settings; print(*settings.OBJECTIVES)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=settings.BASE_DIR,
        env={**elsewhere, "VERDICT_DATA": str(looked_at.data)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["workers.problems", "team.training"], done.stderr


def test_a_package_of_the_folder_it_was_started_in_is_trained(
    looked_at: Launched, tmp_path: Path
) -> None:
    """From another folder, as a person does in a second terminal."""

    def call(*words: str) -> str:
        clean = ("OBJECTIVES", "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
        done = subprocess.run(
            [sys.executable, *verdict(*words)],
            cwd=tmp_path,
            env={
                **{name: value for name, value in os.environ.items() if name not in clean},
                "VERDICT_DATA": str(looked_at.data),
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    call("project", "create", "team", "--metric", "accuracy", "--direction", "maximize")
    (tmp_path / "ours.yaml").write_text(EXPERIMENT)
    ended = json.loads(call("run", "--json", "ours.yaml"))
    assert (ended["state"], ended["done"], ended["failed"]) == ("finished", 2, 0), ended
    assert ended["best_value"] == 0.75


def test_a_second_start_on_the_same_data_is_refused(looked_at: Launched) -> None:
    second = Launched(looked_at.data)
    assert second.process.wait(PATIENCE) == 1
    assert second.printed == (
        f"verdict: Verdict already runs on {looked_at.data} (process {looked_at.process.pid}); "
        "stop it first, or set VERDICT_DATA to another folder.\n"
    )
    assert looked_at.process.poll() is None


def test_a_killed_child_is_started_again_and_takes_nothing_with_it(
    launch: Callable[..., Launched], used: Path
) -> None:
    running = launch(used).wait_until_it_runs()
    names = ("redis", "worker", "web")
    for name in names:
        before = {child_name: running.child(child_name).pid for child_name in names}
        running.child(name).kill()

        def is_back(name: str = name, before: dict[str, int] = before) -> bool:
            with contextlib.suppress(StopIteration, psutil.Error):
                return running.child(name).pid != before[name]
            return False

        wait_until(is_back, told=lambda: running.printed)
        assert f"The {name} process ended (signal 9); it is started again now." in running.printed
        after = {
            child_name: running.child(child_name).pid for child_name in names if child_name != name
        }
        assert after == {
            child_name: pid for child_name, pid in before.items() if child_name != name
        }

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return bool(urllib.request.urlopen(running.url + "/readyz", timeout=5).status == 200)
        return False

    wait_until(answers, told=lambda: running.printed)
    assert running.end(signal.SIGTERM) == 0
    assert running.processes() == []


def test_a_child_that_dies_again_and_again_is_named_and_stops_everything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(children, "PAUSES", (0.0, 0.1))
    command = [sys.executable, "-c", "raise SystemExit('no such table')"]
    child = children.start("worker", command, environment=os.environ, logs=settings.LOGS_DIR)
    with pytest.raises(launcher.CannotStart, match=r"worker process ended 3 times in a row") as no:
        launcher._watch([child])
    assert str(child.log) in str(no.value) and "no such table" in str(no.value)
    assert "The worker process ended (exit status 1)" in capsys.readouterr().out


def test_it_waits_for_the_web_server_while_it_lives_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launcher, "WAITING_SECONDS", 0.0)
    monkeypatch.setattr(settings, "PORT", free_port())
    program = f"import time; print('reading pages', flush=True); time.sleep({PATIENCE})"
    command = [sys.executable, "-c", program]
    child = children.start("web", command, environment=os.environ, logs=settings.LOGS_DIR)
    lines: list[str] = []

    def heard(line: str) -> None:
        lines.append(line)
        if "ends with: reading pages" in line:
            child.process.kill()

    monkeypatch.setattr(launcher, "_say", heard)
    with pytest.raises(launcher.CannotStart, match="web process ended unexpectedly"):
        launcher._wait_for_web([child])
    waiting = rf"Waiting for the web server for \d+ s; process {child.process.pid} lives"
    assert re.search(waiting, lines[-1]) and f"{child.log} ends with: reading pages" in lines[-1]


def test_a_killed_launcher_leaves_no_process_and_the_next_start_works(
    launch: Callable[..., Launched], used: Path
) -> None:
    running = launch(used).wait_until_it_runs()
    running.end(signal.SIGKILL)
    wait_until(lambda: running.processes() == [], what="all processes are gone")
    again = launch(used).wait_until_it_runs()
    assert again.end(signal.SIGTERM) == 0
    assert again.processes() == []


@pytest.mark.parametrize("milestone", ["running.lock", "redis.sock", "logs/web.log"])
def test_ctrl_c_while_it_is_still_starting_leaves_no_process(
    launch: Callable[..., Launched], used: Path, milestone: str
) -> None:
    running = launch(used)
    wait_until((used / milestone).exists, what=f"there is {milestone}")
    assert running.end(signal.SIGINT) == 0
    assert running.processes() == []
    assert running.printed.endswith("Stopped. All data is kept.\n")


def test_a_given_redis_is_used_and_none_is_started(
    launch: Callable[..., Launched], used: Path, redis_server: RedisServer
) -> None:
    running = launch(used, REDIS_URL=redis_server.url).wait_until_it_runs()
    children = psutil.Process(running.process.pid).children()
    assert not any("redis-server" in part for c in children for part in c.cmdline())

    def worker_is_connected() -> bool:
        assert running.process.poll() is None, running.printed
        return len(redis_server.client.client_list()) > 1  # one is this test's own

    wait_until(worker_is_connected, what="the worker is connected to the given Redis")


def test_a_data_folder_with_a_long_path_works(launch: Callable[..., Launched], used: Path) -> None:
    long = used.parent / ("long " + "x" * 100)
    used.rename(long)
    running = launch(long).wait_until_it_runs()
    path = redis_socket.socket_path(long)
    assert path.is_socket()
    assert not (long / "redis.sock").exists()
    assert running.end(signal.SIGINT) == 0
    assert not path.parent.exists()
    assert running.processes() == []


def test_a_taken_port_is_one_line(launch: Callable[..., Launched]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = launch(PORT=str(port))
        assert refused.process.wait(PATIENCE) == 1
    assert refused.printed == (
        f"verdict: Port {port} is taken; try verdict up --port {port + 1}, "
        f"or make run PORT={port + 1}.\n"
    )


def test_an_unwritable_data_folder_is_one_line(
    launch: Callable[..., Launched], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    refused = launch(tmp_path / "file")
    assert refused.process.wait(PATIENCE) == 1
    assert refused.printed.startswith("verdict: VERDICT_DATA: ")
    assert refused.printed.count("\n") == 1


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"HOST": "192.0.2.1"}, "HOST: found '192.0.2.1'; expected an address of this machine"),
        ({"HOST": "no such host"}, "HOST: found 'no such host'"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL: found 'LOUD'"),
        (
            {"DATABASE_URL": "postgresql://me:geheim@127.0.0.1:1/verdict"},
            "DATABASE_URL: cannot use the database: ",
        ),
        (
            {"REDIS_URL": "redis://me:geheim@127.0.0.1:1/0"},
            "REDIS_URL: no Redis answers at redis://***@127.0.0.1:1/0: ",
        ),
    ],
)
def test_a_wrong_variable_is_one_line_without_passwords(
    launch: Callable[..., Launched], variables: dict[str, str], wanted: str
) -> None:
    refused = launch(**variables)
    assert refused.process.wait(PATIENCE) == 1
    message = refused.printed.partition("verdict: ")[2]
    assert message.startswith(wanted)
    assert message.count("\n") == 1
    assert "geheim" not in refused.printed
