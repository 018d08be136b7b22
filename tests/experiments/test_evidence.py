from __future__ import annotations

import json

import pytest

from experiments import evidence
from experiments.analysis.looks import DEFAULT
from experiments.models import Replication, Trial
from experiments.models.trial import FailureKind, TrialState
from experiments.services import replications
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def repeated() -> Replication:
    cast.project()
    return cast.repeated(cast.finished_search(), done=10)


def test_a_complete_look_is_judged(repeated: Replication) -> None:
    found = evidence.gather(repeated)
    assert found.verdict is not None and found.outcome == "adopt"
    assert found.verdict.finite_pairs == 10 and found.verdict.level == 0.0221
    assert found.waiting == "" and found.look_index == 0


def test_between_looks_there_is_no_verdict_only_seeds() -> None:
    cast.project()
    found = evidence.gather(cast.repeated(cast.finished_search(), done=6))
    assert (found.verdict, found.outcome, found.selection) == (None, "", None)
    assert "12 of 20 replicates are done" in found.waiting
    assert sum(score is not None for score in found.scores["candidate"]) == 6


def test_scores_are_tail_medians_and_not_the_best_evaluation(repeated: Replication) -> None:
    found = evidence.gather(repeated)
    for run, score in zip(found.runs["candidate"], found.scores["candidate"], strict=True):
        assert run.best is not None and score is not None and score < run.best


def test_an_infeasible_replicate_is_an_outcome_and_an_accident_is_not(
    repeated: Replication,
) -> None:
    runs = Trial.objects.filter(study__replication=repeated, study__side="candidate")
    first = runs.order_by("pair")[0]
    runs.filter(pk=first.pk).update(
        state=TrialState.FAILED, failure_kind=FailureKind.INFEASIBLE, value=None
    )
    first.series.all().delete()
    found = evidence.gather(repeated)
    assert found.verdict is not None and found.verdict.finite_pairs == 9
    assert found.verdict.candidate_failures == 1 and found.outcome != "adopt"
    runs.filter(pk=first.pk).update(failure_kind=FailureKind.EXCEPTION)
    found = evidence.gather(repeated)
    assert found.verdict is None and "failed by accident" in found.waiting


def test_a_run_that_ignored_its_split_seed_binds_the_sentence_to_this_split(
    repeated: Replication,
) -> None:
    Trial.objects.filter(study__replication=repeated).update(read_split_seed=False)
    verdict = evidence.gather(repeated).verdict
    assert verdict is not None and verdict.sentence.startswith("On this split")


def test_the_winning_tuning_score_stands_beside_its_fresh_seeds(repeated: Replication) -> None:
    selection = evidence.gather(repeated).selection
    assert selection is not None and repeated.candidate_trial is not None
    assert selection.tuning_score == repeated.candidate_trial.value


def test_test_scores_are_absent_until_opened(repeated: Replication) -> None:
    before = evidence.gather(repeated)
    assert before.test is None and before.test_metric == "test_accuracy"
    assert "test_accuracy" not in json.dumps(before.document())
    replications.open_test(user=cast.person("ada"), replication=repeated)
    after = evidence.gather(repeated)
    assert after.test is not None and after.test.openings == 1
    assert after.test.gains is not None and after.test.gains.pairs == 10
    assert after.state != before.state


def test_the_frozen_document_is_plain_json(repeated: Replication) -> None:
    document = evidence.gather(repeated).document()
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again["verdict"]["outcome"] == "adopt"
    assert len(again["replicates"]["candidate"]) == len(again["replicates"]["baseline"]) == 10


def test_before_any_repetition_what_can_be_shown_is_unknown() -> None:
    cast.project()
    plan = evidence.plan_ahead(cast.finished_search(), DEFAULT, margin=0.001)
    assert plan.spread.sd is None and all(each.gain is None for each in plan.detectable)


def test_earlier_pairs_say_what_the_next_ones_can_show(repeated: Replication) -> None:
    plan = evidence.plan_ahead(repeated.experiment, DEFAULT, margin=0.001)
    gains = [each.gain for each in plan.detectable if each.gain is not None]
    assert len(gains) == 3 and gains == sorted(gains, reverse=True) and gains[-1] > 0.001
    assert plan.needed is not None and plan.needed.pairs is not None


def test_what_one_rule_saw_in_several_trials_stands_there_once(repeated: Replication) -> None:
    experiment = repeated.experiment
    seen = Trial.objects.filter(study__experiment=experiment, state=TrialState.COMPLETE)[:3]
    for trial in seen:
        cast.finding(experiment, trial=trial, rule="late_oscillation", subject="")
    cast.finding(experiment, rule="boundary", subject="dropout:high")
    found = {each["rule"]: each for each in evidence.gather(repeated).open_findings}
    assert found["late_oscillation"]["title"] == "Late oscillation in 3 trials"
    assert len(found["late_oscillation"]["trials"]) == 3
    assert found["boundary"]["trials"] == []
