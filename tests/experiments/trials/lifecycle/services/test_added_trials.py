from __future__ import annotations

from typing import Any

import pytest

from experiments.errors import Conflict, InvalidExperiment, NotAllowed, NotFound
from experiments.models import Experiment, Study, Trial
from experiments.models.trial import FailureKind, Origin, TrialState
from experiments.trials.lifecycle.services import added_trials, experiments, queue, trials
from tests import cast

pytestmark = pytest.mark.django_db

TEXT = """
project: digits
experiment: width
goal: Is a wider network better?
objective: workers.problems.digits:train
search: {sampler: halton, trials: 2}
hyperparameters:
  hidden_units: {role: scientific, choices: [64, 256]}
  learning_rate: {role: nuisance, low: 1e-4, high: 1e-1, log: true}
  epochs: {role: fixed, value: 3}
"""
GOOD = {"learning_rate": 0.01}


@pytest.fixture
def experiment() -> Experiment:
    cast.project()
    return experiments.create(access=cast.access("cleo"), text=TEXT)


def _try(
    experiment: Experiment, parameters: Any = GOOD, who: str = "cleo", **more: Any
) -> list[int]:
    return added_trials.try_configuration(
        access=cast.access(cast.person(who), experiment),
        experiment=experiment,
        parameters=parameters,
        **more,
    )


def _run(state: TrialState = TrialState.COMPLETE, **more: Any) -> Trial | None:
    """Claim and finish the next trial."""
    claim = queue.claim(queue="cpu", worker_id=None)
    if claim is None:
        return None
    trials.finish(
        trial_id=claim.trial_id,
        state=state,
        values=[0.5] if state == TrialState.COMPLETE else None,
        attempt=claim.attempt,
        **more,
    )
    experiments.advance(claim.experiment_id)
    return Trial.objects.get(pk=claim.trial_id)


def _run_all() -> None:
    while _run() is not None:
        pass


def test_a_configuration_is_tried_in_every_arm_beside_the_samplers_rows(
    experiment: Experiment,
) -> None:
    made = _try(experiment)
    assert Trial.objects.filter(pk__in=made, origin=Origin.MANUAL, row=None).count() == 2
    _run_all()
    experiment.refresh_from_db()
    assert (experiment.budget, experiment.trial_count, experiment.state) == (6, 6, "finished")
    rows = Trial.objects.filter(origin=Origin.SAMPLER).values_list("study__arm_index", "row")
    assert sorted(rows) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_scientific_values_or_an_index_choose_the_arm(experiment: Experiment) -> None:
    (by_value,) = _try(experiment, {**GOOD, "hidden_units": 256})
    (by_index,) = _try(experiment, arm=1)
    arms = Trial.objects.filter(pk__in=(by_value, by_index)).values_list("study__arm_index")
    assert set(arms) == {(1,)}


@pytest.mark.parametrize("ending", ["finished", "stopped"])
def test_it_is_tried_in_an_experiment_that_has_ended_and_wakes_nothing_else(
    experiment: Experiment, ending: str
) -> None:
    if ending == "finished":
        _run_all()
    else:
        _run()
        experiments.stop(access=cast.access("cleo", experiment), experiment=experiment)
    (made,) = _try(experiment, arm=0)
    assert queue.claimable("cpu") == 1
    tried = _run()
    assert tried is not None and tried.pk == made and tried.state == TrialState.COMPLETE
    assert _run() is None
    experiment.refresh_from_db()
    assert experiment.state == ending


def test_what_waits_to_be_tried_is_called_off_with_its_experiment(experiment: Experiment) -> None:
    made = _try(experiment)
    experiments.stop(access=cast.access("cleo", experiment), experiment=experiment)
    assert set(Trial.objects.filter(pk__in=made).values_list("state", "failure_kind")) == {
        (TrialState.FAILED, FailureKind.CANCELLED)
    }
    assert _run() is None


def test_every_trial_of_it_has_a_training_seed_of_its_own(experiment: Experiment) -> None:
    first, second = _try(experiment, arm=0), _try(experiment, arm=0)
    seeds = set(Trial.objects.filter(pk__in=first + second).values_list("train_seed", flat=True))
    assert len(seeds) == 2 and None not in seeds


@pytest.mark.parametrize(
    ("parameters", "where", "says"),
    [
        ({}, "learning_rate", "is missing"),
        ({"learning_rate": 1.0}, "learning_rate", "outside"),
        ({"learning_rate": "fast"}, "learning_rate", "outside"),
        ({**GOOD, "epochs": 9}, "epochs", "is fixed"),
        ({**GOOD, "width": 9}, "width", "no hyperparameter"),
        ({**GOOD, "hidden_units": 100}, "hidden_units", "outside"),
    ],
)
def test_a_configuration_that_cannot_be_tried_is_refused_with_the_reason(
    experiment: Experiment, parameters: dict[str, Any], where: str, says: str
) -> None:
    with pytest.raises(InvalidExperiment) as raised:
        _try(experiment, parameters)
    assert {problem.where: problem.message for problem in raised.value.problems}[where].find(
        says
    ) >= 0
    assert not Trial.objects.exists()


@pytest.mark.parametrize(
    ("search", "value", "nearest"),
    [
        ("low: 0.0, high: 1.0, step: 0.1", 0.25, "0.2 or 0.3"),
        ("low: 0.0, high: 1.0, step: 0.3", 0.95, "0.9"),
        ("low: 16, high: 64, step: 16", 40, "32 or 48"),
        ("low: 1, high: 3", 1.5, "1 or 2"),
    ],
)
def test_a_value_between_the_steps_of_a_range_is_refused_with_the_nearest(
    search: str, value: float, nearest: str
) -> None:
    cast.project()
    wide = "{role: nuisance, low: 1e-4, high: 1e-1, log: true}"
    assert wide in TEXT
    text = TEXT.replace(wide, f"{{role: nuisance, {search}}}")
    experiment = experiments.create(access=cast.access("cleo"), text=text)
    with pytest.raises(InvalidExperiment) as raised:
        _try(experiment, {"learning_rate": value})
    (problem,) = raised.value.problems
    assert problem.message == f"{value} lies between its steps; the nearest is {nearest}"


def test_an_arm_that_is_not_there_is_refused(experiment: Experiment) -> None:
    with pytest.raises(InvalidExperiment, match="cannot be tried"):
        _try(experiment, arm=2)


@pytest.mark.parametrize("who", ["ben", "dan"])
def test_viewers_and_strangers_add_nothing(experiment: Experiment, who: str) -> None:
    with pytest.raises((NotAllowed, NotFound)):
        _try(experiment, who=who)
    with pytest.raises((NotAllowed, NotFound)):
        added_trials.extend_budget(
            access=cast.access(cast.person(who), experiment), experiment=experiment, per_arm=9
        )
    assert not Trial.objects.exists()


def test_a_retry_has_the_row_the_parameters_and_the_seeds_of_the_failed_trial(
    experiment: Experiment,
) -> None:
    claim = queue.claim(queue="cpu", worker_id=None)
    assert claim is not None
    Trial.objects.filter(pk=claim.trial_id).update(parameters='{"learning_rate":0.02}')
    trials.finish(trial_id=claim.trial_id, state=TrialState.FAILED, values=None, attempt=1,
                  failure_kind=FailureKind.EXCEPTION)  # fmt: skip
    failed = Trial.objects.get(pk=claim.trial_id)
    again = Trial.objects.get(
        pk=added_trials.retry(access=cast.access("cleo", failed), trial=failed)
    )
    assert again.number != failed.number and again.retry_of == failed
    for name in ("row", "parameters", "distributions", "train_seed", "split_seed", "search_seed"):
        assert getattr(again, name) == getattr(failed, name)
    with pytest.raises(Conflict, match="already"):
        added_trials.retry(access=cast.access("cleo", failed), trial=failed)
    with pytest.raises(Conflict, match="failed"):
        added_trials.retry(access=cast.access("cleo", again), trial=again)


def test_an_infeasible_trial_would_be_infeasible_again(experiment: Experiment) -> None:
    failed = _run(TrialState.FAILED, failure_kind=FailureKind.INFEASIBLE)
    assert failed is not None
    with pytest.raises(Conflict, match="infeasible"):
        added_trials.retry(access=cast.access("cleo", failed), trial=failed)


def test_a_larger_budget_continues_a_finished_search(experiment: Experiment) -> None:
    _run_all()
    added = added_trials.extend_budget(
        access=cast.access("cleo", experiment), experiment=experiment, per_arm=5
    )
    assert added == 6
    _run_all()
    experiment.refresh_from_db()
    assert (experiment.budget, experiment.trial_count, experiment.state) == (10, 10, "finished")
    for study in Study.objects.all():
        rows = Trial.objects.filter(study=study).order_by("row").values_list("row", flat=True)
        assert list(rows) == [0, 1, 2, 3, 4]


def test_a_smaller_budget_or_a_stopped_search_is_not_extended(experiment: Experiment) -> None:
    cleo = cast.person("cleo")
    with pytest.raises(Conflict, match="no arm"):
        added_trials.extend_budget(
            access=cast.access(cleo, experiment), experiment=experiment, per_arm=2
        )
    with pytest.raises(InvalidExperiment):
        added_trials.extend_budget(
            access=cast.access(cleo, experiment), experiment=experiment, per_arm=0
        )
    experiments.stop(access=cast.access(cleo, experiment), experiment=experiment, reason="enough")
    with pytest.raises(Conflict, match="enough"):
        added_trials.extend_budget(
            access=cast.access(cleo, experiment), experiment=experiment, per_arm=9
        )


def test_a_grid_is_not_extended_beyond_its_points() -> None:
    cast.project()
    text = TEXT.replace("sampler: halton", "sampler: {name: grid, points: 3}")
    experiment = experiments.create(access=cast.access("cleo"), text=text)
    assert experiment.budget == 4
    added = added_trials.extend_budget(
        access=cast.access("cleo", experiment), experiment=experiment, per_arm=9
    )
    assert added == 2
