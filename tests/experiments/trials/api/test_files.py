from __future__ import annotations

import hashlib

import pytest
from django.conf import settings

from experiments.models import Artifact, Experiment, Trial
from tests import cast
from tests.experiments.asking_programs import HERE, Program

pytestmark = pytest.mark.django_db
CONTENT = b"weights \x00\xff" * 300_000  # more than one block


def _kept(experiment: Experiment, path: str = "api-files/step-5.checkpoint") -> Artifact:
    place = settings.ARTIFACTS_DIR / "api-files" / "step-5.checkpoint"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(CONTENT)
    return Artifact.objects.create(
        trial=Trial.objects.filter(study__experiment=experiment).order_by("pk")[0],
        kind="checkpoint",
        name="step-5.checkpoint",
        path=path,
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        step=5,
    )


def test_files_are_listed_with_their_checksums_and_read() -> None:
    cast.project()
    kept = _kept(cast.finished_search("s", trials_per_arm=2))
    reader = Program("ben", scopes=("read",))
    place = f"{HERE}/experiments/s/trials/A0/files"
    [told] = reader.get(place)["files"]
    assert told == {
        "id": kept.pk,
        "kind": "checkpoint",
        "name": "step-5.checkpoint",
        "size": len(CONTENT),
        "step": 5,
        "sha256": kept.sha256,
    }
    answer = reader.client.get(
        f"{place}/{kept.pk}", headers={"Authorization": f"Bearer {reader.secret}"}
    )
    assert hashlib.sha256(b"".join(answer)).hexdigest() == kept.sha256  # type: ignore[arg-type]
    assert answer.headers["ETag"] == f'"{kept.sha256}"'
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Content-Length"] == str(len(CONTENT))


def test_a_file_is_reached_through_its_own_trial_and_project_alone() -> None:
    cast.project()
    kept = _kept(cast.finished_search("s", trials_per_arm=2))
    cast.finished_search("other", trials_per_arm=2)
    cast.project("speech")
    program = Program("ada")
    for place in (
        f"{HERE}/experiments/s/trials/A1/files",
        f"{HERE}/experiments/other/trials/A0/files",
        "/api/v1/projects/speech/experiments/s/trials/A0/files",
    ):
        assert program.ask("GET", f"{place}/{kept.pk}")[0] == 404
    mine = f"{HERE}/experiments/s/trials/A0/files"
    assert Program("dan").ask("GET", f"{mine}/{kept.pk}")[0] == 404
    assert program.ask("GET", f"{mine}/{2**63}")[0] == 404


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "api-files/gone", "."])
def test_a_record_that_leads_elsewhere_or_nowhere_sends_nothing(path: str) -> None:
    cast.project()
    kept = _kept(cast.finished_search("s", trials_per_arm=2), path)
    status, error = Program("ben").ask("GET", f"{HERE}/experiments/s/trials/A0/files/{kept.pk}")
    assert status == 404 and error["status"] == 404
