from __future__ import annotations

import math
import struct
import zlib

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.trials.series import series_encoding
from experiments.trials.series.series_encoding import Call, decode, encode, join, raw_bytes

INT64 = st.integers(-(2**63), 2**63 - 1)
ANY_DOUBLE = st.integers(0, 2**64 - 1).map(
    lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]
)
VALUES = st.one_of(ANY_DOUBLE, st.floats(), st.floats(0, 1))
NAMES = st.one_of(st.sampled_from(["train/loss", "loss", "accuracy"]), st.text(max_size=8))
CALLS = st.lists(st.tuples(INT64, INT64, st.dictionaries(NAMES, VALUES, max_size=5)), max_size=30)


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def by_name(calls: list[Call]) -> dict[str, list[tuple[int, int, bytes]]]:
    """What a reader should find, gathered the plain way."""
    points: dict[str, list[tuple[int, int, bytes]]] = {}
    for step, time_ms, values in calls:
        for name, value in values.items():
            points.setdefault(name, []).append((step, time_ms, bits(value)))
    return points


def read_back(payload: bytes) -> dict[str, list[tuple[int, int, bytes]]]:
    return {
        name: [
            (step, time_ms, value.tobytes())
            for step, time_ms, value in zip(
                columns.steps.tolist(), columns.times_ms.tolist(), columns.values, strict=True
            )
        ]
        for name, columns in decode(payload).items()
    }


def forged(raw: bytes, claimed: int | None = None) -> bytes:
    """A payload with a right checksum around any content."""
    frame = zstandard.ZstdCompressor().compress(raw)
    length = len(raw) if claimed is None else claimed
    return struct.pack("<2sHII", b"VS", 1, length, zlib.crc32(frame)) + frame


@given(CALLS)
def test_every_name_reads_back_in_its_order_to_the_last_bit(calls: list[Call]) -> None:
    assert read_back(encode(calls)) == by_name(calls)


def test_names_come_back_in_the_order_of_their_first_appearance() -> None:
    calls: list[Call] = [(0, 0, {"b": 1.0, "a": 2.0}), (1, 1, {"c": 3.0}), (2, 2, {"a": 4.0})]
    assert list(decode(encode(calls))) == ["b", "a", "c"]


def test_columns_have_the_types_that_readers_rely_on() -> None:
    columns = decode(encode([(1, 2, {"loss": 0.5})]))["loss"]
    assert columns.steps.dtype == np.dtype("int64")
    assert columns.values.dtype == np.dtype("float64")
    assert columns.times_ms.dtype == np.dtype("int64")
    assert columns.values.flags.writeable


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), CALLS)
def test_steps_between_whole_numbers_read_back_to_the_last_bit(
    steps: list[float], others: list[Call]
) -> None:
    calls: list[Call] = [(step, n, {"x": float(n)}) for n, step in enumerate(steps)]
    payload = encode(calls)
    assert decode(payload)["x"].steps.tolist() == steps
    together = join([payload, encode(others)])
    assert decode(together)["x"].steps.tolist()[: len(steps)] == steps


def test_nan_payloads_and_signed_zeros_keep_their_bits() -> None:
    odd = [struct.unpack("<d", struct.pack("<Q", n))[0] for n in (0x7FF0000000000001, 1 << 63)]
    calls: list[Call] = [(n, n, {"x": value}) for n, value in enumerate(odd)]
    assert read_back(encode(calls)) == by_name(calls)


@given(st.lists(CALLS, max_size=5))
def test_joined_flushes_read_back_as_one_after_another(flushes: list[list[Call]]) -> None:
    payloads = [encode(calls) for calls in flushes]
    joined = join(payloads)
    together = [call for calls in flushes for call in calls]
    assert read_back(joined) == by_name(together)
    assert list(decode(joined)) == list(by_name(together))
    assert raw_bytes(joined) <= sum(map(raw_bytes, payloads)) + raw_bytes(encode([]))


def test_joining_again_changes_nothing_that_is_read() -> None:
    calls: list[Call] = [(n, n, {"a": n / 3, "b": math.nan}) for n in range(5)]
    payload = encode(calls)
    assert read_back(join([join([payload]), encode([])])) == by_name(calls)


@given(CALLS)
def test_wanted_names_alone_read_back_the_same(calls: list[Call]) -> None:
    wanted = {"loss", "accuracy"}
    found = decode(encode(calls), wanted)
    expected = {name: points for name, points in by_name(calls).items() if name in wanted}
    assert {name: len(columns.steps) for name, columns in found.items()} == {
        name: len(points) for name, points in expected.items()
    }
    for name, columns in found.items():
        assert columns.values.tobytes() == b"".join(bits for _, _, bits in expected[name])


def test_an_empty_flush_is_a_flush_without_names() -> None:
    assert decode(encode([])) == {}
    assert decode(encode([(1, 1, {})])) == {}


def test_thousands_of_names_in_one_call_read_back() -> None:
    calls: list[Call] = [(s, s, {f"layer{n}/norm": n / 7 for n in range(3000)}) for s in range(2)]
    assert read_back(encode(calls)) == by_name(calls)


def test_ten_noisy_names_a_call_take_at_most_ten_bytes_a_point() -> None:
    rng = np.random.default_rng(0)
    steps = 1000
    noise = np.exp(-np.arange(steps) / 300)[:, None] + 0.01 * rng.random((steps, 10))
    times = 1_700_000_000_000 + np.cumsum(rng.integers(1, 40, steps))
    calls: list[Call] = [
        (step, int(times[step]), {f"s{k}": float(v) for k, v in enumerate(noise[step])})
        for step in range(steps)
    ]
    assert len(encode(calls)) <= 10 * steps * 10


@settings(max_examples=60)
@given(CALLS.filter(lambda calls: any(values for _, _, values in calls)), st.data())
def test_an_altered_byte_is_noticed(calls: list[Call], data: st.DataObject) -> None:
    payload = bytearray(encode(calls))
    position = data.draw(st.integers(0, len(payload) - 1))
    payload[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="this series payload is corrupt"):
        decode(bytes(payload))


@given(CALLS, st.data())
def test_a_cut_payload_is_noticed(calls: list[Call], data: st.DataObject) -> None:
    payload = encode(calls)
    with pytest.raises(ValueError, match="this series payload is corrupt"):
        decode(payload[: data.draw(st.integers(0, len(payload) - 1))])


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\xff" * 40, b"\x05\x00\x00\x00[1,2]"])
def test_content_that_is_no_flush_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="this series payload is corrupt"):
        decode(forged(raw))


@pytest.mark.parametrize(
    "directory",
    [
        b'{"calls":1,"names":["a"],"groups":[[[0,0],1]]}',
        b'{"calls":1,"names":["a"],"groups":[[[1],1]]}',
        b'{"calls":1,"names":["a","a"],"groups":[[[0],1]]}',
        b'{"calls":-1,"names":[],"groups":[]}',
        b'{"calls":99999999999,"names":[],"groups":[]}',
        b'{"calls":1,"names":[1],"groups":[[[0],1]]}',
        b'{"calls":2,"names":["a"],"groups":[[[0],1]]}',
        b"[" * 100_000,
    ],
)
def test_a_directory_that_lies_is_refused(directory: bytes) -> None:
    raw = struct.pack("<I", len(directory)) + directory + bytes(4 + 8 + 8 + 8)
    with pytest.raises(ValueError, match="this series payload is corrupt"):
        decode(forged(raw))


@given(st.binary(max_size=300))
def test_no_content_whatever_raises_anything_but_a_value_error(tail: bytes) -> None:
    directory = b'{"calls":3,"names":["a","b"],"groups":[[[0],1],[[0,1],2]]}'
    raw = struct.pack("<I", len(directory)) + directory + tail
    try:
        decode(forged(raw))
    except ValueError as error:
        assert "this series payload is corrupt" in str(error)


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = bytes(series_encoding.MAX_RAW_BYTES + 1)
    with pytest.raises(ValueError, match="at most"):
        decode(forged(bomb))
    with pytest.raises(ValueError, match="different lengths"):
        decode(forged(bomb, claimed=1000))


def test_another_version_names_itself() -> None:
    payload = bytearray(encode([(0, 0, {"a": 1.0})]))
    payload[2] = 9
    with pytest.raises(ValueError, match="version 9"):
        decode(bytes(payload))


def test_a_flush_that_could_not_be_read_back_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(series_encoding, "MAX_RAW_BYTES", 1000)
    with pytest.raises(ValueError, match="split it"):
        encode([(n, n, {"a": 0.0}) for n in range(100)])
