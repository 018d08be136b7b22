"""Queue of series batches for the database: a few in memory, the rest in a file.

First in, first out. While the database answers, nothing is written to disk. When it does not,
the waiting flushes go to a file, which outlives this process: whoever finds it delivers it
(`abandoned`). Nothing is synced to the disk: a killed process loses nothing, a power cut may.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from experiments.trials.series.services.series import Batch

logger = logging.getLogger(__name__)

MEMORY_BYTES = 8 * 2**20
MEMORY_SECONDS = 1.0  # what a kill of this process may cost while the database hangs
SUFFIX = ".spool"
_RECORD = struct.Struct("<III")  # lengths of the JSON fields and of the payload, CRC-32 of both


class DiskQueue:
    """A queue of flushes. `put` may be called by any thread, the rest by one that delivers.

    `put` waits for no one but the disk. When the disk is full, flushes stay in memory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._memory: deque[tuple[float, Batch]] = deque()
        self._memory_bytes = 0
        self._file: BinaryIO | None = None
        self._sizes: deque[int] = deque()  # of the records in the file that are still to deliver
        self._start = 0  # of the first of them
        self._end = 0

    @classmethod
    def found(cls, path: Path, file: BinaryIO) -> DiskQueue:
        """The queue that another process has left in a file, which is locked now."""
        queue = cls(path)
        queue._file = file
        for size in _record_sizes(file):
            queue._sizes.append(size)
            queue._end += size
        return queue

    def __len__(self) -> int:
        with self._lock:
            return len(self._sizes) + len(self._memory)

    @property
    def memory_bytes(self) -> int:
        """Size of the payloads that lie in memory."""
        return self._memory_bytes

    def put(self, batch: Batch) -> None:
        with self._lock:
            self._memory.append((time.monotonic(), batch))
            self._memory_bytes += len(batch.payload)
            late = time.monotonic() - self._memory[0][0] > MEMORY_SECONDS
            if self._sizes or late or self._memory_bytes > MEMORY_BYTES:
                self._spill()

    def front(self, most: int, most_bytes: int) -> list[Batch]:
        """The oldest flushes, one at least when there is any; they stay until `drop`."""
        with self._lock:
            if self._sizes:
                return self._read(most, most_bytes)
            found: list[Batch] = []
            total = 0
            for _, batch in islice(self._memory, most):
                total += len(batch.payload)
                if found and total > most_bytes:
                    break
                found.append(batch)
            return found

    def drop(self, count: int) -> None:
        """Forget the oldest flushes: they have been delivered."""
        with self._lock:
            for _ in range(count):
                if self._sizes:
                    self._start += self._sizes.popleft()
                else:
                    self._memory_bytes -= len(self._memory.popleft()[1].payload)
            if self._file is not None and not self._sizes and self._end:
                self._file.truncate(0)
                self._start = self._end = 0

    def spill(self) -> None:
        """Move what is in memory to the file."""
        with self._lock:
            self._spill()

    def close(self) -> None:
        """Leave undelivered batches in the file, and remove an empty file."""
        with self._lock:
            self._spill()
            if self._file is not None:
                if not self._sizes:
                    self._path.unlink(missing_ok=True)
                self._file.close()
                self._file = None

    def _spill(self) -> None:
        try:
            while self._memory:
                record = _packed(self._memory[0][1])
                self._write(record)
                self._memory_bytes -= len(self._memory.popleft()[1].payload)
        except OSError as error:
            logger.error("flushes stay in memory, %s cannot be written: %s", self._path, error)

    def _write(self, record: bytes) -> None:
        if self._file is None:
            self._file = _create(self._path)
        try:
            os.pwrite(self._file.fileno(), record, self._end)
            if os.fstat(self._file.fileno()).st_size < self._end + len(record):
                raise OSError("no space left")  # it wrote less than it was given
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
            raise
        self._sizes.append(len(record))
        self._end += len(record)

    def _read(self, most: int, most_bytes: int) -> list[Batch]:
        assert self._file is not None
        count, total = 0, 0
        for size in islice(self._sizes, most):
            if count and total + size > most_bytes:
                break
            count, total = count + 1, total + size
        raw = os.pread(self._file.fileno(), total, self._start)
        found, at = [], 0
        for size in islice(self._sizes, count):
            found.append(_unpacked(raw[at : at + size]))
            at += size
        return found


def abandoned(folder: Path) -> Iterator[DiskQueue]:
    """Queues in a folder whose process has died, locked for this process."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            file = path.open("r+b", buffering=0)
        except FileNotFoundError:
            continue  # somebody else has delivered it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        if path.exists():
            yield DiskQueue.found(path, file)
        else:
            file.close()


def _create(path: Path) -> BinaryIO:
    """A locked file that appears under its name only when it is locked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_suffix(".new")
    descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    file = os.fdopen(descriptor, "r+b", buffering=0)
    fcntl.flock(file, fcntl.LOCK_EX)
    hidden.rename(path)
    return file


def _packed(batch: Batch) -> bytes:
    fields = {name: getattr(batch, name) for name in Batch.__slots__ if name != "payload"}
    head = json.dumps(fields).encode()
    checksum = zlib.crc32(batch.payload, zlib.crc32(head))
    return _RECORD.pack(len(head), len(batch.payload), checksum) + head + batch.payload


def _unpacked(record: bytes) -> Batch:
    head = _RECORD.unpack_from(record)[0]
    start = _RECORD.size
    fields = json.loads(record[start : start + head])
    return Batch(**fields, payload=record[start + head :])


def _record_sizes(file: BinaryIO) -> Iterator[int]:
    """Sizes of the whole records from the start on; the rest was cut off by a kill."""
    at, end = 0, os.fstat(file.fileno()).st_size
    while len(head := os.pread(file.fileno(), _RECORD.size, at)) == _RECORD.size:
        fields, payload, checksum = _RECORD.unpack(head)
        if at + _RECORD.size + fields + payload > end:
            return
        body = os.pread(file.fileno(), fields + payload, at + _RECORD.size)
        if zlib.crc32(body) != checksum:
            return
        size = _RECORD.size + fields + payload
        yield size
        at += size
