"""Two people with a connection each press the button at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
from django.db import connections

from experiments.decisions.services import champions, decisions
from experiments.errors import Conflict, VerdictError
from experiments.models import Decision, Membership, Project, Replication
from experiments.verdict.decision_chain import first_previous_hash
from experiments.verdict.evidence import evidence
from tests import cast

pytestmark = pytest.mark.django_db(transaction=True)
Attempt = Callable[[], Decision]


def _at_once(*attempts: Attempt) -> list[Decision | VerdictError]:
    """What each of them got, in order."""
    start = threading.Barrier(len(attempts))
    got: dict[int, Decision | VerdictError] = {}

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


def _one_won(got: Sequence[Decision | VerdictError]) -> tuple[Decision, Conflict]:
    won = [each for each in got if isinstance(each, Decision)]
    lost = [each for each in got if isinstance(each, Conflict)]
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
    assert all(isinstance(each, Decision) for each in got), got
    log = list(Decision.objects.order_by("sequence"))
    assert [each.sequence for each in log] == [1, 2, 3, 4]
    before = [first_previous_hash(project.pk), *(each.hash for each in log[:-1])]
    assert [each.previous_hash for each in log] == before
