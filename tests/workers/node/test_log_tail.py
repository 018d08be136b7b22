from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from workers.node.log_tail import LogTail


@pytest.fixture
def ends() -> Iterator[tuple[LogTail, Connection]]:
    reader, writer = Pipe(duplex=False)
    tail = LogTail(reader, limit=20)
    yield tail, writer
    writer.close()
    tail.close()


def say(writer: Connection, text: bytes) -> None:
    os.write(writer.fileno(), text)


def test_what_was_printed_is_there_at_once(ends: tuple[LogTail, Connection]) -> None:
    tail, writer = ends
    say(writer, b"one\n")
    assert tail.text() == "one\n"
    say(writer, b"two")
    assert tail.text() == "one\ntwo"


def test_only_the_end_is_kept_and_begins_with_a_whole_line(
    ends: tuple[LogTail, Connection],
) -> None:
    tail, writer = ends
    for number in range(10):
        say(writer, b"line %d\n" % number)
    assert tail.text() == "line 8\nline 9\n"


def test_one_long_line_is_kept_as_far_as_it_goes(ends: tuple[LogTail, Connection]) -> None:
    tail, writer = ends
    say(writer, b"x" * 100)
    assert tail.text() == "x" * 20


def test_what_the_supervisor_adds_comes_after_what_was_printed(
    ends: tuple[LogTail, Connection],
) -> None:
    tail, writer = ends
    say(writer, b"printed\n")
    tail.add("added\n")
    assert tail.text() == "printed\nadded\n"


def test_bytes_that_are_no_text_do_not_hurt(ends: tuple[LogTail, Connection]) -> None:
    tail, writer = ends
    say(writer, b"a\0b\xff")
    assert tail.text() == "a\ufffdb\ufffd"


def test_nobody_who_prints_waits_for_a_reader(ends: tuple[LogTail, Connection]) -> None:
    tail, writer = ends
    for _ in range(100):
        say(writer, b"y" * 4096)  # far more than a pipe holds
    assert tail.text() == "y" * 20
