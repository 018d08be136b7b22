from __future__ import annotations

import math
from collections.abc import Callable

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, GPSampler, TPESampler

from experiments.design.follow_ups.experiment_changes import Change, with_changes
from experiments.design.queries.earlier_trials import Remembered
from experiments.trials.lifecycle.queries import trial_spec
from experiments.trials.lifecycle.services import experiments, queue
from tests import cast
from workers.search.asking import AskedTrial
from workers.search.history import SamplerWithHistory, earlier, recent
from workers.search.storage import VerdictStorage

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0.0, 1.0),
    "y": FloatDistribution(0.0, 1.0),
}
# Best at x = 0.8 and y = 0.2.
KNOWN = earlier(
    [
        Remembered(
            id=1000 + index,
            searched={"x": (index * 0.618) % 1, "y": (index * 0.755) % 1},
            value=-(((index * 0.618) % 1 - 0.8) ** 2) - ((index * 0.755) % 1 - 0.2) ** 2,
        )
        for index in range(60)
    ],
    SPACE,
)


def _tpe() -> BaseSampler:
    return TPESampler(seed=1)


def _gp() -> BaseSampler:
    return GPSampler(seed=1)


def first_points(sampler: BaseSampler, count: int = 4) -> list[tuple[float, float]]:
    study = optuna.create_study(sampler=sampler, direction="maximize")
    found = []
    for _ in range(count):
        trial = study.ask(SPACE)
        found.append((trial.params["x"], trial.params["y"]))
        study.tell(trial, -((trial.params["x"] - 0.8) ** 2) - (trial.params["y"] - 0.2) ** 2)
    assert len(study.trials) == count, "the study itself has its own trials only"
    return found


def mean_distance(points: list[tuple[float, float]]) -> float:
    return sum(math.hypot(x - 0.8, y - 0.2) for x, y in points) / len(points)


@pytest.mark.parametrize("make", [_tpe, _gp])
def test_a_sampler_with_history_starts_where_the_earlier_trials_were_good(
    make: Callable[[], BaseSampler],
) -> None:
    with_history = mean_distance(first_points(SamplerWithHistory(make(), KNOWN)))
    assert with_history < 0.25 < mean_distance(first_points(make()))


def test_the_same_history_and_seed_give_the_same_points() -> None:
    once, again = (first_points(SamplerWithHistory(_tpe(), KNOWN)) for _ in range(2))
    assert once == again


def test_an_empty_history_changes_nothing() -> None:
    assert first_points(SamplerWithHistory(_tpe(), [])) == first_points(_tpe())


def test_a_pruner_never_sees_the_history() -> None:
    pruner = MedianPruner(n_startup_trials=1)
    study = optuna.create_study(sampler=SamplerWithHistory(_tpe(), KNOWN), pruner=pruner)
    trial = study.ask(SPACE)
    trial.report(1e9, 1)
    assert not trial.should_prune()


@pytest.mark.django_db
def test_a_worker_draws_with_the_earlier_trials_and_counts_only_its_own() -> None:
    cast.project()
    text = cast.LABEL_SMOOTHING.format(name="older", goal="Why?", trials=20)
    older = cast.search(source=text.replace("halton", "tpe"))
    cast.many_trials(older, 60)
    cast.end(older)
    given = (Change(("search", "earlier_trials"), True),)
    made = {
        name: experiments.create(
            access=cast.access("cleo"),
            text=with_changes(older.source, changes, name=name, extends="older"),
        )
        for name, changes in (("with", given), ("without", ()))
    }
    storage = VerdictStorage()
    drawn = {}
    for _ in range(4):
        claim = queue.claim(queue="cpu", worker_id=None)
        assert claim is not None
        spec = trial_spec.read(claim.trial_id)
        found = AskedTrial(storage, spec).parameters()["learning_rate"]
        drawn.setdefault((spec.experiment, spec.arm.index), found)
    assert set(drawn) == {("with", 0), ("with", 1), ("without", 0), ("without", 1)}
    # The older search had trials in the first arm only; there the two differ, not in the second.
    assert drawn["with", 0] != drawn["without", 0]
    assert drawn["with", 1] == drawn["without", 1]
    assert abs(math.log10(drawn["with", 0]) + 2.3) < 0.6
    for experiment in made.values():
        studies = experiment.studies.order_by("arm_index")
        assert [len(storage.get_all_trials(study.pk)) for study in studies] == [1, 1]
        assert list(studies.values_list("next_row", flat=True)) == [1, 1]


def test_of_many_trials_the_best_and_the_newest_are_learnt_from() -> None:
    study = optuna.create_study(direction="maximize")
    for number in range(50):
        study.add_trial(
            optuna.trial.create_trial(
                params={"x": 0.5}, distributions={"x": SPACE["x"]}, value=-abs(number - 7.2)
            )
        )
    study.ask()
    seen = recent(study.trials, 20, maximize=True)
    best, newest = [5, 6, 7, 8, 9], list(range(35, 50))
    assert [trial.number for trial in seen] == [*best, *newest, 50], "and the one that runs"
    assert recent(study.trials, 50, maximize=True) == study.trials


def test_a_bounded_history_changes_no_draw_until_it_is_full() -> None:
    whole = first_points(_tpe(), 30)
    bounded = first_points(SamplerWithHistory(_tpe(), (), 20), 30)
    assert bounded[:21] == whole[:21]
    assert bounded != whole


@pytest.mark.django_db
def test_an_experiment_s_file_bounds_what_tpe_learns_from() -> None:
    cast.project()
    text = cast.LABEL_SMOOTHING.format(name="tpe", goal="Does it learn?", trials=4)
    text = text.replace("sampler: halton", "sampler: {name: tpe, history: 40}")
    experiments.create(access=cast.access("ada"), text=text)
    claimed = queue.claim(queue="cpu", worker_id=None)
    assert claimed is not None
    spec = trial_spec.read(claimed.trial_id)
    sampler = AskedTrial(VerdictStorage(), spec)._study.sampler
    assert isinstance(sampler, SamplerWithHistory) and sampler.most == 40
