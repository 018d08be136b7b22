from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from experiments.decisions.queries import champion
from experiments.decisions.services import decisions
from experiments.models import Decision
from tests import cast

pytestmark = pytest.mark.django_db

PROTECTED_BY = {
    "sqlite": (
        "DROP TRIGGER verdict_decision_no_update",
        "DROP TRIGGER verdict_decision_no_delete",
        "DROP TRIGGER verdict_decision_no_replace",
    ),
    "postgresql": (
        "SET CONSTRAINTS ALL IMMEDIATE",
        "ALTER TABLE experiments_decision DISABLE TRIGGER USER",
    ),
}


def _call(*arguments: str) -> str:
    output = StringIO()
    call_command("decisions", *arguments, stdout=output)
    return output.getvalue()


def _broken(*arguments: str) -> str:
    output = StringIO()
    with pytest.raises(CommandError, match="digits is not what was written"):
        call_command("decisions", "verify", *arguments, stdout=output)
    return output.getvalue()


def _by_hand(statement: str) -> None:
    """What somebody does who owns the database: put the protection away, then write."""
    with connection.cursor() as cursor:
        for each in PROTECTED_BY[connection.vendor]:
            cursor.execute(each)
        cursor.execute(statement)


@pytest.fixture
def head() -> str:
    """A log of three decisions; the head as a champion answer gives it."""
    project = cast.project()
    for number in range(3):
        decisions.record(
            user=cast.person("ada"),
            experiment=cast.finished_search(f"search-{number}", trials_per_arm=1),
            choice="dropped without seeds",
            reason=f"No gain in {number}.",
        )
    count, digest = champion.head(project)
    return f"digits={count}:{digest}"


def test_a_log_that_nobody_touched_holds(head: str) -> None:
    assert _call("verify") == f"digits: 3 entries, the chain holds, head {head[7:]}\n"
    assert "holds" in _call("verify", "digits", "--head", head)
    older = Decision.objects.get(sequence=2)
    assert "holds" in _call("verify", "--head", f"digits=2:{older.hash}")


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'It was fine.'",
        "choice = 'reject'",
        "decided_by_name = 'someone'",
        "overrides_verdict = NOT overrides_verdict",
        "evidence = '{}  '",
        "target = 'staging'",
        "decided_at = '2020-01-01 00:00:00+00:00'",
    ],
)
def test_every_altered_field_shows(head: str, change: str) -> None:
    _by_hand(f"UPDATE experiments_decision SET {change} WHERE sequence = 2")
    assert "decision 2: its signature does not fit what it says" in _broken()


def test_an_entry_signed_with_another_key_shows(head: str, settings: pytest.MonkeyPatch) -> None:
    settings.DECISION_KEY = "a guess"  # type: ignore[attr-defined]
    assert _broken().count("DECISION_KEY is not the key") == 3


def test_a_configuration_altered_behind_its_decision_shows(head: str) -> None:
    _by_hand('UPDATE experiments_configuration SET document = \'{"objective":"evil"}\'')
    said = _broken()
    assert "signature does not fit" in said and "the digest of its candidate" in said


def test_a_removed_entry_shows(head: str) -> None:
    _by_hand("DELETE FROM experiments_decision WHERE sequence = 2")
    assert "before decision 3: decision 2 is missing" in _broken()


def test_a_removed_beginning_shows(head: str) -> None:
    _by_hand("DELETE FROM experiments_decision WHERE sequence < 3")
    assert "before decision 3: decisions 1 to 2 are missing" in _broken()


def test_a_removed_end_shows_against_a_noted_head(head: str) -> None:
    _by_hand("DELETE FROM experiments_decision WHERE sequence = 3")
    assert "holds" in _call("verify")  # nothing in what is left can tell
    assert "2 entries but had 3" in _broken("--head", head)


def test_a_whole_log_removed_shows_against_a_noted_head(head: str) -> None:
    _by_hand("DELETE FROM experiments_decision")
    assert "0 entries but had 3" in _broken("--head", head)


def test_entries_in_another_order_show(head: str) -> None:
    _by_hand(
        "UPDATE experiments_decision SET sequence = CASE sequence WHEN 2 THEN 30 ELSE 20 END "
        "WHERE sequence > 1"
    )
    with connection.cursor() as cursor:
        cursor.execute("UPDATE experiments_decision SET sequence = sequence / 10 WHERE sequence>1")
    said = _broken()
    assert "decision 2: does not follow the entry before it" in said


def test_a_rewritten_end_shows_against_a_noted_head(head: str) -> None:
    other = f"digits=3:{'0' * 64}"
    assert "entry 3 is not the one that stood there" in _broken("--head", other)


def test_a_head_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError, match="want COUNT:HASH"):
        _call("verify", "--head", "digits=three")


def test_an_unknown_project_is_one_line_that_names_those_there_are(head: str) -> None:
    with pytest.raises(CommandError, match="no project iris; there are: digits"):
        _call("verify", "iris")


def test_the_log_is_written_out_oldest_first_with_its_evidence(head: str) -> None:
    lines = [json.loads(line) for line in _call("export", "digits").splitlines()]
    assert [line["sequence"] for line in lines] == [1, 2, 3]
    assert (
        lines[0]["reason"] == "No gain in 0." and lines[0]["evidence"]["experiment"] == "search-0"
    )
    assert lines[1]["previous_hash"] == lines[0]["hash"]
