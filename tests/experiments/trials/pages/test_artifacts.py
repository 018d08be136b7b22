from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client, override_settings

from experiments.models import Artifact, Trial
from experiments.trials.artifacts.storage import LocalFolder, StorageAway
from experiments.trials.table.queries.reproduce import line_of
from tests import cast

pytestmark = pytest.mark.django_db

WRITTEN = b"<script>alert(1)</script>"


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Artifact]:
    """The output of trial B0."""
    cast.project()
    search = cast.finished_search(trials_per_arm=2)
    trial = search.studies.get(arm_index=1).trials.get(number=0)
    (tmp_path / "a.txt").write_bytes(WRITTEN)
    with override_settings(ARTIFACTS_DIR=tmp_path):
        yield Artifact.objects.create(
            trial=trial,
            kind="output",
            name='a"\r\nX: y',
            path="a.txt",
            size=25,
            sha256=hashlib.sha256(WRITTEN).hexdigest(),
        )


def address(kept: Artifact, trial: str = "B0") -> str:
    experiment = kept.trial.study.experiment
    assert experiment is not None
    return cast.address(experiment, f"trials/{trial}/files/{kept.pk}/")


def test_a_member_downloads_a_file_that_no_browser_shows(kept: Artifact, client: Client) -> None:
    client.force_login(cast.person("ben"))
    answer = client.get(address(kept))
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content) == WRITTEN  # type: ignore[attr-defined]
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment; filename*=UTF-8''")
    assert "%0D%0AX" in answer["Content-Disposition"] and "X" not in answer.headers


def test_a_file_is_found_only_under_its_own_trial_by_members_and_while_it_is_there(
    kept: Artifact, client: Client, tmp_path: Path
) -> None:
    client.force_login(cast.person("mallory"))
    assert client.get(address(kept)).status_code == 404
    client.force_login(cast.person("ben"))
    assert client.get(address(kept, "B1")).status_code == 404
    (tmp_path / "a.txt").unlink()
    answer = client.get(address(kept))
    assert answer.status_code == 404


def test_a_store_that_is_away_is_said_to_be(
    kept: Artifact, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(store: LocalFolder, path: str) -> int:
        raise StorageAway(path)

    monkeypatch.setattr(LocalFolder, "size_of", away)
    client.force_login(cast.person("ben"))
    answer = client.get(address(kept))
    assert answer.status_code == 503 and b"does not answer" in answer.content


def test_a_record_that_leads_out_of_the_folder_gives_nothing_away(
    kept: Artifact, client: Client, tmp_path: Path
) -> None:
    (tmp_path.parent / "secret").write_text("key")
    Artifact.objects.filter(pk=kept.pk).update(path="../secret")
    client.force_login(cast.person("ben"))
    assert client.get(address(kept)).status_code == 404


def test_the_line_that_reproduces_a_trial_tells_that_it_was_resumed(kept: Artifact) -> None:
    trial = Trial.objects.get(pk=kept.trial_id)
    experiment = trial.study.experiment
    assert "--resumed" not in line_of(experiment, trial)
    trial.resumed = '{"2": [12, 1], "4": [30, 2]}'
    assert "--resumed=12,30" in line_of(experiment, trial)
    trial.resumed = '{"2": [12, 1, "[fold=2]", ["[fold=1]"]], "lower": true}'
    line = line_of(experiment, trial)
    assert "'--resumed=12[fold=2]'" in line and "--lower-budgets=built-on" in line
