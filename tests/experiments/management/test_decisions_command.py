from __future__ import annotations

import copy
import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from experiments.decisions.queries.champion import message_as_sent
from experiments.decisions.services import decisions
from experiments.models import Decision, Project
from experiments.verdict.queries.chain_check import intact_log
from experiments.verdict.queries.noted_heads import Head, note_head
from tests import cast

pytestmark = pytest.mark.django_db


CUT = "DELETE FROM experiments_decision WHERE sequence = 3"


def _call(*arguments: str) -> str:
    output = StringIO()
    call_command("decisions", *arguments, stdout=output)
    return output.getvalue()


def _broken(*arguments: str) -> str:
    output = StringIO()
    with pytest.raises(CommandError, match="digits was altered"):
        call_command("decisions", "verify", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture(scope="module")
def made_head(module_db: None) -> str:
    """A log of three decisions; the head as a champion answer gives it."""
    project = cast.project()
    for number in range(3):
        experiment = cast.finished_search(f"search-{number}", trials_per_arm=1)
        decisions.record(
            access=cast.access("ada", experiment),
            experiment=experiment,
            choice="dropped without seeds",
            reason=f"No gain in {number}.",
        )
    head = intact_log(project).head
    return f"digits={head.count}:{head.hash}"


@pytest.fixture
def head(made_head: str) -> str:
    return copy.deepcopy(made_head)


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
    cast.by_hand(f"UPDATE experiments_decision SET {change} WHERE sequence = 2")
    assert "decision 2: its signature does not fit what it says" in _broken()


def test_an_entry_signed_with_another_key_shows(head: str, settings: pytest.MonkeyPatch) -> None:
    settings.DECISION_KEY = "a guess"  # type: ignore[attr-defined]
    assert _broken().count("DECISION_KEY is not the key") == 3


def test_a_configuration_altered_behind_its_decision_shows(head: str) -> None:
    cast.by_hand('UPDATE experiments_configuration SET document = \'{"objective":"evil"}\'')
    said = _broken()
    assert "signature does not fit" in said and "the digest of its candidate" in said


def test_a_removed_entry_shows(head: str) -> None:
    cast.by_hand("DELETE FROM experiments_decision WHERE sequence = 2")
    assert "before decision 3: decision 2 is missing" in _broken()


def test_a_removed_beginning_shows(head: str) -> None:
    cast.by_hand("DELETE FROM experiments_decision WHERE sequence < 3")
    assert "before decision 3: decisions 1 to 2 are missing" in _broken()


def test_a_removed_end_shows_against_a_noted_head(head: str) -> None:
    cast.by_hand("DELETE FROM experiments_decision WHERE sequence = 3")
    assert "holds" in _call("verify")  # nothing in what is left can tell
    assert "2 entries but had 3" in _broken("--head", head)


def test_a_whole_log_removed_shows_against_a_noted_head(head: str) -> None:
    cast.by_hand("DELETE FROM experiments_decision")
    assert "0 entries but had 3" in _broken("--head", head)


def test_entries_in_another_order_show(head: str) -> None:
    cast.by_hand(
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


@pytest.mark.parametrize("statement", ["DELETE FROM experiments_decision", CUT])
def test_what_was_cut_shows_against_the_head_that_this_node_noted(
    head: str, statement: str
) -> None:
    project = Project.objects.get()
    note_head(project.pk, project.slug, intact_log(project).head)
    cast.by_hand(statement)
    assert "entries but had 3" in _broken()


def test_a_project_that_is_gone_shows_against_the_head_that_was_noted() -> None:
    note_head(7, "digits", Head(3, "a" * 64))
    assert "digits: the project is gone" in _broken()


def test_what_was_cut_shows_against_the_messages_that_a_receiver_kept(
    head: str, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.jsonl"
    messages = [message_as_sent(Project.objects.get().pk, {"event": "finished"})]
    messages.append({"project": "digits", "head": None})  # sent while the log was broken
    kept.write_text("".join(f"{json.dumps(message)}\n" for message in messages))
    assert "holds" in _call("verify", "--receipts", str(kept))
    cast.by_hand(CUT)
    assert "2 entries but had 3" in _broken("--receipts", str(kept))


@pytest.mark.parametrize(
    "line", ["[]", "no JSON", '{"project": "digits"}', '{"head": {"count": 1}}']
)
def test_a_receipt_that_is_none_is_refused(head: str, tmp_path: Path, line: str) -> None:
    kept = tmp_path / "kept.jsonl"
    kept.write_text(f"{line}\n")
    with pytest.raises(CommandError, match="line 1 is no message of a webhook"):
        _call("verify", "--receipts", str(kept))
    with pytest.raises(CommandError, match="--receipts"):
        _call("verify", "--receipts", str(tmp_path / "nothing"))


def test_an_older_backup_is_accepted_with_a_reason_and_then_holds(head: str) -> None:
    project = Project.objects.get()
    note_head(project.pk, project.slug, intact_log(project).head)
    cast.by_hand(CUT)
    _broken()
    said = _call("accept", "digits", "--reason", "disk lost, backup of Monday")
    assert said == "digits: noted as it stands, 2 entries\n"
    assert "the chain holds" in _call("verify")


def test_a_log_that_does_not_hold_by_itself_is_not_accepted(head: str) -> None:
    cast.by_hand("UPDATE experiments_decision SET reason = 'x' WHERE sequence = 2")
    with pytest.raises(CommandError, match="does not hold by itself: decision 2"):
        _call("accept", "digits", "--reason", "because")


def test_a_broken_log_is_written_out_for_who_looks_into_it_and_said(head: str) -> None:
    cast.by_hand("UPDATE experiments_decision SET reason = 'x' WHERE sequence = 2")
    output = StringIO()
    with pytest.raises(CommandError, match="decision 2: its signature"):
        call_command("decisions", "export", "digits", stdout=output)
    assert len(output.getvalue().splitlines()) == 3


def test_a_head_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError, match="expected COUNT:HASH"):
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
