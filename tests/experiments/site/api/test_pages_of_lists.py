"""Lists of the API: a page beyond the last is empty, and its size is what was asked for."""

from __future__ import annotations

import pytest

from experiments.models import Delivery
from experiments.models.webhook import DeliveryState
from experiments.team.services import webhooks
from tests import cast
from tests.experiments.asking_programs import HERE, Program

pytestmark = pytest.mark.django_db
LISTS = {
    "experiments": f"{HERE}/experiments",
    "trials": f"{HERE}/experiments/s/trials",
    "decisions": f"{HERE}/decisions",
    "deliveries": f"{HERE}/deliveries",
}


@pytest.fixture(scope="module")
def three_of_each(module_db: None) -> None:
    project = cast.project()
    cast.decided("d", "adopt", "It pays.")
    cast.decided("e", "reject", "It does not.")
    cast.finished_search("s", trials_per_arm=4)
    cast.finished_search("r", trials_per_arm=4)
    ada = cast.access("ada", project)
    hook, _ = webhooks.create(
        access=ada, kind="json", address="https://hooks.example.org/", events=["decided"]
    )
    for _ in range(3):
        webhooks.send_test(access=ada, webhook_id=hook.pk)
        Delivery.objects.update(state=DeliveryState.FAILED)  # else the test is still on its way


@pytest.fixture
def program(three_of_each: None) -> Program:
    return Program()


@pytest.mark.parametrize("name", LISTS)
def test_pages_of_one_hold_everything_once_and_then_nothing(program: Program, name: str) -> None:
    everything = program.get(LISTS[name])
    total = everything["total"]
    assert total == len(everything[name]) > 1
    one_by_one = [
        program.get(f"{LISTS[name]}?per_page=1&page={page}")[name] for page in range(1, total + 3)
    ]
    assert [row for rows in one_by_one for row in rows] == everything[name]
    assert one_by_one[total:] == [[], []]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("size", ["0", "-1", "501", "many"])
def test_a_size_that_is_none_is_refused(program: Program, name: str, size: str) -> None:
    status, answer = program.ask("GET", f"{LISTS[name]}?per_page={size}")
    assert status == 422
    assert [error["where"] for error in answer["errors"]] == ["per_page"]
