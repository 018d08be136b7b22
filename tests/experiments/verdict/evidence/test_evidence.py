from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import pytest
from django.test import Client

from experiments.design.document import experiment_file
from experiments.models import Configuration, Environment, Replication, Trial
from experiments.models.trial import FailureKind, TrialState
from experiments.verdict.evidence import evidence
from experiments.verdict.services import replications
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def made_repeated(module_db: None) -> Replication:
    cast.project()
    return cast.repeated(cast.finished_search(), done=10)


@pytest.fixture
def repeated(made_repeated: Replication) -> Replication:
    return copy.deepcopy(made_repeated)


def test_a_complete_look_is_judged(repeated: Replication) -> None:
    found = evidence.evaluate(repeated)
    assert found.verdict is not None and found.outcome == "adopt"
    assert found.verdict.finite_pairs == 10 and found.verdict.level == 0.0221
    assert found.waiting == "" and found.look_index == 0


def test_between_looks_there_is_no_verdict_only_seeds() -> None:
    cast.project()
    found = evidence.evaluate(cast.repeated(cast.finished_search(), done=6))
    assert (found.verdict, found.outcome, found.selection) == (None, "", None)
    assert "12 of 20 replicates are done" in found.waiting
    assert sum(score is not None for score in found.scores["candidate"]) == 6


def test_scores_are_tail_medians_and_not_the_best_evaluation(repeated: Replication) -> None:
    found = evidence.evaluate(repeated)
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
    found = evidence.evaluate(repeated)
    assert found.verdict is not None and found.verdict.finite_pairs == 9
    assert found.verdict.candidate_failures == 1 and found.outcome != "adopt"
    runs.filter(pk=first.pk).update(failure_kind=FailureKind.EXCEPTION)
    found = evidence.evaluate(repeated)
    assert found.verdict is None and "failed by accident" in found.waiting


def test_a_run_that_ignored_its_split_seed_binds_the_sentence_to_this_split(
    repeated: Replication,
) -> None:
    Trial.objects.filter(study__replication=repeated).update(read_split_seed=False)
    verdict = evidence.evaluate(repeated).verdict
    assert verdict is not None and verdict.sentence.startswith("On this split")


def test_the_winning_tuning_score_stands_beside_its_fresh_seeds(repeated: Replication) -> None:
    selection = evidence.evaluate(repeated).selection
    assert selection is not None and repeated.candidate_trial is not None
    assert selection.tuning_score == repeated.candidate_trial.value


def test_test_scores_are_absent_until_opened(repeated: Replication) -> None:
    before = evidence.evaluate(repeated)
    assert before.test is None and before.test_metric == "test_accuracy"
    assert "test_accuracy" not in json.dumps(before.document())
    replications.open_test(access=cast.access("ada", repeated), replication=repeated)
    after = evidence.evaluate(repeated)
    assert after.test is not None and after.test.openings == 1
    assert after.test.gains is not None and after.test.gains.pairs == 10
    assert after.state != before.state


def test_the_frozen_document_is_plain_json(repeated: Replication) -> None:
    document = evidence.evaluate(repeated).document()
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again["verdict"]["outcome"] == "adopt"
    assert len(again["replicates"]["candidate"]) == len(again["replicates"]["baseline"]) == 10


def test_what_one_rule_saw_in_several_trials_stands_there_once(repeated: Replication) -> None:
    experiment = repeated.experiment
    seen = Trial.objects.filter(study__experiment=experiment, state=TrialState.COMPLETE)[:3]
    for trial in seen:
        cast.finding(experiment, trial=trial, rule="late_oscillation", subject="")
    cast.finding(experiment, rule="boundary", subject="dropout:high")
    found = {finding["rule"]: finding for finding in evidence.evaluate(repeated).open_findings}
    assert found["late_oscillation"]["title"] == (
        "3 of 24 trials: validation varies much late in training"
    )
    assert len(found["late_oscillation"]["trials"]) == 3
    assert found["boundary"]["trials"] == []


def test_a_guard_that_a_cost_breaks_blocks_adopting(repeated: Replication) -> None:
    limits = [{"metric": "seconds", "bound": "at most", "limit": 11.25}]
    Replication.objects.filter(pk=repeated.pk).update(guards=json.dumps(limits))
    repeated.refresh_from_db()
    found = evidence.evaluate(repeated)
    assert found.verdict is not None and found.verdict.tested == "adopt"
    assert found.outcome == "undecided"
    assert "training time in seconds at most 11.25 is broken (mean 11.3)" in found.verdict.sentence
    frozen = found.document()["guards"][0]
    assert (frozen["status"], frozen["level"]) == ("broken", 0.0221)
    assert (frozen["baseline_mean"], frozen["candidate_mean"]) == pytest.approx((11.2, 11.3))


def test_a_guard_on_a_rise_is_held_against_the_baselines_own_replicates(
    repeated: Replication,
) -> None:
    for limit, status in ((0.05, "broken"), (0.2, "passed")):
        limits = [{"metric": "seconds", "bound": "rise at most", "limit": limit}]
        Replication.objects.filter(pk=repeated.pk).update(guards=json.dumps(limits))
        repeated.refresh_from_db()
        verdict = evidence.evaluate(repeated).verdict
        assert verdict is not None and verdict.guards[0].status == status
        assert verdict.guards[0].mean == pytest.approx(0.1)


def test_a_guard_on_a_logged_metric_reads_the_tail_of_each_replicate(
    repeated: Replication,
) -> None:
    limits = [{"metric": "validation_loss", "bound": "at most", "limit": 5.0}]
    Replication.objects.filter(pk=repeated.pk).update(guards=json.dumps(limits))
    repeated.refresh_from_db()
    found = evidence.evaluate(repeated)
    assert found.verdict is not None and found.outcome == "adopt"
    (guard,) = found.verdict.guards
    assert (guard.broken, guard.measured) == (False, 10) and guard.mean is not None


def test_another_batch_size_needs_a_learning_rate_tuned_for_it(repeated: Replication) -> None:
    for side, size in ((repeated.candidate, 256), (repeated.baseline, 64)):
        assert side is not None
        document = json.loads(side.document)
        document["parameters"]["batch_size"] = size
        side.document = json.dumps(document)
        side.save(update_fields=["document"])
    assert evidence.evaluate(repeated).outcome == "adopt"  # the search tuned it
    experiment = repeated.experiment
    tuned = "{role: nuisance, low: 1.0e-4, high: 1.0e-1, log: true}"
    assert tuned in experiment.source
    fixed = experiment_file.parse(experiment.source.replace(tuned, "{role: fixed, value: 0.01}"))
    experiment.document = experiment_file.as_document(fixed)
    verdict = evidence.evaluate(repeated).verdict
    assert verdict is not None and (verdict.outcome, verdict.tested) == ("undecided", "adopt")
    assert "the batch size differs (64 to 256) and the learning rate" in verdict.sentence


def test_a_guard_that_nobody_logged_blocks_adopting(repeated: Replication) -> None:
    limits = [{"metric": "latency_ms", "bound": "at most", "limit": 5.0}]
    Replication.objects.filter(pk=repeated.pk).update(guards=json.dumps(limits))
    repeated.refresh_from_db()
    found = evidence.evaluate(repeated)
    assert found.outcome == "undecided" and found.verdict is not None
    assert "latency_ms was not measured in any replicate" in found.verdict.sentence


def test_replicates_without_a_single_value_of_the_metric_are_named(repeated: Replication) -> None:
    runs = Trial.objects.filter(study__replication=repeated)
    runs.update(state=TrialState.FAILED, failure_kind=FailureKind.INFEASIBLE, value=None)
    for run in runs:
        run.series.all().delete()
    found = evidence.evaluate(repeated)
    assert found.outcome == "" and found.verdict is not None
    assert "Only 0 pairs are finite" in found.verdict.reason
    assert found.unmeasured == "20 replicates ended without a single value of validation_accuracy."


def test_a_run_that_told_one_value_and_no_series_is_scored_by_it(repeated: Replication) -> None:
    runs = Trial.objects.filter(study__replication=repeated)
    for run in runs:
        run.series.all().delete()
    found = evidence.evaluate(repeated)
    assert found.verdict is not None and found.verdict.finite_pairs == 10
    assert found.scores["candidate"][0] == found.runs["candidate"][0].best


def test_the_best_evaluation_is_shown_beside_what_decides(repeated: Replication) -> None:
    best = evidence.evaluate(repeated).best
    assert best["candidate"] is not None and best["baseline"] is not None


def test_extra_seeds_are_judged_as_after_peeking() -> None:
    cast.project()
    held = cast.repeated(cast.finished_search(), looks=(3,), done=3, gain=0.0, spread=0.004)
    assert evidence.evaluate(held).outcome == "undecided"
    held = replications.add_extra_look(access=cast.access("cleo", held), replication=held, pairs=2)
    assert evidence.evaluate(held).verdict is None
    cast.finish_pairs(held, 5, gain=0.0, spread=0.004)
    found = evidence.evaluate(held)
    assert found.verdict is not None and found.look_index is None
    assert found.verdict.peeking_error is not None and found.verdict.peeking_error > 0.05
    assert found.verdict.sentence.startswith("After peeking (equal arms are adopted in ")


def test_several_candidates_are_each_tested_at_their_share_of_the_level() -> None:
    cast.project()
    experiment = cast.finished_search()
    first, second = cast.candidates(experiment, looks=(5, 10), done=5)
    found = evidence.evaluate(first)
    assert found.verdict is not None
    assert found.verdict.level == pytest.approx(first.level / 2)
    assert "shared by 2 candidates" in found.verdict.sentence
    other = evidence.evaluate(second)
    assert other.scores["baseline"] == found.scores["baseline"]
    assert other.scores["candidate"] != found.scores["candidate"]


def test_one_candidate_may_go_on_while_the_other_keeps_its_look() -> None:
    cast.project()
    first, second = cast.candidates(
        cast.finished_search(), looks=(3, 6), done=3, gain=0.0, spread=0.004
    )
    held = replications.continue_to_next_look(
        access=cast.access("cleo", second), replication=second
    )
    assert evidence.evaluate(held).verdict is None
    stays = evidence.evaluate(first)
    assert stays.verdict is not None and stays.verdict.pairs == 3


def ran_on(replication: Replication, side: str, *, pairs: int = 10, **place: Any) -> None:
    """Say where the first replicates of a side ran."""
    document = json.dumps({"commit": "a" * 40, "dirty": False, "processor": "EPYC"} | place)
    held = Environment.objects.get_or_create(
        digest=hashlib.sha256(document.encode()).hexdigest(), defaults={"document": document}
    )[0]
    runs = Trial.objects.filter(study__replication=replication, study__side=side, pair__lt=pairs)
    runs.update(environment=held, device=place.get("device", "cpu"))


def test_sides_that_ran_other_code_have_no_verdict_and_are_repeated_with_the_same_seeds(
    repeated: Replication,
) -> None:
    ran_on(repeated, "candidate")
    ran_on(repeated, "baseline")
    assert evidence.evaluate(repeated).outcome == "adopt"
    ran_on(repeated, "baseline", commit="b" * 40, pairs=2)
    found = evidence.evaluate(repeated)
    assert found.verdict is not None and found.outcome == ""
    assert "ran with different code (aaaaaaaaaa and bbbbbbbbbb)" in found.verdict.reason
    frozen = found.document()["verdict"]["invalid"]
    assert frozen[0]["kind"] == "code" and frozen[0]["repair"].startswith("Repeat the replicates")

    queued = replications.repeat_failed(access=cast.access("ada", repeated), replication=repeated)
    assert queued == len(frozen[0]["repeat"])
    waiting = Trial.objects.filter(study__replication=repeated, state=TrialState.WAITING)
    seeds = [(run.pair, run.train_seed, run.retry_of_id in frozen[0]["repeat"]) for run in waiting]
    first = Trial.objects.get(pk=frozen[0]["repeat"][0])
    assert (first.pair, first.train_seed, True) in seeds
    assert evidence.evaluate(repeated).verdict is None
    assert (
        replications.repeat_failed(access=cast.access("ada", repeated), replication=repeated) == 0
    )


def declare_code(replication: Replication, **codes: str) -> None:
    """Give the configurations of the sides the digest of a code."""
    for name, code in codes.items():
        configuration = getattr(replication, name)
        document = json.loads(configuration.document) | {"code": code}
        Configuration.objects.filter(pk=configuration.pk).update(document=json.dumps(document))


def with_code(digest: str) -> dict[str, Any]:
    return {"code": {"digest": digest, "packages": [{"name": "team", "digest": digest}]}}


def test_a_candidate_that_ran_other_code_than_declared_has_no_verdict_until_it_is_repeated(
    repeated: Replication,
) -> None:
    declare_code(repeated, candidate="a" * 64, baseline="a" * 64)
    for side in ("candidate", "baseline"):
        ran_on(repeated, side, **with_code("a" * 64))
    assert evidence.evaluate(repeated).outcome == "adopt"
    ran_on(repeated, "candidate", pairs=2, **with_code("b" * 64))
    found = evidence.evaluate(repeated)
    assert found.verdict is not None and found.outcome == ""
    assert "2 replicates of the candidate ran other code than declared" in found.verdict.reason
    access = cast.access("ada", repeated)
    assert replications.repeat_failed(access=access, replication=repeated) == 2


def test_a_champion_that_ran_in_the_candidates_code_is_told_beside_the_verdict_with_an_offer(
    repeated: Replication, client: Client
) -> None:
    declare_code(repeated, candidate="b" * 64, baseline="a" * 64)
    for side in ("candidate", "baseline"):
        ran_on(repeated, side, **with_code("b" * 64))
    found = evidence.evaluate(repeated)
    assert found.outcome == "adopt" and found.verdict is not None
    assert "of the baseline ran other code than declared" in found.verdict.cautions[0].text
    client.force_login(cast.person("cleo"))
    page = client.get(cast.address(repeated.experiment, "seeds/")).content.decode()
    assert "of the baseline ran other code than declared (declared aaaaaaaaaa" in page
    count = len(found.verdict.cautions[0].repeat)
    assert f"Repeat {count} replicates" in page and "Read the verdict" in page
    access = cast.access("ada", repeated)
    assert replications.repeat_failed(access=access, replication=repeated) == count


def test_sides_on_different_hardware_are_named_invalid(repeated: Replication) -> None:
    ran_on(repeated, "candidate", device="cuda:1")
    ran_on(repeated, "baseline", device="cpu")
    verdict = evidence.evaluate(repeated).verdict
    assert verdict is not None and verdict.outcome == "none"
    assert [problem.kind for problem in verdict.invalid] == ["hardware"]
    assert "10 runs on 1 x cuda, EPYC" in verdict.reason


def test_another_number_of_evaluations_is_named_invalid(repeated: Replication) -> None:
    run = Trial.objects.filter(study__replication=repeated, study__side="baseline", pair=3).get()
    run.series.all().delete()
    verdict = evidence.evaluate(repeated).verdict
    assert verdict is not None and verdict.outcome == "none"
    assert [(problem.kind, problem.repeat) for problem in verdict.invalid] == [
        ("evaluations", (run.pk,))
    ]
