from __future__ import annotations

import pytest

from experiments.decisions.queries.decisions import every_decision, find_decision, list_decisions
from experiments.decisions.services import decisions
from experiments.team.queries.access import Access, find_project
from experiments.verdict.queries.replication_state import decision_without_seeds
from tests import cast

pytestmark = pytest.mark.django_db


def access(slug: str = "digits") -> Access:
    found = find_project(cast.person("ada"), slug)
    assert found is not None
    return found


def test_the_log_stands_newest_first_and_is_exported_oldest_first() -> None:
    cast.project()
    cast.decided("one", "adopt", "a")
    cast.decided("two", "reject", "b", gain=-0.01)
    assert [row.sequence for row in list_decisions(access()).rows] == [2, 1]
    assert [row.sequence for row in every_decision(access())] == [1, 2]


def test_a_decision_knows_its_neighbours_and_its_evidence() -> None:
    cast.project()
    cast.decided("one", "adopt", "a")
    cast.decided("two", "reject", "b", gain=-0.01)
    first = find_decision(access(), 1)
    assert first is not None
    assert (first.previous, first.following) == (None, 2)
    assert first.evidence["verdict"]["outcome"] == "adopt"
    assert first.candidate["parameters"] and first.candidate_digest
    second = find_decision(access(), 2)
    assert second is not None and second.previous_hash == first.hash


def test_a_decision_of_another_project_is_not_found() -> None:
    cast.project()
    cast.project("other")
    cast.decided("one", "adopt", "a")
    assert find_decision(access("other"), 1) is None
    assert list_decisions(access("other")).total == 0


def test_a_decision_without_seeds_is_remembered_for_its_experiment() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    assert decision_without_seeds(experiment.pk) is None
    decisions.record(
        access=cast.access("ada", experiment),
        experiment=experiment,
        choice="dropped without seeds",
        reason="no",
    )
    assert decision_without_seeds(experiment.pk) == 1
