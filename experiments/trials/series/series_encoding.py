"""One flush of log calls as compressed columns, exact to the last bit.

A flush is an ordered list of calls `(step, time_ms, {name: value})`. Calls with the same names
form a group whose values lie in one matrix; steps and times are kept once a call, whatever the
number of names, and the order of all calls is kept, so that every name reads back in the order in
which it was logged.

Layout, little-endian: a header (magic, version, raw length, CRC-32 of what follows), then one
zstandard frame with the length of a JSON directory, the directory, and the columns: group of each
call, step differences, time differences, values of each group. Differences are taken modulo 2^64,
so that any int64 comes back; in version 2, for steps that are not all whole numbers, they are
float64, bit for bit. Columns are byte-shuffled: the k-th bytes of all elements lie together, which
is where neighbouring floats agree (the shuffle filter of HDF5).
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

VERSION, FRACTIONAL = 1, 2
MAX_RAW_BYTES = 64 * 2**20  # of one flush before compression; writers split long before
_MAX_DIRECTORY_BYTES = 32 * 2**20
_MAGIC = b"VS"
_HEADER = struct.Struct("<2sHII")
_LENGTH = struct.Struct("<I")


Steps = NDArray[np.int64] | NDArray[np.float64]
Call = tuple[float, int, Mapping[str, float]]  # step (whole ones as int), time in ms, values


@dataclass(frozen=True, slots=True, eq=False)
class SeriesColumns:
    """The points of one name in logging order.

    `steps` [T] int64, or float64 where some are no whole numbers, `values` [T] float64,
    `times_ms` [T] int64 (milliseconds since 1970).
    """

    steps: Steps
    values: NDArray[np.float64]
    times_ms: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Group:
    """Names logged together, as positions in the directory's list of names."""

    names: tuple[int, ...]
    calls: int


@dataclass(frozen=True, slots=True, eq=False)
class _Flush:
    """A flush taken apart. `planes` [8, names, calls] uint8 holds a group's shuffled values."""

    names: list[str]
    groups: list[_Group]
    group_of_call: NDArray[np.uint32]
    steps: Steps
    times_ms: NDArray[np.int64]
    planes: list[NDArray[np.uint8]]


def encode(calls: Sequence[Call]) -> bytes:
    """Pack log calls, oldest first. Calls without any value are left out.

    Raises ValueError when the flush is larger than `MAX_RAW_BYTES` before compression and
    OverflowError when a step or time does not fit into 64 bits.
    """
    calls = [call for call in calls if call[2]]
    rows: dict[tuple[str, ...], list[list[float]]] = {}
    group_numbers: dict[tuple[str, ...], int] = {}
    group_of_call = np.empty(len(calls), dtype=np.uint32)
    for position, (_, _, values) in enumerate(calls):
        key = tuple(values)
        group_of_call[position] = group_numbers.setdefault(key, len(group_numbers))
        rows.setdefault(key, []).append(list(values.values()))
    positions: dict[str, int] = {}
    return _pack(
        _Flush(
            groups=[
                _Group(
                    tuple(positions.setdefault(name, len(positions)) for name in key), len(points)
                )
                for key, points in rows.items()
            ],
            names=list(positions),
            group_of_call=group_of_call,
            steps=_steps([call[0] for call in calls]),
            times_ms=np.array([call[1] for call in calls], dtype=np.int64),
            # Transposed: one name's values beside one another.
            planes=[_planes(np.array(points, dtype=np.float64).T) for points in rows.values()],
        )
    )


def encode_columns(columns: Mapping[str, SeriesColumns]) -> bytes:
    """Pack whole columns: names with the same steps and times as one group, group after group.

    Raises as `encode` does.
    """
    groups: dict[tuple[str, bytes, bytes], list[str]] = {}
    for name, column in columns.items():
        axis = (column.steps.dtype.str, column.steps.tobytes(), column.times_ms.tobytes())
        groups.setdefault(axis, []).append(name)
    names = [name for group in groups.values() for name in group]
    firsts = [columns[group[0]] for group in groups.values()]
    lengths = [len(first.steps) for first in firsts]
    places = iter(range(len(names)))
    return _pack(
        _Flush(
            names=names,
            groups=[
                _Group(tuple(next(places) for _ in group), length)
                for group, length in zip(groups.values(), lengths, strict=True)
            ],
            group_of_call=np.repeat(np.arange(len(groups), dtype=np.uint32), lengths),
            steps=joined_steps([first.steps for first in firsts]),
            times_ms=_concatenated([first.times_ms for first in firsts], np.int64),
            planes=[
                _planes(np.stack([columns[name].values for name in group]))
                for group in groups.values()
            ],
        )
    )


def decode(payload: bytes, names: Collection[str] | None = None) -> dict[str, SeriesColumns]:
    """Unpack what `encode` packed: the columns of every name, names by first appearance.

    With `names`, only theirs. Raises ValueError, saying what is wrong, when the payload is cut,
    altered, of another version or claims to hold more than `MAX_RAW_BYTES`.
    """
    flush = _unpack(payload)
    calls_of_group = np.argsort(flush.group_of_call, kind="stable")
    pieces: dict[str, list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {}
    first = 0
    for group, planes in zip(flush.groups, flush.planes, strict=True):
        where = calls_of_group[first : first + group.calls]
        first += group.calls
        for row, position in enumerate(group.names):
            name = flush.names[position]
            if names is None or name in names:
                pieces.setdefault(name, []).append((where, _values(planes[:, row])))
    return {name: _join(parts, flush.steps, flush.times_ms) for name, parts in pieces.items()}


def join(payloads: Sequence[bytes]) -> bytes:
    """Several flushes as one that reads back as they do one after another, bit for bit.

    Raises ValueError when one of them is corrupt or the whole is too large (see `raw_bytes`).
    """
    flushes = [_unpack(payload) for payload in payloads]
    positions: dict[str, int] = {}
    numbers: dict[tuple[int, ...], int] = {}
    planes: list[list[NDArray[np.uint8]]] = []
    group_of_call = []
    for flush in flushes:
        place = [positions.setdefault(name, len(positions)) for name in flush.names]
        renumbered = np.empty(len(flush.groups), dtype=np.uint32)
        for old, (group, part) in enumerate(zip(flush.groups, flush.planes, strict=True)):
            key = tuple(place[position] for position in group.names)
            renumbered[old] = new = numbers.setdefault(key, len(numbers))
            if new == len(planes):
                planes.append([])
            planes[new].append(part)
        group_of_call.append(renumbered[flush.group_of_call])
    joined = [np.concatenate(parts, axis=2) for parts in planes]
    return _pack(
        _Flush(
            names=list(positions),
            groups=[_Group(key, part.shape[2]) for key, part in zip(numbers, joined, strict=True)],
            group_of_call=_concatenated(group_of_call, np.uint32),
            steps=joined_steps([flush.steps for flush in flushes]),
            times_ms=_concatenated([flush.times_ms for flush in flushes], np.int64),
            planes=joined,
        )
    )


def raw_bytes(payload: bytes) -> int:
    """Size of a payload before compression, as it claims: joined ones add up at most."""
    if len(payload) < _HEADER.size:
        raise _corrupt(f"{len(payload)} bytes are fewer than the header")
    size: int = _HEADER.unpack_from(payload)[2]
    return size


def _pack(flush: _Flush) -> bytes:
    directory = json.dumps(
        {
            "calls": len(flush.steps),
            "names": flush.names,
            "groups": [[group.names, group.calls] for group in flush.groups],
        },
        separators=(",", ":"),
    ).encode()
    parts = [_LENGTH.pack(len(directory)), directory, _shuffle(flush.group_of_call)]
    parts += [_shuffle(_differences(column)) for column in (flush.steps, flush.times_ms)]
    parts += [planes.tobytes() for planes in flush.planes]
    return _seal(
        b"".join(parts),
        len(directory),
        FRACTIONAL if flush.steps.dtype == np.float64 else VERSION,
    )


def _unpack(payload: bytes) -> _Flush:
    raw, version = _unseal(payload)
    call_count, names, groups, start = _read_directory(raw)
    points = sum(len(group.names) * group.calls for group in groups)
    expected = start + call_count * (4 + 8 + 8) + points * 8
    if len(raw) != expected or sum(group.calls for group in groups) != call_count:
        raise _corrupt(f"{len(raw)} bytes where the directory asks for {expected}")
    group_of_call, start = _column(raw, start, call_count, np.dtype("<u4"))
    if not np.array_equal(
        np.bincount(group_of_call, minlength=len(groups)), [group.calls for group in groups]
    ):
        raise _corrupt("the calls of the groups do not add up")
    whole_steps, start = _integers(raw, start, call_count)
    steps: Steps = whole_steps.view(np.float64) if version == FRACTIONAL else whole_steps
    times_ms, start = _integers(raw, start, call_count)
    planes = []
    for group in groups:
        shape = (8, len(group.names), group.calls)
        size = len(group.names) * group.calls * 8
        planes.append(np.frombuffer(raw, np.uint8, size, start).reshape(shape))
        start += size
    return _Flush(names, groups, group_of_call, steps, times_ms, planes)


def _join(
    parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]],
    steps: Steps,
    times_ms: NDArray[np.int64],
) -> SeriesColumns:
    """One name's points from all groups that hold it, in the order of the calls."""
    where = np.concatenate([part for part, _ in parts])
    values = np.concatenate([part for _, part in parts])
    if len(parts) > 1:
        order = np.argsort(where)
        where, values = where[order], values[order]
    return SeriesColumns(steps[where], values, times_ms[where])


def _seal(raw: bytes, directory_bytes: int, version: int) -> bytes:
    if len(raw) > MAX_RAW_BYTES or directory_bytes > _MAX_DIRECTORY_BYTES:
        raise ValueError(
            f"a flush of {len(raw)} bytes ({directory_bytes} of them names) is too large: "
            f"at most {MAX_RAW_BYTES} and {_MAX_DIRECTORY_BYTES}; split it"
        )
    frame = zstandard.ZstdCompressor(level=3).compress(raw)
    return _HEADER.pack(_MAGIC, version, len(raw), zlib.crc32(frame)) + frame


def _unseal(payload: bytes) -> tuple[bytes, int]:
    """The packed content and the version of its layout."""
    if len(payload) < _HEADER.size:
        raise _corrupt(f"{len(payload)} bytes are fewer than the header")
    magic, version, raw_length, checksum = _HEADER.unpack_from(payload)
    frame = payload[_HEADER.size :]
    if magic != _MAGIC:
        raise _corrupt(f"it begins with {magic!r}, not {_MAGIC!r}")
    if version not in (VERSION, FRACTIONAL):
        raise _corrupt(f"version {version} is not known; this reader knows {FRACTIONAL}")
    if zlib.crc32(frame) != checksum:
        raise _corrupt("the checksum differs")
    if raw_length > MAX_RAW_BYTES:
        raise _corrupt(f"it claims {raw_length} bytes, at most {MAX_RAW_BYTES} are read")
    try:
        # The frame's own claim is what the decompressor allocates.
        if zstandard.frame_content_size(frame) != raw_length:
            raise _corrupt("header and frame claim different lengths")
        return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False), version
    except zstandard.ZstdError as error:
        raise _corrupt(str(error)) from error


def _read_directory(raw: bytes) -> tuple[int, list[str], list[_Group], int]:
    """Number of calls, names, groups, and where the columns begin."""
    if len(raw) < _LENGTH.size:
        raise _corrupt("no directory")
    (length,) = _LENGTH.unpack_from(raw)
    end = _LENGTH.size + length
    if end > len(raw) or length > _MAX_DIRECTORY_BYTES:
        raise _corrupt(f"a directory of {length} bytes")
    try:
        directory = json.loads(raw[_LENGTH.size : end])
        calls = _count(directory["calls"])
        names = [_name(name) for name in directory["names"]]
        groups = [_group(members, size, len(names)) for members, size in directory["groups"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _corrupt(f"its directory cannot be read ({error})") from error
    if len(set(names)) != len(names):
        raise _corrupt("a name appears twice in its directory")
    return calls, names, groups, end


def _group(members: list[int], size: int, name_count: int) -> _Group:
    group = _Group(tuple(_count(member) for member in members), _count(size))
    if len(set(group.names)) != len(group.names) or any(n >= name_count for n in group.names):
        raise ValueError("a group names a series twice or one that is not listed")
    return group


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_RAW_BYTES:
        raise ValueError(f"{value!r} is not a count")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a name")
    return value


def joined_steps(parts: Sequence[Steps]) -> Steps:
    """Steps of several flushes as one column: whole numbers unless some of them are not."""
    joined: Steps = np.concatenate([np.empty(0, np.int64), *parts])
    return joined


def _steps(numbers: Sequence[float]) -> Steps:
    if any(isinstance(step, float) for step in numbers):
        return np.array(numbers, dtype=np.float64)
    return np.array(numbers, dtype=np.int64)


def _differences(values: Steps) -> NDArray[np.uint64]:
    unsigned = values.view(np.uint64)
    differences = unsigned.copy()
    differences[1:] -= unsigned[:-1]
    return differences


def _integers(raw: bytes, start: int, count: int) -> tuple[NDArray[np.int64], int]:
    differences, end = _column(raw, start, count, np.dtype("<u8"))
    return np.cumsum(differences, dtype=np.uint64).view(np.int64), end


def _planes(matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Shuffled values [8, names, calls] of a matrix [names, calls]."""
    little = np.ascontiguousarray(matrix, dtype="<f8")
    return np.moveaxis(little.view(np.uint8).reshape(*little.shape, 8), 2, 0)


def _values(planes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """One name's values [calls] of its planes [8, calls]."""
    values = np.ascontiguousarray(planes.T).reshape(-1).view("<f8")
    return values.astype(np.float64, copy=False)


def _concatenated(parts: list[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype), *parts])


def _shuffle(column: NDArray[np.uint64] | NDArray[np.uint32]) -> bytes:
    little = np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(-1, little.dtype.itemsize).T.tobytes()


def _column(raw: bytes, start: int, count: int, dtype: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    size = count * dtype.itemsize
    planes = np.frombuffer(raw, np.uint8, size, start).reshape(dtype.itemsize, count)
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype), start + size


def _corrupt(what: str) -> ValueError:
    return ValueError(f"this series payload is corrupt: {what}")
