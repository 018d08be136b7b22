"""Searches that one worker has run to their ends, through the real queue; tests only read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from django.db.models import QuerySet
from django.test import override_settings
from pytest_django import DjangoDbBlocker
from scipy.stats import qmc

from experiments.design.space.search_space import Range
from experiments.models import Experiment, Finding, Replication, SealedScore, SeriesBatch, Trial
from experiments.models.trial import Origin, StudyKind, TrialState
from experiments.trials.lifecycle.services import experiments
from experiments.trials.series.queries import series
from experiments.verdict.evidence import evidence
from experiments.verdict.services import replications
from tests import cast
from tests.services_under_test.emptying import empty
from tests.services_under_test.worker import WorkerProcess, starting, wait_until
from tests.workers.node.test_worker import TEXT

pytestmark = [pytest.mark.django_db, pytest.mark.processes]

BOWL = {"objective": "bowl", "sampler": "halton", "pruner": "none", "high": 0.8, "pause": 0.0}
SEARCHES: dict[str, dict[str, object]] = {
    "bowl": {"trials": 8},
    "diverging": {"trials": 8, "high": 1.8},
    "raising": {"trials": 6, "objective": "fails_above_a_half"},
    "pruned": {
        "trials": 16,
        "sampler": "{name: tpe, n_startup_trials: 4}",
        "pruner": "{name: median, n_startup_trials: 2}",
    },
}


@pytest.fixture(scope="module", autouse=True)
def searched(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    service_environment: Mapping[str, str],
) -> Iterator[None]:
    """Each of SEARCHES at its end, one of them replicated; committed, and gone afterwards."""
    with django_db_blocker.unblock(), override_settings(OBJECTIVES=["tests.workers"]):
        try:
            with starting(service_environment) as start:
                _run_all(start())
            yield
        finally:
            empty()


def _run_all(worker: WorkerProcess) -> None:
    cast.project()
    for name, more in SEARCHES.items():
        text = TEXT.format(name=name, **(BOWL | more))
        experiments.create(access=cast.access("ada"), text=text)
    open_ones = Experiment.objects.exclude(state="finished")
    wait_until(lambda: not open_ones.exists(), worker=worker)
    bowl = Experiment.objects.get(name="bowl")
    # The last look of the rules follows the result.
    of_trials = Finding.objects.filter(experiment=bowl, trial__isnull=False, rule="overfitting")
    wait_until(lambda: of_trials.count() == 8, worker=worker)
    of_the_search = Finding.objects.filter(experiment=bowl, trial__isnull=True, rule="boundary")
    wait_until(of_the_search.exists, worker=worker)
    ranked = _trials("bowl").order_by("-value")
    replication = replications.declare(
        access=cast.access("ada", bowl),
        experiment=bowl,
        candidate_trial=ranked[0],
        baseline_trial=ranked[7],
        looks=(4,),
        margin=0.001,
    )
    wait_until(lambda: evidence.evaluate(replication).open_runs == 0, worker=worker)


def _trials(name: str) -> QuerySet[Trial]:
    found = Trial.objects.filter(study__experiment__name=name, study__kind=StudyKind.SEARCH)
    return found.order_by("number")


def test_a_search_runs_to_its_end_with_every_part_recorded() -> None:
    experiment = Experiment.objects.get(name="bowl")
    trials = list(_trials("bowl"))
    assert [trial.number for trial in trials] == list(range(8))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    expected = qmc.Halton(1, scramble=True, rng=np.random.default_rng(5)).random(8)[:, 0]
    drawn = {trial.row: float(trial.parameters.split(":")[1].strip(" }")) for trial in trials}
    space = Range(0.0, 0.8)
    assert [drawn[row] for row in range(8)] == [space.from_unit(u) for u in expected]
    assert (experiment.trial_count, experiment.complete_count) == (8, 8)
    assert experiment.best_value == max(trial.value or 0 for trial in trials)
    best = experiment.best_trial
    assert best is not None and best.best_step == 10 and best.evaluations == 10
    assert best.configuration is not None and '"x":' in best.configuration.document
    assert best.environment is not None and "python" in best.environment.document


def test_series_are_read_back_and_test_scores_are_sealed_apart() -> None:
    trial = _trials("bowl")[0]
    curves = series.read([trial.pk])[trial.pk]
    assert set(curves) == {"train_loss", "validation_accuracy"}
    assert curves["train_loss"].values.tolist() == [0.6 / step for step in range(1, 11)]
    assert curves["train_loss"].steps.tolist() == list(range(1, 11))
    assert SealedScore.objects.get(trial=trial).name == "test_accuracy"
    stored = b"".join(
        bytes(payload) for payload in SeriesBatch.objects.values_list("payload", flat=True)
    )
    assert stored and b"test_accuracy" not in stored


def test_a_diverging_trial_is_infeasible_and_costs_no_other() -> None:
    failed = _trials("diverging").filter(state=TrialState.FAILED)
    assert set(failed.values_list("failure_kind")) == {("infeasible",)}
    experiment = Experiment.objects.get(name="diverging")
    assert experiment.failed_count + experiment.complete_count == 8
    assert 0 < experiment.failed_count < 8


def test_an_exception_fails_its_trial_with_the_traceback() -> None:
    failed = _trials("raising").filter(failure_kind="exception", state=TrialState.FAILED).first()
    assert failed is not None and "x is too large for me" in failed.traceback
    assert _trials("raising").filter(state=TrialState.COMPLETE).exists()


def test_after_each_trial_the_rules_have_looked() -> None:
    found = Finding.objects.filter(experiment__name="bowl")
    looked = set(found.filter(rule="overfitting").values_list("trial", flat=True))
    assert looked >= set(_trials("bowl").values_list("pk", flat=True))
    assert found.filter(trial__isnull=True, rule="boundary").exists()


def test_tpe_and_the_median_pruner_work_on_our_tables() -> None:
    states = list(_trials("pruned").values_list("state", flat=True))
    assert len(states) == 16 and states.count(TrialState.PRUNED) > 0
    assert states.count(TrialState.PRUNED) + states.count(TrialState.COMPLETE) == 16


def test_a_replication_over_seeds_reaches_its_verdict() -> None:
    found = evidence.evaluate(Replication.objects.get())
    assert found.verdict is not None
    assert found.outcome == "adopt", found.verdict.reason or found.verdict.sentence
    assert not found.verdict.on_this_split
    replicates = Trial.objects.filter(origin=Origin.REPLICATE)
    assert replicates.count() == 8 and set(replicates.values_list("pair", flat=True)) == set(
        range(4)
    )
