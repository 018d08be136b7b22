"""The records of a W&B run's file `run-<id>.wandb`.

Blocks of 32 KiB hold records in pieces, as LevelDB's log does (leveldb/doc/log_format.md): a
header of checksum (CRC-32 of type and data), length and type, and the data. A record never begins
in a block's last six bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from experiments.tracking.imports.foreign_runs import UnreadableSource

BLOCK = 32_768
MAX_RECORD_BYTES = 64 * 2**20
_HEADER = struct.Struct("<IHB")
_IDENT, _MAGIC = b":W&B", 0xBEE1
_DAMAGED, _FULL, _FIRST, _MIDDLE, _LAST = range(5)
_TYPE_CHECKSUMS = [zlib.crc32(bytes([kind])) for kind in range(5)]


def records(path: Path, left_out: list[str]) -> Iterator[bytes]:
    """Records in order; the rest of a damaged block is left out and named.

    Raises:
        UnreadableSource: when it is no file of W&B's.
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(7)
        if head[:4] != _IDENT or int.from_bytes(head[4:6], "little") != _MAGIC:
            raise UnreadableSource.at(str(path), "", "This is no file of a W&B run.")
        pieces: list[bytes] = []
        block, at = head + file.read(BLOCK - 7), 7
        number = 0
        while block:
            for kind, piece in _pieces(block, at, f"{path.name}, block {number}", left_out):
                if kind in (_DAMAGED, _FULL, _FIRST):
                    pieces = []
                if kind == _DAMAGED or (kind in (_MIDDLE, _LAST) and not pieces):
                    continue
                pieces.append(piece)
                if sum(map(len, pieces)) > MAX_RECORD_BYTES:
                    left_out.append(f"{path.name}, block {number}: a record beyond 64 MiB")
                    pieces = []
                elif kind in (_FULL, _LAST):
                    yield b"".join(pieces)
                    pieces = []
            block, at = file.read(BLOCK), 0
            number += 1


def _pieces(block: bytes, at: int, where: str, left_out: list[str]) -> Iterator[tuple[int, bytes]]:
    while at + _HEADER.size <= len(block):
        checksum, length, kind = _HEADER.unpack_from(block, at)
        begin, end = at + _HEADER.size, at + _HEADER.size + length
        if kind == 0 and length == 0:  # zeros to the block's end
            return
        if end > len(block) and len(block) < BLOCK:
            left_out.append(f"{where}: its last record, which is not whole")
            return
        piece = block[begin:end]
        if (
            kind > _LAST
            or end > len(block)
            or zlib.crc32(piece, _TYPE_CHECKSUMS[kind]) != checksum
        ):
            left_out.append(f"{where}: records after a damaged one")
            yield _DAMAGED, b""
            return
        yield kind, piece
        at = end
