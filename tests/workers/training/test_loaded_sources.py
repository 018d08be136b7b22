from __future__ import annotations

import importlib
import os
import site
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.training.loaded_sources import LoadedSources, installations

LONG_AGO = 1_600_000_000_000_000_000


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that nobody has imported yet."""
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "a_changing_module.py"
    file.write_text("value = 1\n")
    os.utime(file, ns=(LONG_AGO, LONG_AGO))
    yield file
    sys.modules.pop("a_changing_module", None)


def test_what_is_as_it_was_imported_has_not_changed(source: Path) -> None:
    sources = LoadedSources()
    importlib.import_module("a_changing_module")
    sources.note()
    assert str(source) in sources.stamps
    assert sources.stamps[str(source)] is not None


def test_an_edit_is_a_change_and_so_is_a_file_that_is_gone(source: Path) -> None:
    importlib.import_module("a_changing_module")
    sources = LoadedSources()
    sources.stamps = {str(source): sources.stamps[str(source)]}
    assert not sources.changed()
    source.write_text("value = 2\n")
    assert sources.changed()
    source.unlink()
    assert sources.changed()


def test_a_file_that_changed_while_its_module_was_imported_is_not_trusted(source: Path) -> None:
    sources = LoadedSources()
    source.touch()
    importlib.import_module("a_changing_module")
    sources.note()
    assert sources.stamps[str(source)] is None


def test_packages_of_the_person_and_of_the_system_are_installed_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(site, "getusersitepackages", lambda: "/home/ada/site-packages")
    monkeypatch.setattr(site, "getsitepackages", lambda: ["/usr/lib/python3/dist-packages"])
    found = installations.__wrapped__()
    assert {"/home/ada/site-packages", "/usr/lib/python3/dist-packages"} <= set(found)


def test_python_and_installed_packages_are_not_looked_at() -> None:
    seen = LoadedSources().stamps
    assert os.path.realpath(os.__file__) not in seen
    assert os.path.realpath(pytest.__file__) not in seen
    assert any(file.endswith("workers/training/loaded_sources.py") for file in seen)
