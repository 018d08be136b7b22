from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.design.document import experiment_file
from experiments.design.follow_ups.experiment_changes import Change, with_changes
from experiments.design.queries.earlier_trials import (
    ATTRIBUTE,
    Holder,
    earlier_trials,
    given_to_samplers,
)
from experiments.errors import InvalidExperiment
from experiments.models import Experiment, Study, Trial
from experiments.models.trial import TrialState
from experiments.models.trial_encoding import decode
from experiments.trials.lifecycle.queries import trial_spec
from experiments.trials.lifecycle.services import experiments, queue
from tests import cast

pytestmark = pytest.mark.django_db

TPE = (Change(("search", "sampler"), "tpe"), Change(("search", "earlier_trials"), True))


def rewritten(older: Experiment, *changes: Change) -> str:
    return with_changes(older.source, changes, name="next", extends=older.name)


@pytest.fixture
def older() -> Experiment:
    """40 complete trials of an adaptive search in the first of two arms."""
    cast.project()
    text = cast.LABEL_SMOOTHING.format(name="older", goal="Why?", trials=20)
    experiment = cast.search(source=text.replace("halton", "tpe"))
    cast.many_trials(experiment, 40)
    cast.end(experiment)
    return experiment


def test_the_trials_inside_a_narrower_range_are_those_with_such_values(older: Experiment) -> None:
    text = rewritten(older, Change(("hyperparameters", "learning_rate", "high"), 0.01))
    found = earlier_trials(older, experiment_file.parse(text))
    rates = [
        json.loads(trial.parameters)["learning_rate"]
        for trial in Trial.objects.filter(state=TrialState.COMPLETE)
    ]
    assert found.complete == 40
    assert len(found.inside) == sum(rate <= 0.01 for rate in rates) > 0
    scores = [trial.score for trial in found.inside]
    assert scores == sorted(scores, reverse=True)


@settings(max_examples=30)
@given(
    u=st.lists(st.floats(0, 1, exclude_max=True), min_size=3, max_size=3), arm=st.integers(0, 1)
)
def test_an_arm_holds_what_it_draws_and_no_other_arm_does(u: list[float], arm: int) -> None:
    text = cast.LABEL_SMOOTHING.format(name="older", goal="Why?", trials=4)
    arms = experiment_file.parse(text).arms()
    drawn = arms[arm].complete(arms[arm].from_unit(u))
    assert Holder(arms[arm]).holds(drawn)
    assert not Holder(arms[1 - arm]).holds(drawn)
    assert not Holder(arms[arm]).holds(drawn | {"momentum": 0.9})
    assert not Holder(arms[arm]).holds(drawn | {"learning_rate": 0.2})


def test_a_new_hyperparameter_or_another_fixed_value_leaves_none_inside(older: Experiment) -> None:
    for change in (
        Change(("hyperparameters", "momentum"), {"role": "fixed", "value": 0.9}),
        Change(("hyperparameters", "epochs", "value"), 120),
        Change(("hyperparameters", "dropout")),
    ):
        assert earlier_trials(older, experiment_file.parse(rewritten(older, change))).inside == ()


def test_scores_of_another_objective_are_not_compared(older: Experiment) -> None:
    change = Change(("objective",), "workers.problems.svm:train")
    found = earlier_trials(older, experiment_file.parse(rewritten(older, change)))
    assert found.inside == () and "objective" in found.why_none


def test_a_sampler_that_learns_is_given_ids_and_no_trial_is_copied(older: Experiment) -> None:
    made = experiments.create(access=cast.access("cleo"), text=rewritten(older, *TPE))
    given = given_to_samplers(made.pk)
    assert len(given[0]) == 40 and 1 not in given
    assert made.extends == older and made.trial_count == 0
    assert not Trial.objects.filter(study__experiment=made).exists()
    assert made.studies.get(arm_index=0).next_row == 0


def test_of_very_many_an_even_choice_from_best_to_worst_is_given(
    older: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.trials.lifecycle.services.earlier_trials.MOST_GIVEN", 10)
    made = experiments.create(access=cast.access("cleo"), text=rewritten(older, *TPE))
    ranked = [
        trial.id for trial in earlier_trials(older, experiment_file.parse(made.source)).inside
    ]
    assert given_to_samplers(made.pk)[0] == tuple(sorted(ranked[::4]))


def test_they_are_not_given_unless_the_file_says_so(older: Experiment) -> None:
    text = rewritten(older, TPE[0])
    made = experiments.create(access=cast.access("cleo"), text=text)
    assert given_to_samplers(made.pk) == {}
    assert all(
        ATTRIBUTE not in decode(text)
        for text in Study.objects.values_list("system_attributes", flat=True)
    )


def test_a_quasi_random_set_never_takes_them(older: Experiment) -> None:
    text = rewritten(older, Change(("search", "sampler"), "halton"), TPE[1])
    with pytest.raises(InvalidExperiment) as raised:
        experiments.create(access=cast.access("cleo"), text=text)
    assert raised.value.problems[0].where == "search.earlier_trials"


def test_what_finishes_later_in_the_older_experiment_changes_nothing(older: Experiment) -> None:
    made = experiments.create(access=cast.access("cleo"), text=rewritten(older, *TPE))
    before = given_to_samplers(made.pk)
    cast.many_trials(older, 5)
    assert given_to_samplers(made.pk) == before


def test_the_worker_is_told_of_them(older: Experiment) -> None:
    experiments.create(access=cast.access("cleo"), text=rewritten(older, *TPE))
    claim = queue.claim(queue="cpu", worker_id=None)
    assert claim is not None
    assert len(trial_spec.read(claim.trial_id).earlier_trials) == 40


def test_extending_what_is_not_there_names_the_key(older: Experiment) -> None:
    text = rewritten(older).replace("extends: older", "extends: nothing")
    with pytest.raises(InvalidExperiment) as raised:
        experiments.create(access=cast.access("cleo"), text=text)
    assert raised.value.problems[0].where == "extends"
