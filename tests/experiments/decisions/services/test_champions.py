from __future__ import annotations

import copy
import json

import pytest

from experiments.decisions.services import champions, decisions
from experiments.errors import Conflict, NotAllowed, NotFound, StaleEvidence, VerdictError
from experiments.models import Decision, Project
from experiments.team.services import projects
from experiments.verdict.evidence import evidence
from tests import cast

pytestmark = pytest.mark.django_db


def _adopt(name: str, target: str = "production") -> Decision:
    """A replication against the present champion, adopted."""
    experiment = cast.finished_search(name, trials_per_arm=2)
    held = cast.repeated(experiment, looks=(10,))
    crowning = Decision.objects.crowning(experiment.project, target)
    if crowning is not None:
        held.baseline = crowning.candidate
        held.save(update_fields=["baseline"])
    gathered = evidence.evaluate(held)
    return decisions.record(
        access=cast.access("ada", experiment),
        experiment=experiment,
        choice="adopt",
        reason="It pays.",
        replication=held,
        state=gathered.state,
        target=target,
    )


@pytest.fixture(scope="module")
def made_two(module_db: None) -> Project:
    """A project whose second champion stands."""
    project = cast.project()
    _adopt("first")
    _adopt("second")
    return project


@pytest.fixture
def two(made_two: Project) -> Project:
    return copy.deepcopy(made_two)


def _revert(project: Project, **more: object) -> Decision:
    arguments: dict[str, object] = {
        "target": "production",
        "to": 1,
        "current": 2,
        "reason": "Latency doubled in production.",
        **more,
    }
    user = cast.person(str(arguments.pop("who", "ada")))
    return champions.revert(access=cast.access(user, project), **arguments)  # type: ignore[arg-type]


def test_a_revert_makes_an_earlier_champion_stand_again(two: Project) -> None:
    first, second = Decision.objects.order_by("sequence")
    made = _revert(two)
    assert (made.sequence, made.choice, made.previous_hash) == (3, "revert", second.hash)
    assert Decision.objects.crowning(two) == made
    assert made.candidate == first.candidate and made.baseline == second.candidate
    frozen = json.loads(made.evidence)
    assert frozen["reverts"] == {"to": 1, "from": 2}
    assert frozen["replicates"] == json.loads(first.evidence)["replicates"]


def test_who_confirmed_the_earlier_decision_has_not_confirmed_the_revert(two: Project) -> None:
    first = Decision.objects.get(sequence=1)
    evidence = {**json.loads(first.evidence), "confirmation": {"by": "eve"}}
    now = Decision.objects.get(sequence=2)
    first.evidence = json.dumps(evidence)
    assert "confirmation" not in json.loads(champions._evidence(first, now))


def test_the_next_revert_can_go_forth_again(two: Project) -> None:
    _revert(two)
    again = _revert(two, to=2, current=3, reason="It was the cable.")
    assert again.candidate == Decision.objects.get(sequence=2).candidate


def test_a_page_that_showed_another_champion_reverts_nothing(two: Project) -> None:
    _revert(two)
    with pytest.raises(StaleEvidence, match="changed since this page was opened"):
        _revert(two)
    assert Decision.objects.count() == 3


def test_what_stands_is_not_reverted_to(two: Project) -> None:
    with pytest.raises(Conflict, match="already"):
        _revert(two, to=2)


def test_only_a_decision_that_made_a_champion_can_be_reverted_to(two: Project) -> None:
    with pytest.raises(NotFound, match="Decision 9 made no champion of production"):
        _revert(two, to=9)


def test_a_revert_needs_a_reason_and_an_approver(two: Project) -> None:
    with pytest.raises(VerdictError, match="needs a reason"):
        _revert(two, reason=" \n")
    with pytest.raises(NotAllowed):
        _revert(two, who="cleo")
    assert Decision.objects.count() == 2


def test_each_target_has_its_own_champion() -> None:
    project = cast.project(targets=["production", "staging"])
    staged = _adopt("first", "staging")
    assert Decision.objects.crowning(project) is None
    assert Decision.objects.crowning(project, "staging") == staged
    with pytest.raises(NotFound, match="no champion of production"):
        _revert(project, to=1, current=1)


def test_what_staging_adopted_production_may_adopt_as_well_but_once() -> None:
    project = cast.project(targets=["production", "staging"])
    staged = _adopt("first", "staging")
    held = staged.replication
    assert held is not None

    def promote() -> Decision:
        gathered = evidence.evaluate(held)
        return decisions.record(
            access=cast.access("ada", held.experiment),
            experiment=held.experiment,
            choice="adopt",
            reason="A week on staging without trouble.",
            replication=held,
            state=gathered.state,
        )

    promoted = promote()
    assert Decision.objects.crowning(project) == promoted
    with pytest.raises(Conflict, match="decided this already"):
        promote()


def test_a_decision_names_a_target_of_its_project() -> None:
    cast.project()
    with pytest.raises(VerdictError, match="no target 'moon'") as raised:
        _adopt("first", "moon")
    assert raised.value.problems[0].where == "target"


def test_an_admin_names_the_targets(two: Project) -> None:
    admin = cast.person("root", is_superuser=True)
    projects.set_targets(access=cast.access(admin, two), targets=["production", "phone"])
    two.refresh_from_db()
    assert two.targets == ["production", "phone"]
    with pytest.raises(Conflict, match="production has decisions and stays"):
        projects.set_targets(access=cast.access(admin, two), targets=["phone"])
    with pytest.raises(VerdictError, match="targets have errors"):
        projects.set_targets(access=cast.access(admin, two), targets=["production", "../x"])
    with pytest.raises(NotAllowed):
        projects.set_targets(access=cast.access("cleo", two), targets=["production"])
