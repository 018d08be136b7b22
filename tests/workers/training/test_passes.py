from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest

from experiments.analysis.curves.early_stopping import EarlyStopping, Patience
from experiments.design.document.fidelity import Fidelity
from tests.workers.training.test_run import Recorder, job
from workers.training.passes import MultiPassRun
from workers.training.run import Run, Stopped

RUNGS = Fidelity("width", 4, 16).rungs(2)  # 4, 8, 16


def _passes(
    answers: list[bool | None] | None = None, **changes: Any
) -> tuple[MultiPassRun, Recorder]:
    sink = Recorder(answers)
    return MultiPassRun(job(**changes), sink), sink


def _folded(run: Run) -> None:
    assert run.folds == 3 and run.fold is not None
    run.log({"validation_accuracy": 0.5, "train_loss": 1.0}, step=1)
    run.log({"validation_accuracy": 0.6 + run.fold / 10, "test_accuracy": 0.3 * run.fold}, step=2)


def _climbing(run: Run) -> None:
    assert run.params["width"] == run.budget
    run.log({"validation_accuracy": run.params["width"] / 100, "test_accuracy": 0.1}, step=1)


def _climb(answers: list[bool | None] | None = None, **more: Any) -> tuple[MultiPassRun, Recorder]:
    changes = {"rungs": RUNGS, "fidelity": "width", "budget": 16, "params": {"width": 16}, **more}
    return _passes(answers, **changes)


def test_the_score_is_the_mean_of_the_folds_and_the_folds_are_kept() -> None:
    passes, sink = _passes(folds=3)
    passes.call(_folded)
    assert passes.folds == pytest.approx((0.6, 0.7, 0.8))
    assert passes.score.value == pytest.approx(0.7) and passes.score.evaluations == 1
    assert sink.reports == [(1, 0.6), (2, 0.7), (3, pytest.approx(0.8))]


def test_every_fold_has_curves_of_its_own_beside_the_one_evaluation_that_counts() -> None:
    passes, sink = _passes(folds=3)
    passes.call(_folded)
    points = sink.points()
    assert points["validation_accuracy"] == [(3, pytest.approx(0.7))]
    assert points["validation_accuracy[fold=2]"] == [(1, 0.5), (2, 0.7)]
    assert set(points) == {"validation_accuracy"} | {
        f"{name}[fold={fold}]"
        for fold in (1, 2, 3)
        for name in ("validation_accuracy", "train_loss")
    }
    assert [flush.batch for flush in sink.flushes] == list(range(len(sink.flushes)))


def test_test_scores_of_folds_are_averaged_and_stay_sealed() -> None:
    passes, sink = _passes(folds=3)
    passes.call(_folded)
    assert [(score.name, score.value) for score in passes.sealed] == [
        ("test_accuracy", pytest.approx(0.3))
    ]
    assert not any("test" in name for name in sink.points())


def test_a_pruner_ends_a_trial_between_folds_without_a_mean() -> None:
    passes, sink = _passes([False, True], folds=3, pruning=True)
    with pytest.raises(optuna.TrialPruned):
        passes.call(_folded)
    assert passes.ending == "pruned" and len(sink.reports) == 2
    assert passes.score.value is None


def test_an_answer_after_the_last_fold_ends_nothing() -> None:
    passes, _ = _passes([False, False, True], folds=3, pruning=True)
    passes.call(_folded)
    assert passes.ending == "" and passes.score.value == pytest.approx(0.7)


def test_a_fold_without_a_finite_value_makes_the_trial_infeasible() -> None:
    def diverging(run: Run) -> float:
        return math.nan if run.fold == 1 else 0.5

    passes, sink = _passes(folds=3)
    passes.call(diverging)
    assert passes.score.value is None and passes.score.evaluations == 1
    assert len(sink.reports) == 1


def test_a_fold_that_logs_nothing_is_told_as_such() -> None:
    passes, _ = _passes(folds=3)
    passes.call(lambda run: None)
    assert passes.score.evaluations == 0


def test_each_budget_trains_anew_and_only_the_whole_one_counts() -> None:
    passes, sink = _climb()
    passes.call(_climbing)
    assert passes.score.value == 0.16
    assert sink.reports == [(1, 0.04), (2, 0.08), (4, 0.16)]
    assert set(sink.points()) == {
        "validation_accuracy[width=4]",
        "validation_accuracy[width=8]",
        "validation_accuracy",
    }
    assert [score.value for score in passes.sealed] == [0.1]


def test_a_trial_pruned_on_a_smaller_budget_never_runs_on_the_next() -> None:
    seen = []

    def train(run: Run) -> None:
        seen.append(run.budget)
        _climbing(run)

    passes, _ = _climb([False, True], pruning=True)
    with pytest.raises(optuna.TrialPruned):
        passes.call(train)
    assert seen == [4, 8] and passes.score.value == 0.08


def test_a_stop_between_passes_ends_the_trial() -> None:
    passes, sink = _passes(folds=3)

    def stops(run: Run) -> None:
        sink.stop_requested = run.fold == 1
        _folded(run)

    with pytest.raises(Stopped):
        passes.call(stops)
    assert passes.ending == "stopped" and passes.score.value is None


def test_early_stopping_ends_each_fold_and_the_trial_goes_on() -> None:
    rule = EarlyStopping("validation_accuracy", True, Patience(2))

    def declining(run: Run) -> None:
        for step in range(10):
            run.log({"validation_accuracy": 0.5 + (run.fold or 0) / 10 - step / 100}, step=step)

    passes, sink = _passes(folds=2, early_stopping=rule)
    passes.call(declining)
    assert passes.ending == "early" and passes.folds == (0.5, 0.6)
    assert len(sink.points()["validation_accuracy[fold=1]"]) == 3


def test_folds_that_stopped_early_have_test_scores() -> None:
    rule = EarlyStopping("validation_accuracy", True, Patience(2))

    def declining(run: Run) -> None:
        for step in run.until_stopped(range(10)):
            run.log({"validation_accuracy": 0.5 - step / 100}, step=step)
        run.log({"test_accuracy": 0.2 + (run.fold or 0) / 10})

    passes, _ = _passes(folds=3, early_stopping=rule)
    passes.call(declining)
    assert passes.ending == "early" and passes.score.value == pytest.approx(0.5)
    assert [score.value for score in passes.sealed] == [pytest.approx(0.3)]


def _reads_split(run: Run) -> float:
    return float(run.split_seed)


@pytest.mark.parametrize("function", [_reads_split, lambda run: 0.5])
def test_what_a_pass_read_is_known_of_the_trial(function: Callable[[Run], float]) -> None:
    passes, _ = _passes(folds=2)
    passes.call(function)
    assert passes.read_split_seed is (function is _reads_split)
