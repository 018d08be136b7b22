from __future__ import annotations

import copy

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F

from experiments.decisions.services import decisions
from experiments.errors import Conflict, NotAllowed, NotOpenYet, StaleEvidence, VerdictError
from experiments.models import Decision, Experiment, Replication
from experiments.verdict.decision_chain import first_previous_hash, sign, signed_fields
from experiments.verdict.evidence import evidence
from tests import cast

pytestmark = pytest.mark.django_db


def _repeated() -> Replication:
    """Ten of ten pairs are in and the candidate is clearly better."""
    cast.project()
    return cast.repeated(cast.finished_search(), done=10)


@pytest.fixture(scope="module")
def made_repeated(module_db: None) -> Replication:
    return _repeated()


@pytest.fixture
def repeated(made_repeated: Replication) -> Replication:
    return copy.deepcopy(made_repeated)


def _record(replication: Replication, *, who: str = "ada", **more: object) -> Decision:
    gathered = evidence.evaluate(replication)
    arguments: dict[str, object] = {
        "choice": "adopt",
        "reason": "It earns its line.",
        "replication": replication,
        "state": gathered.state,
        **more,
    }
    return decisions.record(
        access=cast.access(cast.person(who), replication.experiment),
        experiment=replication.experiment,
        **arguments,  # type: ignore[arg-type]
    )


def test_a_decision_freezes_its_evidence_and_makes_a_champion(repeated: Replication) -> None:
    decision = _record(repeated)
    assert (decision.sequence, decision.verdict, decision.overrides_verdict) == (1, "adopt", False)
    assert '"outcome": "adopt"' in decision.evidence
    crowning = Decision.objects.crowning(repeated.experiment.project)
    assert crowning == decision and crowning.candidate == repeated.candidate


def test_decisions_form_a_signed_chain(repeated: Replication) -> None:
    first = _record(repeated, choice="reject", reason="Too slow.", override=True)
    project = repeated.experiment.project
    assert first.previous_hash == first_previous_hash(project.pk)
    other = cast.repeated(cast.finished_search("dropout"), done=10)
    second = _record(other)
    assert second.sequence == 2 and second.previous_hash == first.hash
    for decision in (first, second):
        stored = Decision.objects.get(pk=decision.pk)
        assert stored.hash == sign(signed_fields(stored))


def test_without_a_reason_nothing_is_recorded(repeated: Replication) -> None:
    with pytest.raises(VerdictError) as raised:
        _record(repeated, reason="  ")
    assert raised.value.problems[0].where == "reason" and not Decision.objects.exists()


def test_an_editor_does_not_decide(repeated: Replication) -> None:
    with pytest.raises(NotAllowed, match="approver"):
        _record(repeated, who="cleo")


def test_a_second_press_of_the_button_records_nothing_twice(repeated: Replication) -> None:
    _record(repeated)
    with pytest.raises(Conflict, match="ada decided this already"):
        _record(repeated)
    assert Decision.objects.count() == 1


def test_a_page_that_showed_other_evidence_is_refused(repeated: Replication) -> None:
    with pytest.raises(StaleEvidence, match="changed"):
        _record(repeated, state="what it was an hour ago")
    assert not Decision.objects.exists()


def test_before_a_verdict_only_dropping_is_possible() -> None:
    cast.project()
    experiment = cast.finished_search()
    arguments = {"access": cast.access("ada"), "experiment": experiment}
    with pytest.raises(NotOpenYet, match="no verdict yet"):
        decisions.record(choice="adopt", reason="I like it.", **arguments)  # type: ignore[arg-type]
    dropped = decisions.record(
        choice="dropped without seeds",
        reason="Never above the baseline.",
        **arguments,  # type: ignore[arg-type]
    )
    assert dropped.verdict == ""
    assert Decision.objects.crowning(experiment.project) is None


def test_adopting_against_the_verdict_is_marked() -> None:
    cast.project()
    worse = cast.repeated(cast.finished_search(), done=10, gain=-0.006)
    assert evidence.evaluate(worse).outcome == "reject"
    assert _record(worse, reason="Needed for the demo.", override=True).overrides_verdict


def test_continue_queues_the_next_look_and_leaves_the_replication_open() -> None:
    cast.project()
    unclear = cast.repeated(cast.finished_search(), done=10, gain=0.001, spread=0.004)
    assert evidence.evaluate(unclear).outcome == "undecided"
    decision = _record(unclear, choice="continue", reason="Too wide yet.")
    unclear.refresh_from_db()
    assert unclear.pairs_queued == 20
    assert Decision.objects.crowning(decision.project) is None
    between = evidence.evaluate(unclear)
    assert between.verdict is None and "20 of 40 replicates" in between.waiting


def test_only_an_undecided_look_is_continued(repeated: Replication) -> None:
    with pytest.raises(Conflict, match="undecided"):
        _record(repeated, choice="continue")


TAMPERING = [
    "UPDATE experiments_decision SET reason = 'other'",
    "DELETE FROM experiments_decision",
    "UPDATE experiments_decision SET id = id + 1",
]


@pytest.mark.parametrize("statement", TAMPERING)
def test_the_database_itself_refuses_to_change_a_decision(
    repeated: Replication, statement: str
) -> None:
    decision = _record(repeated)
    with pytest.raises(DatabaseError, match="insert-only"), transaction.atomic():
        connection.cursor().execute(statement)
    assert Decision.objects.get().hash == decision.hash


# TRUNCATE is refused by PostgreSQL itself while the transaction's own checks are pending.
@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_to_empty_or_replace_the_log() -> None:
    decision = _record(_repeated())
    statement = (
        "TRUNCATE experiments_decision CASCADE"
        if connection.vendor == "postgresql"
        else "INSERT OR REPLACE INTO experiments_decision SELECT * FROM experiments_decision"
    )
    with pytest.raises(DatabaseError, match="insert-only"), transaction.atomic():
        connection.cursor().execute(statement)
    assert Decision.objects.get().hash == decision.hash


def test_the_orm_cannot_change_a_decision_either(repeated: Replication) -> None:
    _record(repeated)
    with pytest.raises(DatabaseError, match="insert-only"), transaction.atomic():
        Decision.objects.update(sequence=F("sequence") + 1)


def test_a_cited_experiment_cannot_be_deleted(repeated: Replication) -> None:
    decision = _record(repeated)
    with pytest.raises(DatabaseError), transaction.atomic():
        Experiment.objects.filter(pk=decision.experiment_id).delete()
    assert Experiment.objects.filter(pk=decision.experiment_id).exists()


def test_of_several_candidates_only_one_is_adopted_over_the_same_baseline() -> None:
    cast.project()
    first, second = cast.candidates(cast.finished_search(), looks=(10,), done=10, gain=0.02)
    cast.decide(first, "adopt")
    with pytest.raises(Conflict, match="champion changed"):
        cast.decide(second, "adopt")
    assert cast.decide(second, "reject").choice == "reject"
    assert Decision.objects.count() == 2
