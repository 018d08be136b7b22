"""Event files of TensorBoard (`events.out.tfevents.…`): scalars, hyperparameters and text.

Records are framed as in TFRecord files: length, its checksum, data, its checksum; checksums are
CRC-32C, rotated and shifted ("masked").
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from google.protobuf.message import DecodeError

from experiments.tracking.imports.foreign_runs import (
    Curves,
    ParameterValue,
    Points,
    milliseconds_of,
)
from experiments.tracking.imports.readers.messages import message

MAX_RECORD_BYTES = 256 * 2**20
HPARAMS = "_hparams_/"
_LENGTH, _CHECKSUM = struct.Struct("<QI"), struct.Struct("<I")
_MASK = 0xA282EAD8
_START = 1  # of a session log: training began again at this step
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
_Read = Callable[[Any], float]


def records(path: Path, left_out: list[str]) -> Iterator[bytes]:
    """Records of an event file; what follows a damaged one is left out and named.

    Raises:
        OSError: when it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb", buffering=2**20) as file:
        number = at = 0
        while head := file.read(_LENGTH.size):
            length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else size
            at += _LENGTH.size + length + _CHECKSUM.size
            if at > size:
                left_out.append(f"{path.name}: its last record, which is not whole")
                return
            if length > MAX_RECORD_BYTES:
                left_out.append(f"{path.name}: record {number}, which is beyond 256 MiB")
                file.seek(at)
                continue
            data = file.read(length)
            checksum = google_crc32c.value(data)
            masked = (((checksum >> 15) | (checksum << 17)) + _MASK) & 0xFFFFFFFF
            if file.read(_CHECKSUM.size) != _CHECKSUM.pack(masked):
                left_out.append(f"{path.name}: records from number {number} on, which is damaged")
                return
            yield data
            number += 1


class Events:
    """The events of a run's files while they are read."""

    def __init__(self, left_out: list[str]) -> None:
        self.left_out = left_out
        self.parameters: dict[str, ParameterValue] = {}
        self.texts: dict[str, str] = {}
        self.status: int | None = None
        self.first_ms = 0
        self.last_ms = 0
        self._points: dict[str, tuple[Points, _Read]] = {}
        self._other: Counter[str] = Counter()

    def read(self, path: Path, prefix: str = "") -> None:
        """Take in a file; `prefix` goes before the names of its scalars and text.

        Raises:
            OSError: when it cannot be read.
        """
        parse = message("Event").FromString
        known: dict[bytes, tuple[Points, _Read]] = {}
        for number, content in enumerate(records(path, self.left_out)):
            try:
                event = parse(content)
            except DecodeError:
                self.left_out.append(f"{path.name}: record {number}, which is no event")
                continue
            step, time = event.step, milliseconds_of(event.wall_time)
            for value in event.summary.value:
                found = known.get(value.tag) or self._begin(value, prefix, known)
                if found is None:
                    continue
                points, number_of = found
                points.steps.append(step)
                points.values.append(number_of(value))
                points.times_ms.append(time)
            if event.session_log.status == _START and step > 0:
                self._restart(step, path, prefix)
            if not self.first_ms:
                self.first_ms = time
            self.last_ms = max(self.last_ms, time)

    def _begin(
        self, value: Any, prefix: str, known: dict[bytes, tuple[Points, _Read]]
    ) -> tuple[Points, _Read] | None:
        """The points that a scalar's first value begins; takes in what is no scalar."""
        tag = value.tag.decode("utf-8", "replace")
        plugin = value.metadata.plugin.name
        if tag.startswith(HPARAMS):
            self._take_hparams(value.metadata.plugin.content)
            return None
        if plugin == b"text" or (value.HasField("tensor") and value.tensor.string_val):
            lines = [text.decode("utf-8", "replace") for text in value.tensor.string_val]
            self.texts[prefix + tag.removesuffix("/text_summary")] = "\n".join(lines)
            return None
        if plugin not in (b"", b"scalars") or value.histogram or value.image or value.audio:
            self._other[prefix + tag] += 1
            return None
        read: _Read = _tensor if value.HasField("tensor") else _simple
        found = self._points.setdefault(prefix + tag, (Points(), read))
        known[value.tag] = found
        return found

    def _take_hparams(self, content: bytes) -> None:
        """Hyperparameters and the end of a session, as the plugin of that name writes them."""
        try:
            found = message("HParams").FromString(content)
        except DecodeError:
            self.left_out.append("hyperparameters, which cannot be read")
            return
        for hparam in found.start.hparams:
            kind = next(
                (kind for kind in ("number", "text", "flag") if hparam.value.HasField(kind)), ""
            )
            value = getattr(hparam.value, kind) if kind else None
            name = hparam.key.decode("utf-8", "replace")
            self.parameters[name] = (
                value.decode("utf-8", "replace") if isinstance(value, bytes) else _whole(value)
            )
        if found.HasField("end"):
            self.status = found.end.status

    def _restart(self, step: int, path: Path, prefix: str) -> None:
        """Drop what this file's writer wrote before it began again; other folders stay."""
        own = [points for name, (points, _) in self._points.items() if name.startswith(prefix)]
        dropped = sum(_cut(points, step) for points in own)
        if dropped:
            self.left_out.append(
                f"{path.name}: {dropped} points at step {step} and later, from before a restart"
            )

    @property
    def empty(self) -> bool:
        """Tell if nothing that makes a run was found."""
        return not (self._points or self.parameters or self.texts or self._other)

    def curves(self) -> Curves:
        """Scalars by name."""
        return {name: points.columns() for name, (points, _) in self._points.items()}

    def close(self) -> None:
        """Say what of the whole was left out."""
        self.left_out += [
            f"{tag}: {count} images, histograms or other media"
            for tag, count in self._other.items()
        ]


def _cut(points: Points, step: int) -> int:
    """Drop points at this step and after it; how many those were."""
    remaining = [at for at, logged_step in enumerate(points.steps) if logged_step < step]
    dropped = len(points.steps) - len(remaining)
    if dropped:
        points.steps = [points.steps[at] for at in remaining]
        points.values = [points.values[at] for at in remaining]
        points.times_ms = [points.times_ms[at] for at in remaining]
    return dropped


def _simple(value: Any) -> float:
    return float(value.simple_value)


def _tensor(value: Any) -> float:
    """A scalar that is written as a tensor; NaN for a type that has no number."""
    tensor = value.tensor
    if tensor.content:
        kind = _DTYPES.get(tensor.dtype)
        if kind is None or len(tensor.content) < np.dtype(kind).itemsize:
            return float("nan")
        return float(np.frombuffer(tensor.content, kind, 1)[0])
    for numbers in (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val):
        if numbers:
            return float(numbers[0])
    if tensor.half_val and tensor.dtype == 19:
        return float(np.array(tensor.half_val[0], np.uint16).view(np.float16))
    return float("nan") if tensor.half_val else 0.0


def _whole(value: ParameterValue) -> ParameterValue:
    """A number as the whole one that it is: the plugin knows no integers."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole and value is not None else value
