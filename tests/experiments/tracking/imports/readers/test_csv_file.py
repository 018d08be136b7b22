"""CSV files of other trackers, and bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.tracking.imports.foreign_runs import ForeignRun, ReadOptions, UnreadableSource
from experiments.tracking.imports.readers import csv_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sweep.csv"


def read(path: Path, text: str | bytes, **options: Any) -> list[ForeignRun]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(csv_file.read(str(path), ReadOptions(**options)).runs)


def problem(path: Path, text: str | bytes, **options: Any) -> str:
    with pytest.raises(UnreadableSource) as caught:
        read(path, text, **options)
    return str(caught.value.problems[0])


def points(run: ForeignRun, name: str) -> list[tuple[float, float]]:
    columns = run.curves()[name]
    return list(zip(columns.steps.tolist(), columns.values.tolist(), strict=True))


def test_a_row_a_run_as_mlflow_writes_its_table(path: Path) -> None:
    (run,) = read(
        path,
        "run_id,experiment_id,status,start_time,end_time,metrics.acc,params.lr,tags.mlflow.runName\n"
        "0a,1,FINISHED,2025-01-02 03:04:05.5+00:00,2025-01-02 03:05:05+00:00,0.9,0.1,calm-owl\n",
    )
    assert (run.key, run.name, run.state) == ("0a", "calm-owl", "complete")
    assert run.parameters == {"lr": "0.1"}
    assert points(run, "acc") == [(0, 0.9)]
    assert run.started_at is not None
    assert run.finished_at is not None
    assert (run.finished_at - run.started_at).total_seconds() == 59.5


def test_a_row_a_trial_as_optuna_writes_its_table(path: Path) -> None:
    complete, pruned, failed = read(
        path,
        ",number,value,datetime_start,datetime_complete,duration,params_x,state\n"
        "0,0,0.5,2025-01-02 03:04:05.123456,2025-01-02 03:04:06,0 days 00:00:01,1,COMPLETE\n"
        "1,1,0.7,2025-01-02 03:04:05.123456,2025-01-02 03:04:06,0 days 00:00:01,2,PRUNED\n"
        "2,2,,2025-01-02 03:04:05.123456,,,3,FAIL\n",
    )
    assert [run.state for run in (complete, pruned, failed)] == ["complete", "pruned", "failed"]
    assert points(complete, "value") == [(0, 0.5)]
    assert failed.curves() == {}


def test_a_row_a_step_as_lightning_writes_it(path: Path) -> None:
    (run,) = read(path, "epoch,step,train_loss,val_acc\n0,9,1.5,\n0,9,,0.5\n1,19,nan,\n")
    assert run.name == "sweep"
    assert points(run, "val_acc") == [(9, 0.5)]
    assert [step for step, _ in points(run, "train_loss")] == [9, 19]
    assert points(run, "epoch") == [(9, 0), (9, 0), (19, 1)]


def test_steps_of_several_runs_may_be_mixed_and_fractional(path: Path) -> None:
    one, two = read(
        path, "run;step;loss;params.lr\na;0.5;1;0.1\nb;1;3;0.2\na;1.5;2;0.1\n".encode("utf-8-sig")
    )
    assert points(one, "loss") == [(0.5, 1), (1.5, 2)]
    assert (two.key, two.parameters) == ("b", {"lr": "0.2"})


def test_experiments_of_one_file_may_have_runs_of_the_same_name(path: Path) -> None:
    rows = read(path, "experiment,trial,lr,loss\na,0,1,5\nb,0,1,4\n")
    steps = read(path, "experiment,run,step,loss\na,x,0,5\nb,x,0,9\na,x,1,4\n")
    assert [(run.experiment, run.key) for run in rows] == [("a", "0"), ("b", "0")]
    assert {run.experiment: points(run, "loss") for run in steps} == {
        "a": [(0, 5), (1, 4)],
        "b": [(0, 9)],
    }


def test_columns_without_a_prefix_are_told_by_their_names_or_by_choice(path: Path) -> None:
    text = "name,lr,val_loss,score\na,0.1,0.5,3\n"
    (run,) = read(path, text)
    assert (set(run.parameters), set(run.curves())) == ({"lr", "score"}, {"val_loss"})
    (run,) = read(path, text, metrics=("score", "lr"))
    assert (set(run.parameters), set(run.curves())) == (set(), {"lr", "score", "val_loss"})


def test_rows_without_an_id_are_known_again_by_their_parameters(path: Path) -> None:
    first = read(path, "lr,acc\n0.1,1\n0.2,2\n0.1,3\n")
    moved = read(path, "lr,acc\n0.1,1\n0.3,9\n0.2,2\n0.1,3\n")
    assert len({run.key for run in first}) == 3
    assert {run.key for run in first} <= {run.key for run in moved}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "line 1: the file is empty"),
        ("lr,acc\n", "line 2: there is no row"),
        ("lr,acc\n0.1,good\n", "line 2, column acc: 'good' is no number"),
        ("lr,acc\n0.1,1\n0.2\n", "line 3: 1 cells under 2 headers"),
        ("acc,acc\n1,2\n", "line 1: the column acc appears twice"),
        ("run_id,acc\na,1\na,2\n", "line 3: the run a stands in line 2 already"),
        ("step,loss\nx,1\n", "line 2, column step: 'x' is no number"),
        ("acc,start_time\n1,0001-01-01T00:00:00+23:00\n", "line 2, column start_time: '0001-"),
        ("step,loss\ninf,1\n", "line 2: no step"),
        ("lr,acc,state\n1,1,lost\n", "line 2: the state lost is not known"),
        ("lr,acc,end_time\n1,1,soon\n", "line 2, column end_time: 'soon' is no time"),
        (b"lr,acc\n\xff,1\n", "after line 0: no UTF-8 text"),
        ('lr,acc\n"1,2\n', "line 2: no CSV"),
        ("name\na\n", "line 1: no column of parameters or metrics"),
        ("lr,acc\n1," + "9" * 1_000_001 + "\n", "line 2: no CSV"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(path: Path, text: str | bytes, where: str) -> None:
    assert where in problem(path, text)


def test_a_file_that_is_not_there_and_a_column_that_is_not_there_are_named(path: Path) -> None:
    assert "there is no column z; there are lr, acc" in problem(
        path, "lr,acc\n1,2\n", metrics=("z",)
    )
    with pytest.raises(UnreadableSource, match=r"gone\.csv cannot be imported"):
        csv_file.read("gone.csv", ReadOptions())
