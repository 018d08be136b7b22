from __future__ import annotations

import pytest

from tests import cast
from tests.experiments.asking_programs import HERE, Program

pytestmark = pytest.mark.django_db
PLACE = f"{HERE}/experiments/rates/edge-probes"
EDGES = {"edges": ["learning_rate:high"]}


@pytest.fixture
def program() -> Program:
    cast.project()
    cast.searched_rates()
    return Program("cleo", ("read", "write"))


def test_a_program_asks_for_a_probe_reads_it_and_cancels_it(program: Program) -> None:
    price = program.get(PLACE)["price"]
    assert (price["fewest"], price["most"]) == (15, 90)
    assert price["takes"] is price["work"] is None, "none of its trials says when it ran"
    status, told = program.post(PLACE, EDGES)
    (row,) = told["probes"]
    assert (status, row["state"], row["runs"], row["asked_by"]) == (202, "running", 15, "cleo")
    assert row["edges"][0]["hyperparameter"] == "learning_rate"
    assert program.post(PLACE, EDGES)[0] == 409
    status, told = program.post(f"{PLACE}/cancel", {})
    assert (status, told["probes"][0]["state"]) == (200, "cancelled")


def test_an_edge_that_cannot_be_probed_is_named(program: Program) -> None:
    status, answer = program.post(PLACE, {"edges": ["epochs:high"]})
    assert (status, answer["errors"][0]["where"]) == (400, "epochs:high")


def test_a_token_that_may_only_read_starts_nothing() -> None:
    cast.project()
    cast.searched_rates()
    assert Program("cleo", ("read",)).post(PLACE, EDGES)[0] == 403
