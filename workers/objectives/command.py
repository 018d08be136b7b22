"""A command line as a training function: runs it, reads its metrics, keeps what it prints.

Metrics come as lines of JSON on the file that VERDICT_METRICS names,

    {"step": 3, "train_loss": 0.31, "validation_accuracy": 0.95}

or over Verdict's HTTP API: VERDICT_URL, VERDICT_RUN and VERDICT_TOKEN are set to a server on this
machine that takes points of this run alone and ends with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from experiments.design.document.commands import CommandTemplate, UnsafeValue
from workers.objectives.python_function import ObjectiveError, TrainingFunction
from workers.objectives.run_server import Item, RunServer
from workers.objectives.working_copies import NoWorkingCopy, working_copy
from workers.training.messages import Command, OutputFile
from workers.training.run import Run

POLL_SECONDS = 0.1
TERMINATE_SECONDS = 1.5  # from SIGTERM to SIGKILL, within the grace of this process itself
_LEFT_OPEN_SECONDS = 2.0  # for output that something it left behind still holds open
_END = b'\n{"verdict":"end"}\n'
_BLOCK = 2**16
_LONGEST_LINE = 2**20  # of metrics


class CommandFailed(Exception):
    """The program exited with another code than 0."""


def function_of(command: Command, tell: Callable[[OutputFile], None]) -> TrainingFunction:
    """Function that `workers.training.child` calls in place of a Python function."""

    def train(run: Run) -> None:
        _Process(command, run).train(tell)

    return train


class _Process:
    """One run of a command."""

    def __init__(self, command: Command, run: Run) -> None:
        self._command = command
        self._run = run
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()

    def train(self, tell: Callable[[OutputFile], None]) -> None:
        """Raises ObjectiveError, CommandFailed, and what `Run.log` raises."""
        arguments, folder = self._prepare()
        name = self._output_name()
        output = Path(self._command.folder) / name
        output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with (
                tempfile.TemporaryDirectory(prefix="verdict-") as private,
                _metrics_file(Path(private) / "metrics", self._items) as metrics,
                RunServer(self._command.run_id, self._items, self._stops) as server,
                output.open("wb") as file,
            ):
                environment = {**os.environ, **server.environment, "VERDICT_METRICS": str(metrics)}
                code = self._watch(arguments, folder, environment, file)
            self._log_what_is_left()
        finally:
            tell(_described(output, name))
        if code:
            what = f"killed by signal {-code}" if code < 0 else f"exited with code {code}"
            raise CommandFailed(
                f"{Path(arguments[0]).name} {what}; what it printed last tells why"
            )

    def _output_name(self) -> str:
        """A file of its own for each pass."""
        name = Path(self._command.output)
        suffix = re.sub(r"[^\w.]+", "-", self._run.suffix, flags=re.ASCII).strip("-")
        return str(name.with_stem(f"{name.stem}-{suffix}") if suffix else name)

    def _prepare(self) -> tuple[list[str], Path]:
        command = self._command
        template = CommandTemplate(command.name, command.repository, command.arguments)
        try:
            arguments = template.filled(self._values())
            folder = (
                working_copy(Path(command.copies), command.repository, command.commit)
                if command.copies
                else Path.cwd()
            )
        except (UnsafeValue, NoWorkingCopy) as error:
            raise ObjectiveError(str(error)) from error
        return arguments, folder

    def _values(self) -> dict[str, Any]:
        run = self._run
        return {
            **run.params,
            "train_seed": run.train_seed,
            "split_seed": run.split_seed,
            "search_seed": run.search_seed,
            "budget": run.budget,
            "fold": run.fold,
            "folds": run.folds,
            "python": sys.executable,
            "params": json.dumps(dict(run.params)),
        }

    def _stops(self) -> bool:
        return self._run.stop_requested

    def _watch(
        self, arguments: list[str], folder: Path, environment: Mapping[str, str], file: BinaryIO
    ) -> int:
        try:
            process = subprocess.Popen(
                arguments,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            reason = error.strerror or str(error)
            raise ObjectiveError(f"{arguments[0]} cannot be started: {reason}") from error
        copier = threading.Thread(
            target=_copy, args=(process, file, self._command.largest_output), daemon=True
        )
        copier.start()
        try:
            while process.poll() is None:
                self._log_next(POLL_SECONDS)
                if self._run.stop_requested:
                    self._run.log({})  # raises what ends a run
        finally:
            _end(process)
            copier.join(_LEFT_OPEN_SECONDS)
            if process.stdout is not None and not copier.is_alive():
                process.stdout.close()
        return process.returncode

    def _log_next(self, seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            item = self._items.get(timeout=seconds)
            self._run.log(item.metrics, step=item.step)

    def _log_what_is_left(self) -> None:
        while not self._items.empty():
            self._log_next(0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and all that it has started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    if process.poll() is None:
        process.terminate()
    for descendant in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            descendant.terminate()
    deadline = time.monotonic() + TERMINATE_SECONDS
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(TERMINATE_SECONDS)
    _, alive = psutil.wait_procs(family, max(0.0, deadline - time.monotonic()))
    for left in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()
    if process.poll() is None:
        process.kill()
    process.wait()


def _copy(process: subprocess.Popen[bytes], file: BinaryIO, largest: int) -> None:
    """All that is printed goes to this process's output, and to a file up to a size."""
    if process.stdout is None:
        return
    written = 0
    while block := os.read(process.stdout.fileno(), _BLOCK):
        with contextlib.suppress(OSError, ValueError):  # a disk that is full must not stop it
            os.write(1, block)
            if written < largest:
                file.write(block[: largest - written])
                file.flush()
        written += len(block)


@contextmanager
def _metrics_file(path: Path, items: queue.SimpleQueue[Item]) -> Iterator[Path]:
    """A named pipe whose lines become items; all that was written before the end is read."""
    os.mkfifo(path, 0o600)
    # Both ends, so that it has no end while the program opens and closes it.
    pipe = os.open(path, os.O_RDWR)
    reader = threading.Thread(target=_read_lines, args=(pipe, items), daemon=True)
    reader.start()
    try:
        yield path
    finally:
        os.write(pipe, _END)
        reader.join()
        os.close(pipe)


def _read_lines(pipe: int, items: queue.SimpleQueue[Item]) -> None:
    rest = b""
    while True:
        *lines, rest = (rest + os.read(pipe, _BLOCK)).split(b"\n")
        rest = rest[: _LONGEST_LINE + 1]
        for line in lines:
            if line + b"\n" == _END[1:]:
                return
            if line.strip():
                _read_line(line, items)


def _read_line(line: bytes, items: queue.SimpleQueue[Item]) -> None:
    try:
        if len(line) > _LONGEST_LINE:
            raise ValueError(f"a line has at most {_LONGEST_LINE} bytes")
        found = json.loads(line)
        if not isinstance(found, dict):
            raise ValueError('expected an object such as {"step": 1, "train_loss": 0.5}')
    except (ValueError, RecursionError) as error:
        text = line[:100].decode(errors="replace")
        print(f"VERDICT_METRICS: skipped {text}: {error}", file=sys.stderr, flush=True)
        return
    step = found.pop("step", None)
    items.put(Item(found, step))


def _described(path: Path, name: str) -> OutputFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return OutputFile(path=name, size=path.stat().st_size, sha256=digest)
