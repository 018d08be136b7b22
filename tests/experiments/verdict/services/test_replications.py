from __future__ import annotations

import copy

import pytest

from experiments.analysis.seeds.guards import Limit
from experiments.errors import Conflict, NotAllowed, NotOpenYet, VerdictError
from experiments.models import Experiment, Replication, Trial
from experiments.models.trial import FailureKind, TrialState
from experiments.trials.lifecycle.services import queue, trials
from experiments.verdict.services import replications
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def made_searched(module_db: None) -> Experiment:
    cast.project()
    return cast.finished_search()


@pytest.fixture
def searched(made_searched: Experiment) -> Experiment:
    return copy.deepcopy(made_searched)


def _two_trials(experiment: Experiment) -> tuple[Trial, Trial]:
    done = Trial.objects.filter(
        study__experiment=experiment, study__kind="search", state=TrialState.COMPLETE
    )
    first = done.order_by("-value")[0]
    other = done.exclude(study=first.study).order_by("-value")[0]
    return first, other


def _declare(experiment: Experiment, **more: object) -> Replication:
    candidate, baseline = _two_trials(experiment)
    arguments: dict[str, object] = {
        "candidate_trial": candidate,
        "baseline_trial": baseline,
        "looks": (3, 6),
        **more,
    }
    return replications.declare(
        access=cast.access("cleo", experiment),
        experiment=experiment,
        **arguments,  # type: ignore[arg-type]
    )


def test_both_sides_of_a_pair_get_the_same_fresh_seeds(searched: Experiment) -> None:
    used = set(Trial.objects.values_list("train_seed", flat=True))
    used |= set(Trial.objects.values_list("split_seed", flat=True))
    replication = _declare(searched)
    queued = Trial.objects.filter(study__replication=replication).order_by("pair")
    seeds: dict[int | None, set[tuple[int | None, int | None]]] = {}
    for trial in queued:
        seeds.setdefault(trial.pair, set()).add((trial.train_seed, trial.split_seed))
    assert set(seeds) == {0, 1, 2}
    assert all(len(pair) == 1 for pair in seeds.values())
    fresh = [seed for pair in seeds.values() for both in pair for seed in both]
    assert len(set(fresh)) == 6 and not used & set(fresh)


def test_each_side_repeats_its_own_configuration(searched: Experiment) -> None:
    candidate, baseline = _two_trials(searched)
    replication = _declare(searched)
    of_side = {
        study.side: {trial.configuration_id for trial in study.trials.all()}
        for study in replication.studies.all()
    }
    assert of_side == {
        "candidate": {candidate.configuration_id},
        "baseline": {baseline.configuration_id},
    }


def test_the_level_comes_with_the_schedule(searched: Experiment) -> None:
    replication = _declare(searched, looks=(10, 20, 30))
    assert (replication.level, replication.level_source) == (0.0221, "table")
    assert replication.pairs_queued == 10


def test_replicates_never_move_the_experiments_counters(searched: Experiment) -> None:
    before = Experiment.objects.values().get(pk=searched.pk)
    replication = _declare(searched)
    while claim := queue.claim(queue="cpu", worker_id=None):
        trials.finish(
            trial_id=claim.trial_id, state=TrialState.COMPLETE, values=[0.999], attempt=1
        )
    assert not replications.unfinished(replication).exists()
    after = Experiment.objects.values().get(pk=searched.pk)
    for name in ("trial_count", "complete_count", "best_value", "best_trial_id"):
        assert after[name] == before[name]


def test_the_same_configuration_is_not_compared_with_itself(searched: Experiment) -> None:
    candidate, _ = _two_trials(searched)
    with pytest.raises(Conflict, match="same configuration"):
        _declare(searched, baseline_trial=candidate)


def _undecided_pairs(replication: Replication, done: int) -> None:
    """Finish pairs whose sides are equal but for noise: the verdict stays undecided."""
    cast.finish_pairs(replication, done, gain=0.0, spread=0.004)


def test_without_a_champion_a_baseline_must_be_chosen(searched: Experiment) -> None:
    with pytest.raises(NotOpenYet, match="no champion"):
        _declare(searched, baseline_trial=None)


@pytest.mark.parametrize("looks", [(), (2,), (5, 5), (9, 3), (3, 5000)])
def test_looks_that_cannot_be_are_refused(searched: Experiment, looks: tuple[int, ...]) -> None:
    with pytest.raises(VerdictError) as raised:
        _declare(searched, looks=looks)
    assert raised.value.problems[0].where == "looks"


def test_a_second_schedule_waits_for_the_decision_on_the_first(searched: Experiment) -> None:
    _declare(searched)
    with pytest.raises(Conflict, match="is open"):
        _declare(searched)


def test_a_viewer_declares_nothing(searched: Experiment) -> None:
    candidate, baseline = _two_trials(searched)
    with pytest.raises(NotAllowed):
        replications.declare(
            access=cast.access("ben", searched),
            experiment=searched,
            candidate_trial=candidate,
            baseline_trial=baseline,
        )


def test_the_next_look_opens_when_this_one_is_complete(searched: Experiment) -> None:
    replication = _declare(searched)
    with pytest.raises(NotOpenYet):
        replications.continue_to_next_look(
            access=cast.access("cleo", replication), replication=replication
        )
    _undecided_pairs(replication, 3)
    held = replications.continue_to_next_look(
        access=cast.access("cleo", replication), replication=replication
    )
    assert held.pairs_queued == 6
    pairs = Trial.objects.filter(study__replication=replication).values_list("pair", "split_seed")
    assert len(set(pairs)) == 6
    _undecided_pairs(replication, 6)
    with pytest.raises(Conflict, match="last declared look"):
        replications.continue_to_next_look(
            access=cast.access("cleo", replication), replication=replication
        )


def test_an_accident_is_repeated_with_its_seeds_and_an_infeasible_run_is_not(
    searched: Experiment,
) -> None:
    replication = _declare(searched)
    kinds = [FailureKind.EXCEPTION, FailureKind.INFEASIBLE]
    for kind in kinds:
        claim = queue.claim(queue="cpu", worker_id=None)
        assert claim is not None
        trials.finish(
            trial_id=claim.trial_id,
            state=TrialState.FAILED,
            values=None,
            attempt=claim.attempt,
            failure_kind=kind,
        )
    assert (
        replications.repeat_failed(
            access=cast.access("cleo", replication), replication=replication
        )
        == 1
    )
    again = Trial.objects.get(retry_of__isnull=False)
    first = again.retry_of
    assert first is not None and first.failure_kind == FailureKind.EXCEPTION
    assert (again.pair, again.train_seed, again.split_seed) == (
        first.pair,
        first.train_seed,
        first.split_seed,
    )
    assert (
        replications.repeat_failed(
            access=cast.access("cleo", replication), replication=replication
        )
        == 0
    )


def test_the_test_scores_stay_sealed_while_replicates_run(searched: Experiment) -> None:
    replication = _declare(searched)
    with pytest.raises(NotOpenYet):
        replications.open_test(access=cast.access("ada", replication), replication=replication)
    _undecided_pairs(replication, 3)
    replications.open_test(access=cast.access("ada", replication), replication=replication)
    replications.open_test(access=cast.access("ada", replication), replication=replication)
    assert replication.test_openings.count() == 2


def test_candidates_declared_together_share_seeds_and_the_baseline(searched: Experiment) -> None:
    first, second = cast.candidates(searched, looks=(3, 6), done=0)
    assert (first.candidates, second.candidates, second.group) == (2, 2, first.pk)
    queued = Trial.objects.filter(study__replication__in=(first, second))
    assert queued.count() == 9  # three pairs, of which the baseline runs once
    for pair in range(3):
        of_pair = queued.filter(pair=pair).values_list("train_seed", "split_seed")
        assert len(set(of_pair)) == 1
    sides = second.studies.values_list("side", flat=True)
    assert list(sides) == ["candidate"]


def test_a_candidate_that_goes_on_finds_the_baseline_runs_of_the_other(
    searched: Experiment,
) -> None:
    first, second = cast.candidates(searched, looks=(3, 6), done=3, gain=0.0, spread=0.004)
    for held in (second, first):
        replications.continue_to_next_look(access=cast.access("cleo", held), replication=held)
    runs = Trial.objects.filter(study__replication__in=(first, second))
    assert runs.filter(study__side="baseline").count() == 6
    assert runs.filter(study__side="candidate").count() == 12
    assert len(set(runs.values_list("pair", "train_seed"))) == 6


def test_candidates_that_are_the_same_are_refused(searched: Experiment) -> None:
    candidate, _ = _two_trials(searched)
    with pytest.raises(Conflict, match="choose each once"):
        _declare(searched, further_candidates=[candidate])
    assert not Replication.objects.exists()


def test_another_schedule_waits_for_every_candidate_of_the_first(searched: Experiment) -> None:
    first, _ = cast.candidates(searched, looks=(3,), done=3)
    cast.decide(first, "reject")
    with pytest.raises(Conflict, match="is open"):
        _declare(searched)


@pytest.mark.parametrize(
    ("guards", "said"),
    [
        ([Limit("test_accuracy", "at least", 0.9)], "sealed"),
        ([Limit("validation_accuracy", "at least", 0.9)], "margin judges"),
        ([Limit("seconds", "at most", 9), Limit("seconds", "at most", 8)], "twice"),
    ],
)
def test_guards_that_cannot_be_are_refused(
    searched: Experiment, guards: list[Limit], said: str
) -> None:
    with pytest.raises(VerdictError) as raised:
        _declare(searched, guards=guards)
    assert said in str(raised.value.problems[0])
    assert raised.value.problems[0].where == "guards"


@pytest.mark.parametrize("rule", ["best", "luckiest"])
def test_the_best_evaluation_does_not_decide(searched: Experiment, rule: str) -> None:
    with pytest.raises(VerdictError) as raised:
        _declare(searched, score_rule=rule)
    assert raised.value.problems[0].where == "score_rule"


def test_extra_seeds_come_after_the_last_declared_look_only(searched: Experiment) -> None:
    replication = _declare(searched, looks=(3, 6))
    cleo = cast.person("cleo")
    with pytest.raises(NotOpenYet):
        replications.add_extra_look(
            access=cast.access(cleo, replication), replication=replication, pairs=2
        )
    _undecided_pairs(replication, 3)
    with pytest.raises(Conflict, match="still to come"):
        replications.add_extra_look(
            access=cast.access(cleo, replication), replication=replication, pairs=2
        )
    held = replications.continue_to_next_look(
        access=cast.access(cleo, replication), replication=replication
    )
    _undecided_pairs(held, 6)
    for wrong in (0, -1, 5000):
        with pytest.raises(VerdictError, match="number of extra pairs"):
            replications.add_extra_look(
                access=cast.access(cleo, held), replication=held, pairs=wrong
            )
    held = replications.add_extra_look(access=cast.access(cleo, held), replication=held, pairs=2)
    assert (held.looks_after_the_last, held.pairs_queued) == ((8,), 8)
    _undecided_pairs(held, 8)
    held = replications.add_extra_look(access=cast.access(cleo, held), replication=held, pairs=1)
    assert held.looks_after_the_last == (8, 9)


def test_a_look_with_an_accident_is_not_complete(searched: Experiment) -> None:
    replication = _declare(searched)
    _undecided_pairs(replication, 3)
    lost = Trial.objects.filter(study__replication=replication).first()
    assert lost is not None
    Trial.objects.filter(pk=lost.pk).update(state=TrialState.FAILED, failure_kind=FailureKind.LOST)
    with pytest.raises(NotOpenYet):
        replications.continue_to_next_look(
            access=cast.access("cleo", replication), replication=replication
        )


def test_a_second_press_of_continue_queues_nothing_twice(searched: Experiment) -> None:
    replication = _declare(searched, looks=(3, 6, 9))
    _undecided_pairs(replication, 3)
    replications.continue_to_next_look(
        access=cast.access("cleo", replication), replication=replication
    )
    with pytest.raises(NotOpenYet):
        replications.continue_to_next_look(
            access=cast.access("cleo", replication), replication=replication
        )
    assert Trial.objects.filter(study__replication=replication).count() == 12
