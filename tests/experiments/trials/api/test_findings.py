from __future__ import annotations

import pytest

from experiments.models import Finding
from tests import cast
from tests.experiments.asking_programs import HERE, Program

pytestmark = pytest.mark.django_db
ONE = f"{HERE}/experiments/s"


@pytest.fixture
def program() -> Program:
    cast.project()
    cast.some_findings(cast.finished_search("s", trials_per_arm=3))
    return Program("cleo", ("read", "write"))


def test_findings_come_with_their_evidence_the_gravest_first(program: Program) -> None:
    told = program.get(f"{ONE}/findings")
    assert told["findings"][0]["is_open"]
    assert told["findings"][0]["evidence"]
    assert "warning" in told["summary"]


def test_a_finding_is_set_aside_with_a_reason_only(program: Program) -> None:
    finding = Finding.objects.get(rule="boundary")
    address = f"{HERE}/findings/{finding.pk}/dismiss"
    status, answer = program.post(address, {"reason": " "})
    assert status == 400 and answer["errors"][0]["where"] == "reason"
    status, told = program.post(address, {"reason": "The range is the machine's."})
    assert status == 200
    (row,) = (listed for listed in told["findings"] if listed["id"] == finding.pk)
    assert (row["is_open"], row["dismissed_by"]) == (False, "cleo")


def test_a_finding_of_another_project_is_not_found(program: Program) -> None:
    finding = Finding.objects.get(rule="boundary")
    cast.project("speech")
    status, _ = program.post(
        f"/api/v1/projects/speech/findings/{finding.pk}/dismiss", {"reason": "x"}
    )
    assert status == 404
    finding.refresh_from_db()
    assert finding.dismissed_at is None


def test_overfitting_is_muted_and_told_again(program: Program) -> None:
    assert program.post(f"{ONE}/mute", {})[0] == 200
    rows = program.get(f"{ONE}/findings")["findings"]
    assert any(row["is_muted"] for row in rows)
    assert program.post(f"{ONE}/mute", {"muted": False})[0] == 200
    rows = program.get(f"{ONE}/findings")["findings"]
    assert not any(row["is_muted"] for row in rows)
