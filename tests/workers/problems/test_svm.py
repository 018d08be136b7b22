from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from experiments.design.document import experiment_file
from experiments.design.document.grid import arm_grid
from tests.workers.training.test_run import Recorder, job
from workers.problems import svm
from workers.training.passes import MultiPassRun
from workers.training.run import Run

EXAMPLE = Path(svm.__file__).parent / "examples" / "svm-grid.yaml"


def _run(function: Any, **changes: Any) -> tuple[Run, Recorder]:
    sink = Recorder()
    run = Run(job(**changes), sink, flush_seconds=3600)
    function(run)
    run.close()
    return run, sink


def _folds(params: dict[str, float], folds: int = 5) -> MultiPassRun:
    passes = MultiPassRun(job(params=params, folds=folds), Recorder())
    passes.call(svm.fit)
    return passes


def test_a_good_machine_tells_most_tumours_apart_and_a_bad_one_does_not() -> None:
    good, _ = _run(svm.fit, params={"C": 10.0, "gamma": 0.01})
    bad, _ = _run(svm.fit, params={"C": 1.0, "gamma": 10.0})
    assert (good.score.value or 0) > 0.95 > 0.7 > (bad.score.value or 1)


def test_the_fold_mean_is_what_grid_search_with_cross_validation_gives() -> None:
    """scikit-learn's own GridSearchCV on the same folds: every point of the grid, every fold."""
    grid = {"C": (0.1, 10.0), "gamma": (0.001, 0.1)}
    values, truth = svm._cases()
    pairs = []
    state = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(12)))
    rest, _ = svm.train_test_split(
        np.arange(len(truth)), test_size=0.2, stratify=truth, random_state=state
    )
    after = state.get_state()
    for fold in range(5):
        state.set_state(after)
        pairs.append(svm._train_and_validation(rest, truth, 5, fold, state))
    search = GridSearchCV(
        make_pipeline(StandardScaler(), SVC()),
        {"svc__C": grid["C"], "svc__gamma": grid["gamma"]},
        cv=pairs,
    ).fit(values, truth)
    results = search.cv_results_
    for index, params in enumerate(results["params"]):
        ours = _folds({"C": params["svc__C"], "gamma": params["svc__gamma"]})
        theirs = [results[f"split{fold}_test_score"][index] for fold in range(5)]
        assert ours.folds == pytest.approx(theirs, abs=1e-12)
        assert ours.score.value == pytest.approx(results["mean_test_score"][index], abs=1e-12)


def test_folds_cover_every_case_outside_the_test_part_once() -> None:
    sizes = [len(svm.split(3, folds=4, fold=fold).validation[1]) for fold in range(4)]
    whole = svm.split(3)
    assert sum(sizes) == len(whole.train[1]) + len(whole.validation[1]) == 455
    assert len(whole.test[1]) == 114


def test_more_of_the_data_keeps_the_cases_of_less() -> None:
    scores = [
        _run(svm.fit, params={"C": 1.0, "gamma": 0.03, "data_fraction": share})[0].score.value
        for share in (0.06, 0.25, 1.0)
    ]
    assert all(score is not None for score in scores)
    assert (scores[0] or 0) <= (scores[2] or 0)


def test_descent_logs_a_falling_loss_for_every_epoch() -> None:
    run, sink = _run(svm.descend, params={"alpha": 1e-4, "learning_rate": 1e-3, "epochs": 12})
    losses = [value for _, value in sink.points()["train_loss"]]
    assert len(losses) == 12 and losses[-1] < losses[0]
    assert (run.score.value or 0) > 0.9


@pytest.mark.parametrize("function", [svm.fit, svm.descend])
def test_the_same_seeds_give_the_same_score(function: Any) -> None:
    first, second = (_run(function, params={})[0].score for _ in range(2))
    assert first == second


@pytest.mark.parametrize("params", [{"c": 1.0}, {"C": -1.0}, {"C": "much"}])
def test_a_wrong_parameter_is_named(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        _run(svm.fit, params=params)


def test_the_example_is_a_grid_with_folds() -> None:
    file = experiment_file.parse(EXAMPLE.read_text(encoding="utf-8"))
    (arm,) = file.arms()
    assert (file.sampler, file.folds, file.budget_of(arm)) == ("grid", 5, 25)
    assert arm_grid(arm, file.grid_points)["C"][0] == 1e-2
