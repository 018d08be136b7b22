from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.early_stopping import EarlyStopping, Patience
from experiments.trials.series.series_encoding import decode
from tests.waiting import wait_until
from workers.training import flushing
from workers.training.messages import Job, Score, Sealed, SeriesFlush
from workers.training.run import OfficialMetricMissing, Run, Stopped, StoppedEarly


class Recorder:
    """A sink that keeps what it is given."""

    def __init__(self, answers: list[bool | None] | None = None) -> None:
        self.flushes: list[SeriesFlush] = []
        self.reports: list[tuple[int, float]] = []
        self.stop_requested = False
        self._answers = iter(answers or [])

    def series(self, flush: SeriesFlush) -> None:
        self.flushes.append(flush)

    def report(self, step: int, value: float) -> bool | None:
        self.reports.append((step, value))
        return next(self._answers, False)

    def points(self) -> dict[str, list[tuple[int, float]]]:
        points: dict[str, list[tuple[int, float]]] = {}
        for flush in self.flushes:
            for name, columns in decode(flush.payload).items():
                points.setdefault(name, []).extend(
                    zip(columns.steps.tolist(), columns.values.tolist(), strict=True)
                )
        return points


def job(**changes: Any) -> Job:
    values: dict[str, Any] = {
        "label": "digits/1",
        "objective": "somewhere:train",
        "allowed": ("somewhere",),
        "params": {"width": 3},
        "train_seed": 11,
        "split_seed": 12,
        "official_metric": "validation_accuracy",
        "direction": "maximize",
    }
    return Job(**{**values, **changes})


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[Run, Recorder]]]:
    """Makes runs that flush at the end only, and closes them."""
    runs: list[Run] = []

    def make(answers: list[bool | None] | None = None, **changes: Any) -> tuple[Run, Recorder]:
        sink = Recorder(answers)
        run = Run(job(**changes), sink, flush_seconds=3600)
        runs.append(run)
        return run, sink

    yield make
    for run in runs:
        run.close()


Start = Callable[..., tuple[Run, Recorder]]


def test_parameters_cannot_be_written(start: Start) -> None:
    run, _ = start()
    assert run.params["width"] == 3
    with pytest.raises(TypeError):
        run.params["width"] = 4  # type: ignore[index]


def test_reading_the_split_seed_is_recorded(start: Start) -> None:
    run, _ = start(search_seed=5)
    assert (run.train_seed, run.search_seed, run.budget) == (11, 5, None)
    assert not run.read_split_seed
    assert run.split_seed == 12
    assert run.read_split_seed


def test_calls_arrive_in_order_with_their_steps(start: Start) -> None:
    run, sink = start()
    run.log({"loss": 3.0}, step=10)
    run.log({"loss": 2.0, "norm": 1.0}, step=10)
    run.log({"loss": 1.0}, step=5)
    run.close()
    assert sink.points() == {"loss": [(10, 3.0), (10, 2.0), (5, 1.0)], "norm": [(10, 1.0)]}
    assert (sink.flushes[0].first_step, sink.flushes[0].last_step) == (5, 10)
    assert (sink.flushes[0].points, sink.flushes[0].names) == (4, ("loss", "norm"))


def test_a_missing_step_is_the_number_of_earlier_calls(start: Start) -> None:
    run, sink = start()
    run.log({"loss": 1.0})
    run.log({"loss": 1.0}, step=100)
    run.log({"loss": 1.0})
    run.close()
    assert [step for step, _ in sink.points()["loss"]] == [0, 100, 2]


@given(st.lists(st.integers(0, 60), max_size=20))
def test_flushes_are_numbered_bounded_and_lose_nothing(sizes: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flushing, "MAX_POINTS", 25)
        sink = Recorder()
        run = Run(job(), sink, flush_seconds=3600)
        for size in sizes:
            run.log({f"m{k}": float(k) for k in range(size)})
        run.close()
    expected: dict[str, list[tuple[int, float]]] = {}
    for step, size in enumerate(sizes):
        for k in range(size):
            expected.setdefault(f"m{k}", []).append((step, float(k)))
    assert sink.points() == expected
    assert [flush.batch for flush in sink.flushes] == list(range(len(sink.flushes)))
    assert all(flush.points <= 25 for flush in sink.flushes)


@pytest.mark.parametrize(
    "value",
    [2, True, np.float32(2.5), np.int64(2), np.array(2.5), torch.tensor(2.5), math.inf],
)
def test_scalars_of_any_library_are_taken(start: Start, value: Any) -> None:
    run, sink = start()
    run.log({"loss": value})
    run.close()
    assert sink.points()["loss"] == [(0, float(value))]
    assert run.warnings == ()


@pytest.mark.parametrize(
    "value",
    ["0.5", b"1", None, [1.0], np.array([0.5, 1]), torch.zeros(0), 1j, 10**400, object()],
)
def test_what_is_no_number_is_skipped_and_named_once(
    start: Start, value: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    run, sink = start()
    for _ in range(3):
        run.log({"bad": value, "good": 1.0})
    run.close()
    assert sink.points() == {"good": [(0, 1.0), (1, 1.0), (2, 1.0)]}
    assert len(run.warnings) == 1
    assert "'bad'" in run.warnings[0]
    assert type(value).__name__ in run.warnings[0]
    assert capfd.readouterr().err.count("'bad'") == 1


@pytest.mark.parametrize("name", ["", "x" * 201, "a\0b", "\ud800", 7])
def test_a_name_that_no_database_can_hold_is_skipped(start: Start, name: Any) -> None:
    run, sink = start()
    run.log({name: 1.0, "good": 1.0})
    run.log({name: 1.0})
    run.close()
    assert list(sink.points()) == ["good"]
    assert len(run.warnings) == 1
    assert run.names == ("good",)


@pytest.mark.parametrize(
    ("step", "stored"), [(np.int32(4), 4), (torch.tensor(4), 4), (4.0, 4), (math.nan, 0), ("x", 0)]
)
def test_steps_that_are_no_numbers_are_counted(start: Start, step: Any, stored: int) -> None:
    run, sink = start()
    run.log({"loss": 1.0}, step=step)
    run.log({"loss": 1.0}, step=2**63)
    run.close()
    assert [at for at, _ in sink.points()["loss"]] == [stored, 1]
    assert len(run.warnings) == 1


def test_steps_between_whole_numbers_are_kept_as_told(start: Start) -> None:
    run, sink = start()
    for step, value in [(0, 0.1), (0.5, 0.4), (1.0, 0.3), (np.float32(1.5), 0.2)]:
        run.log({"validation_accuracy": value}, step=step)
    run.close()
    assert sink.points()["validation_accuracy"] == [(0, 0.1), (0.5, 0.4), (1, 0.3), (1.5, 0.2)]
    assert run.score == Score(0.4, 0.5, 0.2, 1.5, 4)
    assert run.warnings == ()


def test_the_best_finite_evaluation_and_the_last_one_are_kept(start: Start) -> None:
    run, _ = start()
    for step, value in enumerate([0.1, 0.9, 0.9, math.nan, 0.4]):
        run.log({"validation_accuracy": value}, step=step)
    assert run.score == Score(0.9, 1, 0.4, 4, 5)


def test_the_best_of_a_minimised_metric_is_the_smallest(start: Start) -> None:
    run, _ = start(official_metric="validation_loss", direction="minimize")
    for value in [math.inf, 3.0, 1.0, 2.0]:
        run.log({"validation_loss": value})
    assert (run.score.value, run.score.best_step, run.score.evaluations) == (1.0, 2, 4)


def test_nothing_but_nan_has_no_score(start: Start) -> None:
    run, _ = start()
    run.log({"validation_accuracy": math.nan})
    assert run.score.value is None
    assert run.score.evaluations == 1


@pytest.mark.parametrize(
    ("name", "splits"),
    [("test_accuracy", {}), ("test/acc", {}), ("held_out", {"held_out": "test"})],
)
def test_test_metrics_are_sealed_and_in_no_series(
    start: Start, name: str, splits: dict[str, str]
) -> None:
    run, sink = start(splits=splits)
    run.log({name: 0.5, "loss": 1.0}, step=1)
    run.log({name: 0.75}, step=2)
    run.close()
    assert list(sink.points()) == ["loss"]
    assert all(name not in flush.names for flush in sink.flushes)
    assert run.sealed == (Sealed(name, 0.75, 2),)


def test_a_declared_split_stands_over_the_name(start: Start) -> None:
    run, sink = start(splits={"test_bench_speed": "validation"})
    run.log({"test_bench_speed": 0.5})
    run.close()
    assert list(sink.points()) == ["test_bench_speed"]
    assert run.sealed == ()


def test_without_a_pruner_no_call_reports(start: Start) -> None:
    run, sink = start()
    run.log({"validation_accuracy": 0.5})
    assert sink.reports == []


def test_under_a_pruner_only_the_official_metric_reports(start: Start) -> None:
    run, sink = start(pruning=True)
    run.log({"loss": 0.5}, step=1)
    run.log({"loss": 0.5, "validation_accuracy": 0.5}, step=2)
    assert sink.reports == [(2, 0.5)]


def test_a_pruned_run_raises_and_keeps_the_point_that_pruned_it(start: Start) -> None:
    run, sink = start([False, True], pruning=True)
    run.log({"validation_accuracy": 0.5}, step=1)
    with pytest.raises(optuna.TrialPruned):
        run.log({"validation_accuracy": 0.4}, step=2)
    with pytest.raises(optuna.TrialPruned):  # also when the first one was swallowed
        run.log({"loss": 1.0}, step=3)
    run.close()
    assert sink.points()["validation_accuracy"] == [(1, 0.5), (2, 0.4)]
    assert run.ending == "pruned"


def test_a_pruner_that_does_not_answer_prunes_nothing_and_is_counted(start: Start) -> None:
    run, _ = start([None, None, False], pruning=True)
    for _ in range(3):
        run.log({"validation_accuracy": 0.5})
    assert run.unanswered == 2


def test_a_run_asked_to_stop_ends_at_its_next_call(start: Start) -> None:
    run, sink = start(pruning=True)
    run.log({"loss": 1.0}, step=1)
    sink.stop_requested = True
    with pytest.raises(Stopped):
        run.log({"validation_accuracy": 0.5}, step=2)
    run.close()
    assert sink.reports == []  # nobody is asked whether to prune what stops
    assert run.score.value == 0.5
    assert run.ending == "stopped"


def test_a_returned_number_is_one_evaluation_at_the_last_step(start: Start) -> None:
    run, sink = start()
    run.log({"loss": 1.0}, step=7)
    run.finish(np.float64(0.5))
    run.close()
    assert run.score == Score(0.5, 7, 0.5, 7, 1)
    assert sink.points()["validation_accuracy"] == [(7, 0.5)]


def test_a_returned_number_does_not_stand_over_what_was_logged(start: Start) -> None:
    run, _ = start()
    run.log({"validation_accuracy": 0.25})
    run.finish(0.75)
    assert (run.score.value, run.score.evaluations) == (0.25, 1)


@pytest.mark.parametrize("returned", [None, True, "0.5", {"validation_accuracy": 1.0}])
def test_anything_else_returned_counts_for_nothing(start: Start, returned: Any) -> None:
    run, _ = start()
    run.finish(returned)
    assert run.score == Score()


def test_the_names_seen_are_told(start: Start) -> None:
    run, _ = start()
    run.log({"loss": 1.0, "bad": "x"})  # type: ignore[dict-item]
    run.log({"test_accuracy": 1.0})
    assert run.names == ("loss", "test_accuracy")


def test_a_flush_that_cannot_be_sent_is_told_at_the_end() -> None:
    class Broken(Recorder):
        def series(self, flush: SeriesFlush) -> None:
            raise BrokenPipeError("nobody reads")

    run = Run(job(), Broken(), flush_seconds=3600)
    run.log({"loss": 1.0})
    with pytest.raises(BrokenPipeError, match="nobody reads"):
        run.close()


def test_flushing_returns_when_all_that_was_logged_has_left(start: Start) -> None:
    run, sink = start()
    for step in range(5):
        run.log({"loss": 1.0 / (step + 1)}, step=step)
    assert sink.flushes == []
    run.flush()
    assert [step for step, _ in sink.points()["loss"]] == [0, 1, 2, 3, 4]
    run.flush()
    assert len(sink.flushes) == 1


def test_flushing_tells_what_kept_it_from_sending() -> None:
    class Broken(Recorder):
        def series(self, flush: SeriesFlush) -> None:
            raise BrokenPipeError("nobody reads")

    run = Run(job(), Broken(), flush_seconds=3600)
    run.log({"loss": 1.0})
    for _ in range(2):
        with pytest.raises(BrokenPipeError):
            run.flush()
    with pytest.raises(BrokenPipeError):
        run.close()


def test_what_the_machine_does_is_logged_at_the_step_that_training_has_reached() -> None:
    sink = Recorder()
    run = Run(job(), sink, flush_seconds=0.01, system_seconds=0.01)
    run.log({"loss": 1.0}, step=7)

    def steps() -> set[int]:
        return {step for step, _ in sink.points().get("system/memory_mb", [])}

    wait_until(lambda: 7 in steps())
    run.close()
    assert steps() <= {0, 7}
    assert (run.names, run.score.evaluations) == (("loss",), 0)


def test_a_training_process_needs_neither_django_nor_optuna_nor_torch() -> None:
    code = (
        "import sys, workers.training.child, workers.node.supervisor\n"
        "print([m for m in ('django', 'optuna', 'torch', 'celery') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


RULE = EarlyStopping("validation_accuracy", True, Patience(2))


def test_a_metric_that_got_no_better_for_long_enough_ends_the_run(start: Start) -> None:
    run, sink = start(early_stopping=RULE)
    values = iter([0.5, 0.7, 0.6, 0.65, 0.9])
    with pytest.raises(StoppedEarly, match=r"patience of 2 \(since_best\) at step 3"):
        for step, value in enumerate(values):
            run.log({"validation_accuracy": value}, step=step)
    assert run.ending == "early" and next(values) == 0.9
    assert run.score == Score(0.7, 1, 0.65, 3, 4)
    run.close()
    assert len(sink.points()["validation_accuracy"]) == 4


def test_after_early_stopping_a_test_score_can_still_be_logged(start: Start) -> None:
    run, _ = start(early_stopping=RULE)
    with pytest.raises(StoppedEarly):
        for step in range(9):
            run.log({"validation_accuracy": 0.5}, step=step)
    run.log({"test_accuracy": 0.4}, step=9)
    assert run.sealed == (Sealed("test_accuracy", 0.4, 9),)


def test_a_loop_until_stopped_just_ends_and_what_follows_it_is_recorded(start: Start) -> None:
    run, sink = start(early_stopping=RULE)
    seen = []
    for step in run.until_stopped(range(9)):
        run.log({"validation_accuracy": 0.5 - step / 10}, step=step)
        seen.append(step)  # the round in which patience ran out is finished
    assert seen == [0, 1, 2] and run.ending == "early"
    run.log({"test_accuracy": 0.4, "validation_accuracy": 0.45}, step=2)
    run.close()
    assert run.sealed == (Sealed("test_accuracy", 0.4, 2),)
    assert len(sink.points()["validation_accuracy"]) == 4


def test_a_loop_until_stopped_ends_when_a_person_asks_and_a_test_score_is_taken(
    start: Start,
) -> None:
    run, sink = start()
    for step in run.until_stopped(range(9)):
        sink.stop_requested = step == 3
        run.log({"validation_accuracy": 0.5}, step=step)
    assert run.ending == "stopped" and run.score.last_step == 3
    run.log({"test_loss": 1.4})
    run.log({"test_accuracy": 0.4})
    assert [score.name for score in run.sealed] == ["test_loss", "test_accuracy"]


def test_a_loop_until_stopped_goes_through_all_steps_and_takes_no_further_one(
    start: Start,
) -> None:
    run, _ = start(early_stopping=RULE)
    assert list(run.until_stopped("abc")) == ["a", "b", "c"]
    batches = iter(range(9))
    for step in run.until_stopped(batches):
        run.log({"validation_accuracy": 0.5}, step=step)
    assert next(batches) == 3
    assert list(run.until_stopped("abc")) == []


def test_a_loop_that_was_left_ends_no_later_one(start: Start) -> None:
    run, _ = start(early_stopping=RULE)
    for _ in run.until_stopped(range(9)):
        break
    with pytest.raises(StoppedEarly):
        for step in range(9):
            run.log({"validation_accuracy": 0.5}, step=step)


def test_a_pruned_run_ends_at_once_also_in_a_loop_until_stopped(start: Start) -> None:
    run, _ = start([False, True], pruning=True)
    with pytest.raises(optuna.TrialPruned):
        for step in run.until_stopped(range(9)):
            run.log({"validation_accuracy": 0.5}, step=step)
    assert run.score.last_step == 1


def test_early_stopping_watches_the_metric_it_names(start: Start) -> None:
    run, _ = start(early_stopping=EarlyStopping("validation_loss", False, Patience(1)))
    for step in range(5):
        run.log({"validation_accuracy": 0.5}, step=step)
    run.log({"validation_loss": 1.0}, step=5)
    with pytest.raises(StoppedEarly):
        run.log({"validation_loss": 1.1, "validation_accuracy": 0.6}, step=6)
    assert run.score.value == 0.6


def test_the_budget_and_the_fold_are_what_the_job_says(start: Start) -> None:
    run, _ = start(budget=0.25, folds=5, fold=3)
    assert (run.budget, run.folds, run.fold) == (0.25, 5, 3)
    plain, _ = start()
    assert (plain.budget, plain.folds, plain.fold) == (None, 0, None)


DECLARED = {"validation_accuracy": "validation"}


def test_a_declared_official_metric_that_is_not_logged_ends_the_run_after_one_evaluation(
    start: Start,
) -> None:
    run, sink = start(splits=DECLARED)
    run.log({"train_loss": 0.5, "validation_acc": 0.7}, step=1)
    with pytest.raises(OfficialMetricMissing) as caught:
        run.log({"train_loss": 0.4, "validation_acc": 0.8}, step=2)
    assert "validation_accuracy was never logged" in str(caught.value)
    assert "train_loss, validation_acc" in str(caught.value)
    run.close()
    assert [step for step, _ in sink.points()["validation_acc"]] == [1, 2]


def test_an_evaluation_may_be_logged_in_several_calls(start: Start) -> None:
    run, _ = start(splits=DECLARED)
    for step in range(3):
        run.log({"validation_loss": 0.4}, step=step)
        run.log({"train_loss": 0.5}, step=step)
        run.log({"validation_accuracy": 0.8}, step=step)
    for _call in range(3):  # steps are counted by calls
        run.log({"validation_loss": 0.4})
        run.log({"validation_accuracy": 0.8})


def test_training_metrics_alone_are_no_evaluation(start: Start) -> None:
    run, _ = start(splits=DECLARED)
    for step in range(20):
        run.log({"train_loss": 0.5, "learning_rate": 0.1, "test_accuracy": 0.1}, step=step)
    assert run.ending == ""


def test_an_official_metric_that_nobody_declared_may_be_returned(start: Start) -> None:
    run, _ = start()
    for step in range(3):
        run.log({"validation_loss": 0.4}, step=step)
    run.finish(0.9)
    assert run.score.value == 0.9


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_tensors_and_arrays_of_one_element_count_whatever_their_shape(
    start: Start, shape: tuple[int, ...]
) -> None:
    run, sink = start()
    run.log({"validation_accuracy": torch.full(shape, 0.5)}, step=0)
    run.log({"validation_accuracy": np.full(shape, 0.25)}, step=1)
    run.close()
    assert run.score == Score(0.5, 0, 0.25, 1, 2)
    assert run.warnings == ()
    assert sink.points()["validation_accuracy"] == [(0, 0.5), (1, 0.25)]
