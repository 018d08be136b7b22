from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from experiments.design.document import experiment_file
from experiments.design.follow_ups import followups
from experiments.design.follow_ups.experiment_changes import Change
from experiments.design.follow_ups.followup_changes import Asked, extend
from experiments.design.follow_ups.followups import propose
from experiments.design.space.search_space import Choices, Range
from experiments.errors import InvalidExperiment
from experiments.models import Experiment, Study, Trial
from experiments.models.trial import FailureKind, TrialState
from experiments.trials.lifecycle.services import experiments
from tests import cast

pytestmark = pytest.mark.django_db


def searched(
    *, best_rate: float = 3e-3, failing_from: float = 1.0, count: int = 60, **more: str
) -> Experiment:
    """A finished search whose score is best at `best_rate`, failing from a rate on."""
    if not Experiment.objects.exists():
        cast.project()
    experiment = cast.search(trials_per_arm=count, **more)
    rng = np.random.default_rng(3)
    study = experiment.studies.order_by("arm_index").first()
    assert study is not None
    rows = []
    for index in range(count):
        values = {name: value for name, (value, _) in cast.sampled(rng).items()}
        distance = np.log10(values["learning_rate"] / best_rate)
        fails = values["learning_rate"] >= failing_from
        score = 0.97 - 0.02 * distance**2 - 0.01 * (values["dropout"] - 0.25) ** 2
        score -= 0.002 * (np.log2(values["hidden_units"]) - 7) ** 2
        rows.append(
            Trial(
                study=study,
                number=index,
                state=TrialState.FAILED if fails else TrialState.COMPLETE,
                failure_kind=FailureKind.INFEASIBLE if fails else "",
                parameters=json.dumps(values),
                values=None if fails else json.dumps([score]),
                value=None if fails else score,
                started_at=cast.START,
                finished_at=cast.START,
            )
        )
    made = Trial.objects.bulk_create(rows)
    Study.objects.filter(pk=study.pk).update(next_number=count, next_row=count)
    complete = [trial for trial in made if trial.value is not None]
    best = max(complete, key=lambda trial: trial.value or 0)
    Experiment.objects.filter(pk=experiment.pk).update(
        trial_count=count,
        complete_count=len(complete),
        failed_count=count - len(complete),
        best_value=best.value,
        best_trial=best,
    )
    cast.end(experiment)
    return Experiment.objects.select_related("best_trial__study", "project").get(pk=experiment.pk)


def rate(text: str) -> Range:
    domain = experiment_file.parse(text).space["learning_rate"].domain
    assert isinstance(domain, Range)
    return domain


@pytest.mark.parametrize(
    ("edge", "choices"),
    [("high", [32, 64, 128, 256, 512, 1024]), ("low", [16, 32, 64, 128, 256, 512])],
)
def test_an_ordered_scale_of_numbers_is_extended_by_a_value(edge: str, choices: list[int]) -> None:
    evidence = {"hyperparameter": "hidden_units", "edge": edge}
    made = propose(searched(), "extend", evidence=evidence)
    domain = experiment_file.parse(made.text).space["hidden_units"].domain
    assert isinstance(domain, Choices) and list(domain.values) == choices


@pytest.mark.parametrize(
    ("choices", "edge", "wider"),
    [
        ([1, 2, 4], "high", [1, 2, 4, 8]),
        ([1, 2, 4], "low", None),
        ([0, 1, 2], "low", [-1, 0, 1, 2]),
        ([-2, -1], "high", None),
        ([0.1, 0.3], "high", [0.1, 0.3, 0.9]),
        ([1e-3, 1e-2], "low", [1e-4, 1e-3, 1e-2]),
        ([1e-200, 1e200], "high", None),
        ([100, 1e200], "high", None),
        ([1000.1, 1000.2], "high", None),
        ([512, 128], "high", [512, 128, 32]),
    ],
)
def test_a_further_value_keeps_sign_and_direction_and_is_written_as_a_person_would(
    choices: list[float], edge: str, wider: list[float] | None
) -> None:
    text = FEW.replace("[1, 2]", str(choices))
    evidence = {"hyperparameter": "width", "edge": edge}
    nothing: Any = None
    made = extend(Asked(experiment_file.parse(text), nothing, nothing, evidence=evidence))
    assert [change.value for change in made.changes] == ([] if wider is None else [wider])


FEW = """
project: digits
experiment: few
goal: Which width?
objective: workers.problems.digits:train
search: {sampler: halton, trials: 8}
hyperparameters: {width: {role: nuisance, choices: [1, 2], ordered: true}}
"""


def test_crowded_edges_are_extended_and_the_difference_is_told() -> None:
    made = propose(searched(best_rate=2e-4), "extend")
    assert rate(made.text).low == 1e-5 and rate(made.text).high == 0.1
    assert made.name == "label-smoothing-wider"
    assert [str(difference) for difference in made.differences] == [
        "learning_rate: 0.0001 to 0.1, log, nuisance → 1e-05 to 0.1, log, nuisance"
    ]
    assert experiment_file.parse(made.text).extends == "label-smoothing"


def test_an_end_is_extended_by_hand() -> None:
    made = propose(searched(), "extend", hyperparameter="learning_rate", edge="high")
    assert rate(made.text).high == 1.0


def test_a_finding_says_how_far() -> None:
    evidence = {"hyperparameter": "learning_rate", "suggested_low": 2e-5, "suggested_high": None}
    assert rate(propose(searched(), "extend", evidence=evidence).text).low == 2e-5


def test_a_natural_limit_is_not_passed() -> None:
    made = propose(searched(), "extend", hyperparameter="dropout", edge="low")
    assert not made.text and "natural limit" in made.refused


def test_nor_is_an_edge_beyond_which_training_fails() -> None:
    made = propose(
        searched(failing_from=0.03), "extend", hyperparameter="learning_rate", edge="high"
    )
    assert not made.text
    assert "training failed in" in made.refused and "warm-up" in made.refused
    low = propose(Experiment.objects.get(), "extend", hyperparameter="learning_rate", edge="low")
    assert low.text, "the other end is free"


def test_with_warm_up_the_range_may_go_further() -> None:
    older = searched(failing_from=0.03)
    wider = Change(("hyperparameters", "learning_rate", "high"), 1.0)
    assert propose(older, "clone", changes=[wider]).refused
    assert rate(propose(older, "add_warmup", changes=[wider]).text).high == 1.0


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [
        ("natural: [low]", "low", "hyperparameters.dropout.low"),
        ("high: 1.0e-1, log: true", "high", "hyperparameters.learning_rate.high"),
    ],
)
def test_the_same_is_refused_when_somebody_writes_it_into_the_file(
    key: str, value: str, where: str
) -> None:
    older = searched(failing_from=0.03)
    text = older.source.replace("experiment: label-smoothing", "experiment: x")
    text = text.replace("goal:", "extends: label-smoothing\ngoal:", 1)
    if value == "low":
        text = text.replace("low: 0.0, high: 0.5", "low: -0.5, high: 0.5")
    else:
        text = text.replace("high: 1.0e-1", "high: 1.0")
    with pytest.raises(InvalidExperiment) as raised:
        experiments.create(access=cast.access("cleo"), text=text)
    assert raised.value.problems[0].where == where


def test_narrowing_keeps_the_best_trials_with_room_around_them() -> None:
    older = searched()
    made = propose(older, "narrow")
    narrow = rate(made.text)
    assert 1e-4 < narrow.low < 3e-3 < narrow.high < 0.1
    best = json.loads(older.best_trial.parameters)["learning_rate"]  # type: ignore[union-attr]
    assert 0.1 < narrow.to_unit(best) < 0.9


def test_narrowing_waits_for_trials() -> None:
    assert "20" in propose(searched(count=10), "narrow").refused


def test_a_finding_about_failing_trials_cuts_them_away() -> None:
    evidence = {"hyperparameter": "learning_rate", "side": "above", "value": 0.031234}
    made = propose(searched(), "narrow", evidence=evidence)
    assert rate(made.text).high == 0.0312


def test_a_failing_choice_is_left_out() -> None:
    evidence = {"hyperparameter": "hidden_units", "side": "at", "value": 512}
    file = experiment_file.parse(propose(searched(), "narrow", evidence=evidence).text)
    assert file.space["hidden_units"].domain.values == (32, 64, 128, 256)  # type: ignore[union-attr]


def test_exploiting_takes_the_best_arm_and_begins_with_its_trials() -> None:
    older = searched()
    made = propose(older, "exploit")
    file = experiment_file.parse(made.text)
    assert (file.sampler, file.earlier_trials) == ("tpe", True)
    assert len(file.arms()) == 1 and file.arms()[0].fixed["label_smoothing"] == 0.0


CONDITIONAL = """\
project: digits
experiment: optimizers
goal: Which optimizer?
objective: workers.problems.digits:train
metrics: {validation_accuracy: {official: true, direction: maximize}}
search: {sampler: halton, trials: 60}
arms:
  before: {commit: 4f1c2e9a}
  after: {commit: 9a0b1c2d, data: {name: digits, version: v2}}
hyperparameters:
  optimizer: {role: scientific, choices: [adam, sgd]}
  learning_rate: {role: nuisance, low: 1.0e-4, high: 1.0e-1, log: true}
  dropout: {role: nuisance, low: 0.0, high: 0.5, natural: [low]}
  hidden_units: {role: nuisance, choices: [32, 64, 128, 256, 512], ordered: true}
  beta1: {role: nuisance, low: 0.8, high: 0.99, when: {optimizer: adam}}
  momentum: {role: nuisance, low: 0.8, high: 0.99, when: {optimizer: sgd}}
  epochs: {role: fixed, value: {by: optimizer, adam: 50, sgd: 100}}
"""


def test_exploiting_leaves_what_exists_in_the_best_arm_only() -> None:
    older = searched(source=CONDITIONAL)
    made = propose(older, "exploit")
    file = experiment_file.parse(made.text)
    (arm,) = file.arms()
    best = experiment_file.parse(CONDITIONAL).arms()[0]
    assert arm.complete({}) == best.complete({}) and arm.runs == best.runs
    assert {hyperparameter.name for hyperparameter in arm.searched} == {
        hyperparameter.name for hyperparameter in best.searched
    }
    assert "momentum" not in file.space or best.values["optimizer"] == "sgd"
    assert any(
        str(difference).startswith("arm before: left out") for difference in made.differences
    )


def test_exploiting_waits_until_the_space_is_settled() -> None:
    older = searched(best_rate=2e-4)
    made = propose(older, "exploit")
    assert "not ready for Bayesian optimisation" in made.refused
    text = older.source.replace("experiment: label-smoothing", "experiment: x")
    text = text.replace("sampler: halton", "sampler: tpe")
    text = text.replace("goal:", "extends: label-smoothing\ngoal:", 1)
    with pytest.raises(InvalidExperiment) as raised:
        experiments.create(access=cast.access("cleo"), text=text)
    assert raised.value.problems[0].where == "search.sampler"


def test_a_finding_set_aside_with_a_reason_does_not_bar_exploitation() -> None:
    older = searched(best_rate=2e-3, failing_from=0.009)
    assert "infeasible share" in propose(older, "exploit").refused
    for rule in ("infeasible_share", "density"):
        assert propose(older, "exploit").refused
        cast.finding(
            older,
            rule=rule,
            subject="",
            dismissed_by=cast.person("cleo"),
            dismissed_at=cast.START,
            dismiss_reason="They were meant to fail.",
        )
    assert propose(older, "exploit").text


def test_exploiting_needs_enough_trials() -> None:
    assert "cannot be told yet" in propose(searched(count=10), "exploit").refused


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("run_longer", "epochs: 60, fixed → 120, fixed"),
        ("run_shorter", "epochs: 60, fixed → 30, fixed"),
        ("add_warmup", "warmup_fraction: new, 0 to 0.2, nuisance"),
        ("add_clipping", "gradient_clipping: new, 0.1 to 10, log, nuisance"),
        ("lower_learning_rate", "learning_rate: 0.0001 to 0.1, log, nuisance → 0.0001 to 0.00316"),
        ("more_trials", "trials of each arm: 60 → 120"),
    ],
)
def test_remedies_of_findings_are_follow_ups_too(kind: str, said: str) -> None:
    assert any(
        str(difference).startswith(said) for difference in propose(searched(), kind).differences
    )


def test_dropout_that_is_searched_already_is_not_added() -> None:
    assert "searched already" in propose(searched(), "add_dropout").refused


def test_dropout_is_added_where_there_is_none() -> None:
    source = cast.LABEL_SMOOTHING.format(name="plain", goal="Why?", trials=4)
    source = "\n".join(line for line in source.split("\n") if "dropout" not in line)
    cast.project()
    older = cast.search(source=source)
    made = propose(older, "add_dropout")
    assert str(made.differences[0]) == "dropout: new, 0 to 0.5, nuisance"


def test_names_that_are_taken_get_a_number() -> None:
    older = searched()
    cast.search("label-smoothing-wider")
    cast.search("label-smoothing-2")
    assert propose(older, "extend").name == "label-smoothing-wider-2"
    assert propose(older, "clone").name == "label-smoothing-3"


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(InvalidExperiment, match="no such follow-up"):
        propose(searched(), "explode")


def test_every_kind_gives_a_file_that_can_run_or_a_reason() -> None:
    older = searched()
    for kind in followups.FOLLOWUPS:
        made = propose(older, kind)
        assert bool(made.text) != bool(made.refused)
        if made.text:
            experiment_file.parse(made.text)
