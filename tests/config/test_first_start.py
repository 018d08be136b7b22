from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from config import first_start
from experiments.models import Experiment, Project


def test_an_empty_installation_gets_an_admin_and_a_running_experiment(db: None) -> None:
    password = first_start.prepare()
    assert password is not None
    assert len(password) >= 16
    admin = get_user_model().objects.get()
    assert admin.is_superuser
    assert admin.check_password(password)
    assert Project.objects.get().slug == "digits"
    assert Experiment.objects.get().project.slug == "digits"


def test_the_second_start_changes_nothing(db: None) -> None:
    first_start.prepare()
    Project.objects.update(name="renamed")
    assert first_start.prepare() is None
    assert get_user_model().objects.count() == 1
    assert Project.objects.get().name == "renamed"


def test_an_installation_that_has_a_user_gets_nothing(db: None) -> None:
    get_user_model().objects.create_user("alice")
    assert first_start.prepare() is None
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
    assert first_start.prepare() is not None
