"""Folders as neptune-exporter wrote them, by the schema that its README gives."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.tracking.imports.foreign_runs import (
    ForeignRun,
    ForeignRuns,
    ReadOptions,
    UnreadableSource,
)
from experiments.tracking.imports.readers import neptune

SCHEMA = pa.schema(
    [
        ("project_id", pa.string()),
        ("run_id", pa.string()),
        ("attribute_path", pa.string()),
        ("attribute_type", pa.string()),
        ("step", pa.decimal128(18, 6)),
        ("timestamp", pa.timestamp("ms", tz="UTC")),
        ("int_value", pa.int64()),
        ("float_value", pa.float64()),
        ("string_value", pa.string()),
        ("bool_value", pa.bool_()),
        ("datetime_value", pa.timestamp("ms", tz="UTC")),
        ("string_set_value", pa.list_(pa.string())),
        ("file_value", pa.struct([("path", pa.string())])),
        (
            "histogram_value",
            pa.struct(
                [
                    ("type", pa.string()),
                    ("edges", pa.list_(pa.float64())),
                    ("values", pa.list_(pa.float64())),
                ]
            ),
        ),
    ]
)
MORNING = dt.datetime(2025, 1, 2, 8, tzinfo=dt.UTC)


def row(
    run_id: str, path: str, kind: str, value: object, step: str | None = None
) -> dict[str, object]:
    column = {"file": "file_value", "float_series": "float_value"}.get(kind, f"{kind}_value")
    column = column.replace("string_series", "string")
    found: dict[str, object] = {
        "project_id": "team/digits",
        "run_id": run_id,
        "attribute_path": path,
    }
    found |= {"attribute_type": kind, column: value}
    if step is not None:
        second = dt.timedelta(seconds=int(float(step)))
        return {**found, "step": Decimal(step), "timestamp": MORNING + second}
    return found


def write(path: Path, rows: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, compression="snappy")


ROWS = [
    row("DIG-2", "sys/name", "string", "wider"),
    row("DIG-2", "sys/description", "string", "why"),
    row("DIG-2", "sys/owner", "string", "eve"),
    row("DIG-2", "sys/tags", "string_set", ["baseline", "eu"]),
    row("DIG-2", "sys/failed", "bool", True),
    row("DIG-2", "sys/creation_time", "datetime", MORNING),
    row("DIG-2", "sys/forking/parent", "string", "DIG-10"),
    row("DIG-2", "params/lr", "float", 0.1),
    row("DIG-2", "params/layers", "int", 3),
    row("DIG-2", "params/optimizer", "string", "adam"),
    row("DIG-2", "params/nesterov", "bool", True),
    *(row("DIG-2", "val/acc", "float_series", at / 4, f"{at}") for at in range(3)),
    *(row("DIG-2", "loss", "float_series", value, f"{value}") for value in (0.5, 1.25)),
    row("DIG-2", "monitoring/cpu", "float_series", 12.0, "0"),
    row("DIG-2", "monitoring/stdout", "string_series", "hello", "0"),
    row("DIG-2", "model/weights", "file", {"path": "team_digits-1f/DIG-2/weights.bin"}),
    row("DIG-2", "model/key", "file", {"path": "../../secret.txt"}),
    row("DIG-2", "../../up", "file", {"path": "team_digits-1f/DIG-2/weights.bin"}),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "a" / "exports"
    project = root / "data" / "team_digits-1f"
    write(project / "DIG-2-77_part_0.parquet", ROWS[:12])
    write(project / "DIG-2-77_part_1.parquet", ROWS[12:])
    write(project / "DIG-10-78_part_0.parquet", [row("DIG-10", "params/lr", "float", 0.2)])
    weights = root / "files" / "team_digits-1f" / "DIG-2" / "weights.bin"
    weights.parent.mkdir(parents=True)
    weights.write_text("weights")
    (root.parent / "secret.txt").write_text("secret")
    return root


def read(folder: Path) -> ForeignRuns:
    return neptune.read(str(folder), ReadOptions())


def points(run: ForeignRun, name: str) -> list[tuple[float, float]]:
    columns = run.curves()[name]
    return list(zip(columns.steps.tolist(), columns.values.tolist(), strict=True))


@pytest.mark.parametrize("named", [".", "data"])
def test_a_run_comes_whole_and_after_the_one_it_was_forked_from(folder: Path, named: str) -> None:
    first, run = read(folder / named).runs
    assert (first.key, first.name, first.parameters) == ("DIG-10", "DIG-10", {"params/lr": 0.2})
    assert (run.key, run.name, run.experiment) == ("DIG-2", "wider", "team/digits")
    assert (run.state, run.parent, run.notes, run.user) == ("failed", "DIG-10", "why", "eve")
    assert run.started_at == MORNING
    assert run.parameters == {
        "params/lr": 0.1,
        "params/layers": 3,
        "params/optimizer": "adam",
        "params/nesterov": True,
    }
    assert (run.tags["baseline"], run.tags["eu"]) == ("true", "true")
    assert points(run, "val/acc") == [(0, 0.0), (1, 0.25), (2, 0.5)]
    assert points(run, "loss") == [(0.5, 0.5), (1.25, 1.25)]
    assert points(run, "system/cpu") == [(0, 12.0)]
    times = run.curves()["val/acc"].times_ms
    assert times.tolist() == [MORNING.timestamp() * 1000 + 1000 * at for at in range(3)]
    assert "monitoring/stdout: string series (1 values)" in run.left_out


def test_files_come_from_the_exports_own_folder_alone(folder: Path) -> None:
    _, run = read(folder).runs
    assert [(file.name, file.path.read_text()) for file in run.files] == [
        ("model/weights.bin", "weights"),
        ("up.bin", "weights"),
    ]
    assert "model/key: its file is not in the export" in run.left_out


def test_many_runs_in_one_part_as_the_first_exporters_wrote(tmp_path: Path) -> None:
    path = tmp_path / "team_digits" / "part_0.parquet"
    write(path, [*ROWS[:13], row("DIG-3", "loss", "float_series", 1.0, "4")])
    runs = {run.key: run for run in read(tmp_path).runs}
    assert points(runs["DIG-3"], "loss") == [(4, 1.0)]
    assert runs["DIG-3"].parameters == {}
    assert points(runs["DIG-2"], "val/acc") == [(0, 0.0), (1, 0.25)]


def test_runs_of_one_id_in_two_projects_both_come(tmp_path: Path) -> None:
    for project in ("team/a", "team/b"):
        held = {**row("run-1", "params/in", "string", project), "project_id": project}
        write(tmp_path / project / "run-1_part_0.parquet", [held])
    found = [(run.experiment, run.key, run.parameters["params/in"]) for run in read(tmp_path).runs]
    assert found == [("team/a", "run-1", "team/a"), ("team/b", "run-1", "team/b")]


def test_parts_that_cannot_be_read_are_named_and_the_others_come(folder: Path) -> None:
    project = folder / "data" / "team_digits-1f"
    (project / "DIG-4-79_part_0.parquet").write_bytes(b"PAR1 half of it")
    (project / "DIG-5-80_part_0.parquet.tmp").write_bytes(b"PAR1")
    pq.write_table(pa.table({"a": [1]}), project / "other.parquet")
    found = read(folder)
    assert [run.key for run in found.runs] == ["DIG-10", "DIG-2"]
    told = "\n".join(found.remarks)
    assert "DIG-4-79_part_0.parquet: it cannot be read" in told
    assert "DIG-5-80_part_0.parquet.tmp: its export was not finished" in told
    assert "other.parquet" in told


def test_a_folder_without_an_export_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource) as caught:
        read(tmp_path)
    assert "No export of Neptune" in str(caught.value.problems[0])
