from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from experiments.web.uploads import Draft, Place

PLACE = Place(project_id=1, most=100, left=100, message="too large")


def test_an_upload_goes_on_while_another_of_its_project_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ending, draft = Draft(PLACE), Draft(PLACE)
    scan: Callable[..., object] = os.scandir

    class Listed:
        """A folder that was listed just before the other upload ended."""

        def __init__(self, folder: object) -> None:
            with scan(folder) as entries:  # type: ignore[attr-defined]
                self.entries = list(entries)
            ending.close()

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(os, "scandir", Listed)
    draft.write(b"some bytes")
    assert draft.size == 10
    monkeypatch.undo()
    draft.close()


def test_an_upload_that_is_closed_twice_leaves_the_next_of_its_key() -> None:
    first = Draft(PLACE, key="weights")
    first.close()
    second = Draft(PLACE, key="weights")
    second.write(b"epoch 2")
    first.close()
    assert second.path.read_bytes() == b"epoch 2"
    second.close()
