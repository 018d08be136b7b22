"""Two people with a connection each press the button at the same moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence

import pytest
from django.db import connections

from experiments.decisions.queries.proposals import confirmation_of
from experiments.decisions.services import champions, decisions, reviews
from experiments.errors import Conflict, StaleEvidence, VerdictError
from experiments.models import Decision, Membership, Project, Proposal, Replication
from experiments.verdict.decision_chain import first_previous_hash
from experiments.verdict.evidence import evidence
from experiments.verdict.services import replications
from tests import cast

pytestmark = pytest.mark.django_db(transaction=True)
Attempt = Callable[[], object]


def _at_once(*attempts: Attempt) -> list[object]:
    """What each of them got, in order."""
    start = threading.Barrier(len(attempts))
    got: dict[int, object] = {}

    def press(place: int, attempt: Attempt) -> None:
        try:
            start.wait()
            got[place] = attempt()
        except VerdictError as refused:
            got[place] = refused
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=press, args=(place, attempt))
        for place, attempt in enumerate(attempts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [got[place] for place in range(len(attempts))]


def _one_won(got: Sequence[object]) -> tuple[Decision, Conflict]:
    won = [outcome for outcome in got if isinstance(outcome, Decision)]
    lost = [outcome for outcome in got if isinstance(outcome, Conflict)]
    assert len(won) == len(lost) == 1, got
    return won[0], lost[0]


def _second_approver(project: Project) -> None:
    Membership.objects.create(user=cast.person("eve"), project=project, role="approver")


def _decide(held: Replication, who: str, choice: str) -> Attempt:
    gathered = evidence.evaluate(held)
    return lambda: decisions.record(
        access=cast.access(cast.person(who), held.experiment),
        experiment=held.experiment,
        choice=choice,
        reason=f"{who} says so.",
        replication=held,
        state=gathered.state,
        override=True,
    )


def test_one_adopts_and_who_rejects_at_that_moment_is_told_by_whom() -> None:
    project = cast.project()
    _second_approver(project)
    held = cast.repeated(cast.finished_search("wider", trials_per_arm=2), looks=(10,))
    got = _at_once(_decide(held, "ada", "adopt"), _decide(held, "eve", "reject"))
    won, lost = _one_won(got)
    assert f"{won.decided_by_name} decided this already: {won.choice}" in lost.message
    assert list(Decision.objects.values_list("sequence", flat=True)) == [1]


def test_two_reverts_at_once_are_one() -> None:
    project = cast.project()
    _second_approver(project)
    for name in ("first", "second"):
        held = cast.repeated(cast.finished_search(name, trials_per_arm=2), looks=(10,))
        cast.decide(held, "adopt")

    def revert(who: str) -> Attempt:
        return lambda: champions.revert(
            access=cast.access(cast.person(who), project),
            target="production",
            to=1,
            current=2,
            reason="Back.",
        )

    won, lost = _one_won(_at_once(revert("ada"), revert("eve")))
    assert f"by {won.decided_by_name}, decision 3" in lost.message
    assert Decision.objects.count() == 3


def test_decisions_on_different_experiments_at_once_form_one_chain() -> None:
    project = cast.project()
    _second_approver(project)
    people = ("ada", "eve")

    def drop(index: int) -> Attempt:
        experiment = cast.finished_search(f"search-{index}", trials_per_arm=1)
        return lambda: decisions.record(
            access=cast.access(cast.person(people[index % 2]), experiment),
            experiment=experiment,
            choice="dropped without seeds",
            reason="Not worth it.",
        )

    got = _at_once(*[drop(index) for index in range(4)])
    assert all(isinstance(outcome, Decision) for outcome in got), got
    log = list(Decision.objects.order_by("sequence"))
    assert [decision.sequence for decision in log] == [1, 2, 3, 4]
    before = [first_previous_hash(project.pk), *(decision.hash for decision in log[:-1])]
    assert [decision.previous_hash for decision in log] == before


def test_two_confirm_at_once_and_one_decision_is_recorded() -> None:
    project = cast.project(reviews="overrides")
    _second_approver(project)
    Membership.objects.create(user=cast.person("joe"), project=project, role="approver")
    held = cast.repeated(cast.finished_search("wider", trials_per_arm=2), looks=(10,))
    proposal = _propose(held)

    def confirm(who: str) -> Attempt:
        return lambda: reviews.confirm(
            access=cast.access(cast.person(who), project), proposal=proposal, reason="Yes."
        )

    won, lost = _one_won(_at_once(confirm("eve"), confirm("joe")))
    second = confirmation_of(json.loads(won.evidence))
    assert second is not None and f"confirmed by {second.by}" in lost.message
    assert Decision.objects.count() == 1
    proposal.refresh_from_db()
    assert proposal.closed_by is not None and proposal.closed_by.username == second.by


def test_confirming_and_withdrawing_at_once_end_one_way() -> None:
    project = cast.project(reviews="overrides")
    _second_approver(project)
    held = cast.repeated(cast.finished_search("wider", trials_per_arm=2), looks=(10,))
    proposal = _propose(held)
    ada, eve = (cast.access(cast.person(who), project) for who in ("ada", "eve"))
    got = _at_once(
        lambda: reviews.confirm(access=eve, proposal=proposal, reason="Yes."),
        lambda: reviews.withdraw(access=ada, proposal=proposal),
    )
    proposal.refresh_from_db()
    assert sum(isinstance(outcome, Conflict) for outcome in got) == 1, got
    assert (proposal.outcome == "confirmed") == Decision.objects.exists()


def test_evidence_that_changes_while_somebody_confirms_is_in_the_decision_or_stops_it() -> None:
    project = cast.project(reviews="overrides")
    _second_approver(project)
    held = cast.repeated(cast.finished_search("wider", trials_per_arm=2), looks=(10,))
    proposal = _propose(held)
    eve, cleo = (cast.access(cast.person(who), project) for who in ("eve", "cleo"))
    got = _at_once(
        lambda: reviews.confirm(access=eve, proposal=proposal, reason="Yes."),
        lambda: replications.open_test(access=cleo, replication=held),
    )
    proposal.refresh_from_db()
    made = Decision.objects.first()
    if made is None:
        assert isinstance(got[0], StaleEvidence) and proposal.outcome == "expired"
    else:
        assert proposal.outcome == "confirmed"
        assert not json.loads(made.evidence).get("test"), "opened after it was recorded"


def _propose(held: Replication) -> Proposal:
    made = reviews.decide(
        access=cast.access("ada", held),
        experiment=held.experiment,
        choice="reject",
        reason="Too dear.",
        replication=held,
        state=evidence.evaluate(held).state,
        override=True,
    )
    assert isinstance(made, Proposal)
    return made
