from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import redis_socket


def test_the_socket_lies_in_the_data_folder_when_its_path_is_short() -> None:
    assert redis_socket.socket_path(Path("/srv/verdict")) == Path("/srv/verdict/redis.sock")


@given(st.lists(st.text("abcä", min_size=1, max_size=40), min_size=1, max_size=8))
def test_a_socket_path_is_never_longer_than_the_system_allows(parts: list[str]) -> None:
    data = Path("/", *parts)
    path = redis_socket.socket_path(data)
    assert len(os.fsencode(path)) <= redis_socket.LONGEST_PATH
    assert redis_socket.socket_path(data) == path


def test_two_long_data_folders_have_two_sockets() -> None:
    long = Path("/", "x" * 120)
    assert redis_socket.socket_path(long / "a") != redis_socket.socket_path(long / "b")


def test_a_short_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    path = redis_socket.socket_path(tmp_path / ("x" * 120))
    redis_socket.prepare_folder(path)
    try:
        redis_socket.prepare_folder(path)  # ours: fine again
        path.parent.chmod(0o755)
        with pytest.raises(PermissionError, match="not private"):
            redis_socket.prepare_folder(path)
    finally:
        path.parent.rmdir()


def test_a_link_in_the_short_folders_place_is_refused(tmp_path: Path) -> None:
    path = redis_socket.socket_path(tmp_path / ("y" * 120))
    path.parent.symlink_to(tmp_path)
    try:
        with pytest.raises(PermissionError, match="not private"):
            redis_socket.prepare_folder(path)
    finally:
        path.parent.unlink()
