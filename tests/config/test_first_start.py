from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from config import first_start
from experiments.models import Experiment, Project


@pytest.fixture(autouse=True)
def file(settings: Any, tmp_path: Path) -> Path:
    """Where the first password lies until it was used."""
    settings.FIRST_PASSWORD = tmp_path / "first_password"
    return tmp_path / "first_password"


def test_an_empty_installation_gets_an_admin_and_a_running_experiment(db: None) -> None:
    first_start.prepare()
    password = first_start.unused_password()
    assert password is not None and len(password) >= 16
    admin = get_user_model().objects.get()
    assert admin.is_superuser
    assert admin.check_password(password)
    assert Project.objects.get().slug == "digits"
    assert Experiment.objects.get().project.slug == "digits"


def test_the_first_password_is_shown_until_somebody_has_signed_in_with_it(
    db: None, client: Client, file: Path
) -> None:
    first_start.prepare()
    password = first_start.unused_password()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    client.post(reverse("login"), {"username": "admin", "password": "wrong"})
    assert first_start.unused_password() == password
    client.post(reverse("login"), {"username": "admin", "password": password})
    assert not file.exists()
    assert first_start.unused_password() is None


def test_a_first_password_that_was_changed_is_no_longer_shown(db: None, file: Path) -> None:
    first_start.prepare()
    admin = get_user_model().objects.get()
    admin.set_password("of my own")
    admin.save()
    assert first_start.unused_password() is None
    assert not file.exists()


def test_the_second_start_changes_nothing(db: None) -> None:
    first_start.prepare()
    password = first_start.unused_password()
    Project.objects.update(name="renamed")
    first_start.prepare()
    assert first_start.unused_password() == password
    assert get_user_model().objects.count() == 1
    assert Project.objects.get().name == "renamed"


def test_an_installation_that_has_a_user_gets_nothing(db: None) -> None:
    get_user_model().objects.create_user("alice")
    first_start.prepare()
    assert first_start.unused_password() is None
    assert not Project.objects.exists()


def test_a_first_start_that_fails_is_repeated_by_the_next(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("no such luck")

    with monkeypatch.context() as patch:
        patch.setattr(first_start, "call_command", fail)
        with pytest.raises(RuntimeError):
            first_start.prepare()
    assert not get_user_model().objects.exists()
    first_start.prepare()
    assert first_start.unused_password() is not None
