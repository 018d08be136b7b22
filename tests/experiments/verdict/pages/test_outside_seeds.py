from __future__ import annotations

import pytest
from django.test import Client

from experiments.models import Experiment, Replication, Trial
from tests import cast
from tests.experiments.tracking.api.test_runs import Program
from tests.experiments.verdict.api.test_replicates_from_outside import NAME, all_run, ran

pytestmark = pytest.mark.django_db
PAGE = "/projects/digits/experiments/from%20a%20laptop/"


@pytest.fixture
def program() -> Program:
    cast.project()
    made = Program()
    for rate, accuracy, seed in ((0.1, 0.9, 1), (0.1, 0.89, 2), (0.2, 0.8, 3)):
        ran(made, 0.5, accuracy, rate=rate, seed=seed)
    return made


@pytest.fixture
def signed_in(program: Program) -> Client:
    made = Client()
    made.force_login(cast.person("ada"))
    return made


def text(signed_in: Client, address: str) -> str:
    answer = signed_in.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def declare(signed_in: Client) -> Replication:
    candidate, _, baseline = Trial.objects.order_by("pk")[:3]
    signed_in.post(
        f"{PAGE}seeds/",
        {
            "candidate": candidate.pk,
            "baseline": baseline.pk,
            "looks": "3",
            "margin": "0.01",
            "score_rule": "last",
        },
    )
    return Replication.objects.get()


def test_a_comparison_of_runs_from_outside_is_declared_on_the_seeds_page(
    signed_in: Client,
) -> None:
    assert "declare what is compared" in text(signed_in, PAGE)
    page = text(signed_in, f"{PAGE}seeds/")
    assert "Declare it" in page and "Runs that were logged before never count" in page
    # Each configuration once, by its best run; both may be the baseline.
    assert page.count("<option value=") >= 4 and "0.89 ·" not in page
    replication = declare(signed_in)
    assert (replication.looks, replication.margin, replication.score_rule) == ("[3]", 0.01, "last")
    page = text(signed_in, f"{PAGE}seeds/")
    assert "3 pairs are declared" in page
    assert f"replication={replication.pk}, side=&quot;candidate&quot;" in page.replace(
        '"candidate"', "&quot;candidate&quot;"
    )
    assert "0 of 6 replicates" in page
    assert "Run 5 seeds" not in page  # no worker could


def test_the_pages_of_a_verdict_over_runs_from_outside_stand(
    signed_in: Client, program: Program
) -> None:
    evidence = all_run(program, declare(signed_in))
    assert evidence.outcome == "adopt"
    page = text(signed_in, f"{PAGE}seeds/")
    assert "replicate i of both sides ran under the same seeds" in page
    assert "Log the replicates" not in page
    page = text(signed_in, f"{PAGE}decide/")
    assert "The evidence says adopt" in page or "the evidence says adopt" in page
    assert "learning_rate (chosen by programs: " in page
    cast.decide(Replication.objects.get(), "adopt")
    assert text(signed_in, "/projects/digits/decisions/1/")
    assert Experiment.objects.get(name=NAME).complete_count == 3


def test_unpaired_sides_show_both_seeds_and_no_differences(
    signed_in: Client, program: Program
) -> None:
    all_run(program, declare(signed_in), own_seeds=True)
    page = text(signed_in, f"{PAGE}seeds/")
    assert "100 / 200" in page and "150 / 250" in page
    assert "of sides under seeds of their own" in page
    decide = text(signed_in, f"{PAGE}decide/")
    assert "share no seeds" in decide
