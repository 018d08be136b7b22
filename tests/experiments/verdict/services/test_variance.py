from __future__ import annotations

import copy
import json

import pytest

from experiments.design.document.experiment_file import parse
from experiments.errors import Conflict, NotAllowed, NotOpenYet, VerdictError
from experiments.models import Experiment, Replication, Trial
from experiments.verdict.evidence import spread
from experiments.verdict.services import variance
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def made_searched(module_db: None) -> Experiment:
    cast.project()
    return cast.finished_search()


@pytest.fixture
def searched(made_searched: Experiment) -> Experiment:
    return copy.deepcopy(made_searched)


def _measure(experiment: Experiment, purpose: str, **more: object) -> Replication:
    return variance.measure(
        access=cast.access("cleo", experiment),
        experiment=experiment,
        purpose=purpose,
        **more,  # type: ignore[arg-type]
    )


def _seeds(replication: Replication) -> list[tuple[int, int]]:
    runs = Trial.objects.filter(study__replication=replication).order_by("pair")
    return list(runs.values_list("train_seed", "split_seed"))


def test_training_seeds_vary_on_one_split(searched: Experiment) -> None:
    seeds = _seeds(_measure(searched, "training_seed", runs=4))
    assert len({train for train, _ in seeds}) == 4
    assert {split for _, split in seeds} == {searched.split_seed}


def test_splits_vary_under_one_training_seed(searched: Experiment) -> None:
    seeds = _seeds(_measure(searched, "split_seed", runs=4))
    assert len({split for _, split in seeds}) == 4
    assert len({train for train, _ in seeds}) == 1


def test_the_search_is_repeated_in_the_candidates_arm_under_fresh_seeds(
    searched: Experiment,
) -> None:
    replication = _measure(searched, "search_seed", runs=3)
    searches = list(replication.searches.order_by("pk"))
    assert len({search.seed for search in searches} | {searched.seed}) == 4
    assert searched.best_trial is not None
    arm = json.loads(searched.best_trial.study.arm)
    for search in searches:
        file = parse(search.source)
        assert search.extends == searched
        assert file.trials == parse(searched.source).trials
        (only,) = file.arms()
        assert only.fixed["label_smoothing"] == arm["label_smoothing"]


def test_the_winner_of_a_repeated_search_is_queued_once_over_shared_seeds(
    searched: Experiment,
) -> None:
    replication = _measure(searched, "search_seed", runs=2)
    assert variance.queue_winners() == 0
    for search in replication.searches.all():
        cast.finish_search(search)
    assert variance.is_running(replication)
    assert (variance.queue_winners(), variance.queue_winners()) == (2, 0)
    studies = list(replication.studies.all())
    seeds = [list(study.trials.values_list("train_seed", "split_seed")) for study in studies]
    assert len(studies) == 2 and seeds[0] == seeds[1] and len(seeds[0]) == 3


def test_the_sources_stand_side_by_side_and_missing_ones_are_named(searched: Experiment) -> None:
    replication = _measure(searched, "training_seed", runs=5)
    candidate = replication.candidate
    before = spread.of_candidate(searched, candidate)
    assert before.measurements["training_seed"].open_runs == 5
    assert len(before.sources.not_measured) == 3
    cast.finish_pairs(replication, 5)
    after = spread.of_candidate(searched, candidate)
    assert [source.source for source in after.sources.measured] == ["training seed"]
    assert after.sources.not_measured == ("data split", "search seed")


def test_a_source_is_measured_once_at_a_time(searched: Experiment) -> None:
    replication = _measure(searched, "split_seed", runs=3)
    with pytest.raises(Conflict, match="being measured"):
        _measure(searched, "split_seed")
    _measure(searched, "training_seed", runs=3)
    cast.finish_pairs(replication, 3)
    assert not variance.is_running(replication)
    _measure(searched, "split_seed", runs=3)


@pytest.mark.parametrize(("purpose", "runs"), [("verdict", 5), ("moon", 5), ("split_seed", 1)])
def test_what_cannot_be_measured_is_refused(searched: Experiment, purpose: str, runs: int) -> None:
    with pytest.raises(VerdictError):
        _measure(searched, purpose, runs=runs)
    assert not Replication.objects.exists()


def test_without_a_candidate_there_is_nothing_to_measure() -> None:
    cast.project()
    with pytest.raises(NotOpenYet):
        _measure(cast.search(), "training_seed")


def test_a_viewer_measures_nothing(searched: Experiment) -> None:
    with pytest.raises(NotAllowed):
        variance.measure(
            access=cast.access("ben", searched), experiment=searched, purpose="split_seed"
        )


CONDITIONAL = """
project: digits
experiment: optimizers
goal: Which optimizer?
objective: workers.problems.digits:train
search: {sampler: halton, trials: 4, seed: 7}
hyperparameters:
  optimizer: {role: scientific, choices: [adam, sgd]}
  learning_rate: {role: nuisance, low: 1e-4, high: 1e-1, log: true}
  momentum: {role: nuisance, low: 0.8, high: 0.99, when: {optimizer: sgd}}
  epochs: {role: fixed, value: {by: optimizer, adam: 50, sgd: 100}}
first: [{learning_rate: 0.01, momentum: 0.9}]
"""


@pytest.mark.parametrize(
    ("arm", "searched_names", "epochs"),
    [("adam", ["learning_rate"], 50), ("sgd", ["learning_rate", "momentum"], 100)],
)
def test_a_repeated_search_holds_what_its_arm_holds(
    arm: str, searched_names: list[str], epochs: int
) -> None:
    space = parse(CONDITIONAL).space
    text = variance.repeated_search_file(
        CONDITIONAL, space, arm={"optimizer": arm}, name="r", seed=9
    )
    file = parse(text)
    (only,) = file.arms()
    assert [hyperparameter.name for hyperparameter in only.searched] == searched_names
    assert only.fixed == {"optimizer": arm, "epochs": epochs}
    assert (file.name, file.seed, file.first) == ("r", 9, ())


def test_a_repeated_search_stays_on_code_and_data_of_its_arm() -> None:
    source = cast.LABEL_SMOOTHING.format(name="data", goal=cast.GOAL, trials=4) + (
        "commit: 4f1c2e9\n"
        "arms:\n"
        "  before: {data: {name: digits, version: 1}}\n"
        "  after: {commit: 9a0b1c2, data: {name: digits, version: 2}}\n"
    )
    for arm in parse(source).arms():
        again = variance.repeated_search_file(
            source, parse(source).space, arm=arm.values, name="again", seed=7
        )
        (same,) = parse(again).arms()
        assert same.runs == arm.runs and same.values == {}
        assert same.complete({}) == arm.complete({})


def test_the_candidate_that_is_looked_at_is_measured_not_the_newest(searched: Experiment) -> None:
    first, second = cast.candidates(searched)
    assert first.candidate_id != second.candidate_id
    for looked_at in (first, second):
        made = _measure(searched, "training_seed", runs=2, of=looked_at)
        assert made.candidate_id == looked_at.candidate_id
    with pytest.raises(NotOpenYet):
        _measure(searched, "split_seed", of=Replication(pk=0))
