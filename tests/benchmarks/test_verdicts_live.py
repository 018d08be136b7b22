from __future__ import annotations

import pytest

from benchmarks import verdicts_live
from benchmarks.verdicts import live_adopts
from experiments.models import Decision, Replication, Trial

pytestmark = pytest.mark.django_db


def test_a_training_against_itself_goes_through_the_services_to_a_decision() -> None:
    found = verdicts_live.compare("noise-0", verdicts_live.noise, "itself", 0)
    replication = Replication.objects.get()
    assert len(found.candidate) == len(found.baseline) == replication.pairs_queued
    assert found.held_out_gain == 0.0 and replication.pairs_queued in verdicts_live.LOOKS
    runs = Trial.objects.filter(study__replication=replication)
    assert runs.count() == 2 * replication.pairs_queued
    decision = Decision.objects.get()
    assert decision.choice == ("adopt" if live_adopts(found) else "reject")


def test_two_searches_of_a_real_problem_have_a_truth_that_the_verdict_did_not_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verdicts_live, "HELD_OUT", 3)
    monkeypatch.setattr(verdicts_live, "TRIALS", 2)
    monkeypatch.setattr(verdicts_live, "LOOKS", (3,))
    found = verdicts_live.compare("searches-0", verdicts_live.descend, "searches", 1)
    assert found.looks == (3,) and len(found.candidate) == 3
    assert all(0.5 < score <= 1 for score in found.candidate + found.baseline)
    assert abs(found.held_out_gain) < 0.5
