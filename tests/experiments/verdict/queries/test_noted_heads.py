from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from experiments.models import Decision, Project
from experiments.verdict.queries import chain_check, noted_heads
from experiments.verdict.queries.chain_check import check_log, cut_logs, note_heads
from experiments.verdict.queries.noted_heads import Head, note_head, note_restored_head
from tests import cast
from tests.services_under_test.redis_server import RedisServer

ONE, TWO, THREE = (Head(count, f"{count:064x}") for count in (1, 2, 3))


def _noted(project_id: int = 7) -> Head | None:
    found = noted_heads.noted_heads().get(project_id)
    return found.head if found else None


def test_before_anything_is_noted_there_is_no_head() -> None:
    assert noted_heads.noted_heads() == {}


def test_the_longest_head_of_each_project_is_the_one() -> None:
    for head in (ONE, THREE, TWO):
        note_head(7, "digits", head)
    note_head(8, "fashion", TWO)
    assert (_noted(), _noted(8)) == (THREE, TWO)
    lines = Path(settings.DECISION_HEADS).read_text().splitlines()
    assert [line.split()[1:3] for line in lines] == [["7", "digits"]] * 2 + [["8", "fashion"]]


def test_only_this_user_reads_or_writes_the_file() -> None:
    note_head(7, "digits", ONE)
    assert stat.S_IMODE(Path(settings.DECISION_HEADS).stat().st_mode) == 0o600


def test_a_torn_line_says_nothing_and_what_follows_is_read() -> None:
    note_head(7, "digits", TWO)
    with Path(settings.DECISION_HEADS).open("a") as file:
        file.write("2026-11-30T10:00:00+00:00 7 digits 9:abc\n\xff\n")
    note_head(7, "digits", THREE)
    assert _noted() == THREE


def test_a_restored_backup_takes_the_place_of_longer_heads() -> None:
    note_head(7, "digits", THREE)
    note_restored_head(7, "digits", ONE, "disk lost, backup of Monday")
    assert _noted() == ONE
    note_head(7, "digits", TWO)
    assert _noted() == TWO


def test_a_file_that_cannot_be_written_is_said_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settings, "DECISION_HEADS", tmp_path / "away" / "heads")
    note_head(7, "digits", ONE)
    assert "the head of digits is not noted" in caplog.text


@pytest.fixture
def decided() -> Project:
    """One decision."""
    project = cast.project()
    cast.decide(cast.repeated(cast.finished_search(trials_per_arm=2), looks=(10,)), "adopt")
    return project


@pytest.mark.django_db(transaction=True)
def test_who_records_a_decision_notes_its_head_once_it_is_committed(decided: Project) -> None:
    assert _noted(decided.pk) == Head(1, Decision.objects.get().hash)


@pytest.mark.django_db(transaction=True)
def test_a_node_that_reads_the_log_notes_its_head(decided: Project) -> None:
    settings.DECISION_HEADS.unlink()  # another node's file
    note_heads()
    assert _noted(decided.pk) == Head(1, Decision.objects.get().hash)


@pytest.mark.django_db
def test_the_head_of_a_log_that_is_not_whole_is_not_noted(decided: Project) -> None:
    note_head(decided.pk, decided.slug, TWO)
    assert "1 entries but had 2" in check_log(decided.pk, decided.slug).problems[0]
    note_heads()
    assert _noted(decided.pk) == TWO


@pytest.mark.django_db
def test_a_node_is_not_ready_while_a_log_lacks_its_head(
    client: Client, redis_server: RedisServer, decided: Project, caplog: pytest.LogCaptureFixture
) -> None:
    note_head(decided.pk, decided.slug, check_log(decided.pk, decided.slug).head)
    assert cut_logs() == [] and client.get("/readyz").status_code == 200
    cast.by_hand("DELETE FROM experiments_decision")
    answer = client.get("/readyz")
    assert answer.status_code == 503 and answer.json()["decisions"] == "cut"
    assert "digits" not in answer.content.decode() and "digits: the log has 0" in caplog.text


@pytest.mark.django_db
def test_a_rewritten_end_of_the_same_length_is_no_head(decided: Project) -> None:
    note_head(decided.pk, decided.slug, ONE)
    assert "is not the one that stood there" in check_log(decided.pk, decided.slug).problems[0]
    assert len(cut_logs()) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("of_all", [False, True])
def test_a_decision_that_is_made_while_the_log_is_read_refuses_nobody(
    monkeypatch: pytest.MonkeyPatch, of_all: bool
) -> None:
    project = cast.project()
    cast.decided("wider", "adopt", "It pays.")
    walk = chain_check._walked

    def meanwhile(project_id: int, rows: Iterable[Decision]) -> chain_check.CheckedLog:
        read = list(rows)
        note_head(project_id, project.slug, TWO)  # as whoever records the next one does
        return walk(project_id, read)

    monkeypatch.setattr(chain_check, "_walked", meanwhile)
    if of_all:
        assert chain_check.check_logs({project.pk: project.slug})[project.pk].problems == ()
    else:
        assert check_log(project.pk, project.slug).problems == ()
