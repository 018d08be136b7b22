"""Sources with bytes changed anywhere: read as far as they go, or refused with a message."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.errors import VerdictError
from experiments.tracking.imports.foreign_runs import ReadOptions
from experiments.tracking.imports.formats import read
from tests.experiments.tracking.imports.readers import test_mlflow as mlflow
from tests.experiments.tracking.imports.readers import test_neptune as neptune

RECORDED = Path(__file__).parent / "readers" / "recorded"
TIMES = 40


def event_file(folder: Path) -> Path:
    shutil.copytree(RECORDED / "tensorboard", folder / "source")
    return next((folder / "source" / "exp1").glob("*tfevents*"))


def wandb_file(folder: Path) -> Path:
    shutil.copytree(RECORDED / "wandb", folder / "source")
    return next((folder / "source").rglob("*.wandb"))


def parquet_file(folder: Path) -> Path:
    path = folder / "source" / "data" / "DIG-2-77_part_0.parquet"
    neptune.write(path, neptune.ROWS)
    return path


def metric_file(folder: Path) -> Path:
    experiment = folder / "source" / "1"
    mlflow.write(experiment / "meta.yaml", "lifecycle_stage: active\nname: digits\n")
    run = mlflow.write_run(experiment, mlflow.CHILD_ID, "inner", 3)
    mlflow.write(run / "metrics" / "loss", "1735700001000 0.5 0\n1735700002000 nan 1\n" * 9)
    return run / "metrics" / "loss"


def head_file(folder: Path) -> Path:
    return metric_file(folder).parent.parent / "meta.yaml"


def database(folder: Path) -> Path:
    connection = sqlite3.connect(folder / "source")
    ids = {"child": mlflow.CHILD_ID, "parent": mlflow.PARENT_ID, "deleted": mlflow.DELETED_ID}
    connection.executescript(mlflow.DATABASE.format(**ids, files=""))
    connection.close()
    return folder / "source"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("tensorboard", event_file),
        ("wandb", wandb_file),
        ("neptune", parquet_file),
        ("mlflow", metric_file),
        ("mlflow", head_file),
        ("mlflow", database),
    ],
)
def test_a_damaged_source_is_never_a_traceback(
    name: str, make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = make(tmp_path)
    whole = path.read_bytes()
    rng = random.Random(7)
    for _ in range(TIMES):
        content = bytearray(whole)
        for _ in range(rng.choice((1, 3, 30))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice((len(content), rng.randrange(len(content))))])
        try:
            for run in read(name, str(tmp_path / "source"), ReadOptions()).runs:
                run.curves()
        except VerdictError as error:
            assert error.problems and "Traceback" not in str(error.problems[0])


def test_columns_and_values_of_other_kinds_are_named(tmp_path: Path) -> None:
    path = database(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE runs SET start_time = 'soon', name = x'ff00', user_id = 7")
    connection.execute("UPDATE metrics SET value = 'high', step = 'late'")
    connection.commit()
    connection.close()
    parent, child = read("mlflow", str(path), ReadOptions()).runs
    assert (child.started_at, child.user) == (None, "7")
    assert child.curves()["val/acc"].steps.tolist() == [0, 0]
    assert parent.curves() == {}


def test_a_head_whose_aliases_would_fill_the_memory_is_no_name(tmp_path: Path) -> None:
    path = head_file(tmp_path)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for at in range(1, 12):
        lines.append(f"a{at}: &a{at} [" + ", ".join([f"*a{at - 1}"] * 10) + "]")
    path.write_text("\n".join([*lines, "run_name: *a11", "status: *a11"]))
    (run,) = read("mlflow", str(tmp_path / "source"), ReadOptions()).runs
    assert (run.name, run.state) == ("", "complete")
