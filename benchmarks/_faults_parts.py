"""Disturb what workers stand on: stopped processes, a broken Redis, a full disk, odd nodes.

Each fault comes while trials run, lasts `away` seconds and passes.
"""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks._cluster import ROOT, Cluster, signal_all
from benchmarks._faults import Killer

CODE = ("benchmarks", "config", "experiments", "workers", "templates", "manage.py")
SKEW_SECONDS = 60
# Runs manage.py with the clock of this process put on or back.
SKEWED = """
import datetime, sys, time
from django.utils import timezone
offset, real_now, real_time = float(sys.argv[1]), timezone.now, time.time
timezone.now = lambda: real_now() + datetime.timedelta(seconds=offset)
time.time = lambda: real_time() + offset
sys.argv[:] = ["manage.py", *sys.argv[2:]]
from manage import main
main()
"""


@dataclass(slots=True)
class Disturber:
    """Faults by name; what was done is in `done`.

    Args:
        away: seconds that a part is away; of a worker, more than others wait for its heartbeat.
    """

    cluster: Cluster
    killer: Killer
    rng: np.random.Generator
    away: float
    done: Counter[str] = field(default_factory=Counter)

    def faults(self) -> dict[str, Callable[[], None]]:
        """Those that this cluster can show."""
        redis = self.cluster.redis
        found: dict[str, Callable[[], None]] = {
            "worker stopped": self._worker_stopped,
            "redis killed": lambda: redis.kill_and_restart_empty(away_seconds=self.away),
            "redis stopped": lambda: self._meanwhile(redis.stop, redis.resume),
            "redis full": lambda: self._meanwhile(redis.fill, redis.empty),
            "redis read-only": lambda: self._meanwhile(redis.make_read_only, redis.empty),
            "redis is another server": self._another_server,
            "clock a minute apart": self._skewed_node,
            "node with other code": self._other_code,
        }
        server = self.cluster.postgresql
        if server is not None:
            found["database crashed"] = lambda: server.crash_and_restart(away_seconds=self.away)
            found["database stopped"] = lambda: self._meanwhile(server.stop, server.resume)
        if self.cluster.small_disk:
            found["disk full"] = self._disk_full
        return found

    def disturb(self, name: str) -> bool:
        """Wait until trials run, and let it happen; False when all was over before."""
        while not (running := self.killer.running()):
            if self.killer.is_finished():
                return False
            time.sleep(0.05)
        del running
        self.faults()[name]()
        self.done[name] += 1
        return True

    def _meanwhile(self, begin: Callable[[], None], end: Callable[[], None]) -> None:
        begin()
        try:
            time.sleep(self.away)
        finally:
            end()

    def _worker_stopped(self) -> None:
        pids = list(self.cluster.workers.running)
        pid = pids[int(self.rng.integers(len(pids)))]
        signal_all(pid, signal.SIGSTOP)
        try:
            time.sleep(self.away)
        finally:
            signal_all(pid, signal.SIGCONT)

    def _another_server(self) -> None:
        with self.cluster.redis.replaced_by_another_server():
            time.sleep(self.away)

    def _skewed_node(self) -> None:
        offset = SKEW_SECONDS if self.rng.random() < 0.5 else -SKEW_SECONDS
        self._replace_worker([sys.executable, "-c", SKEWED, str(offset), "worker"])

    def _other_code(self) -> None:
        """A node whose copy of the training module is another file, and does the same."""
        folder = self.cluster.folder / "other-code"
        if not folder.exists():
            folder.mkdir()
            for name in CODE:
                source, target = ROOT / name, folder / name
                if source.is_dir():
                    shutil.copytree(source, target)
                else:
                    shutil.copy(source, target)
            with (folder / "benchmarks" / "_faults_training.py").open("a") as module:
                module.write("\n# This is another version.\n")
        command = [sys.executable, str(folder / "manage.py"), "worker"]
        self._replace_worker(command, folder)

    def _replace_worker(self, command: list[str], code: Path = ROOT) -> None:
        """Start an odd node in the place of another, and let it work."""
        workers = self.cluster.workers
        pids = list(workers.running)
        workers.kill(pids[int(self.rng.integers(len(pids)))])
        workers.start(command, code=code)
        time.sleep(self.away)

    def _disk_full(self) -> None:
        filler = self.cluster.data / "filler"

        def fill() -> None:
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 16))

        fill()
        until = time.monotonic() + self.away
        while time.monotonic() < until:  # what others free is taken as well
            time.sleep(0.2)
            with suppress(OSError), filler.open("ab", buffering=0) as file:
                file.write(bytes(1 << 16))
        filler.unlink()
