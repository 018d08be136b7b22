"""Event files that PyTorch's `SummaryWriter` wrote, whole, cut short and damaged."""

from __future__ import annotations

import math
import shutil
import struct
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from experiments.tracking.imports.foreign_runs import ForeignRun, ReadOptions, UnreadableSource
from experiments.tracking.imports.readers import tensorboard
from experiments.tracking.imports.readers.messages import message

RECORDED = Path(__file__).parent / "recorded" / "tensorboard"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(RECORDED, tmp_path / "runs")
    return tmp_path / "runs"


def read(folder: Path) -> dict[str, ForeignRun]:
    return {run.key: run for run in tensorboard.read(str(folder), ReadOptions()).runs}


def points(run: ForeignRun, name: str) -> list[tuple[float, float]]:
    columns = run.curves()[name]
    return list(zip(columns.steps.tolist(), columns.values.tolist(), strict=True))


def write_scalars(path: Path, tag: str, values: list[float], restart: int = 0) -> list[int]:
    """Write an event file with a scalar a step; where in it each event ends. `restart`: the step
    at which training began again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content, ends = b"", []
    events: list[dict[str, Any]] = [
        {"step": step, "summary": {"value": [{"tag": tag.encode(), "simple_value": value}]}}
        for step, value in enumerate(values, restart)
    ]
    if restart:
        events.insert(0, {"step": restart, "session_log": {"status": 1}})
    for fields in events:
        event = message("Event")(wall_time=1735700000 + fields["step"], **fields)
        data = event.SerializeToString()
        content += struct.pack("<QI", len(data), 0) + data + struct.pack("<I", masked(data))
        ends.append(len(content))
    path.write_bytes(content)
    return ends


def masked(data: bytes) -> int:
    checksum = google_crc32c.value(data)
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_run_comes_with_scalars_of_every_kind_hyperparameters_and_text(folder: Path) -> None:
    run = read(folder)["exp1"]
    assert run.parameters == {"lr": 0.1, "layers": 3, "opt": "adam"}
    assert run.tags == {"config": "lr: 0.1"}
    found = points(run, "loss/train")
    assert found[:4] == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3)), (3, 0.25)]
    assert math.isnan(found[4][1])
    assert found[5] == (5, math.inf)
    assert run.curves()["loss/train"].times_ms.tolist()[:2] == [1735700000500, 1735700001500]
    assert points(run, "zero") == [(1, 0.0)]
    assert (points(run, "single"), points(run, "double")) == ([(1, 0.25)], [(1, 0.1)])
    assert list(run.left_out) == ["weights: 1 images, histograms or other media"]


def test_folders_that_a_writer_made_for_one_run_come_together(folder: Path) -> None:
    runs = read(folder)
    assert sorted(runs) == ["exp1", "exp2", "exp2/inner"]
    assert points(runs["exp1"], "hparam/acc") == [(0, pytest.approx(0.9))]
    assert points(runs["exp1"], "train/group/acc") == [(3, 0.5)]
    assert points(runs["exp1"], "val/group/acc") == [(3, 0.25)]
    assert (runs["exp2"].parent, runs["exp2/inner"].parent) == ("", "exp2")


def test_keras_writes_a_run_in_two_folders(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        write_scalars(tmp_path / "fit" / split / "events.out.tfevents.1.v2", "epoch_loss", [1, 2])
    (run,) = read(tmp_path).values()
    assert run.key == "fit"
    assert sorted(run.curves()) == ["train/epoch_loss", "validation/epoch_loss"]


def test_points_from_before_a_restart_are_cut_as_tensorboard_cuts_them(folder: Path) -> None:
    run = read(folder)["exp2"]
    assert points(run, "loss") == [(0, 0), (1, 1), (2, 2), (3, 13), (4, 14)]
    assert run.left_out[0].endswith("3 points at step 3 and later, from before a restart")


def test_a_restart_in_one_folder_of_a_run_cuts_no_point_of_another(tmp_path: Path) -> None:
    for split in ("train", "val"):
        folder = tmp_path / "fit" / split
        write_scalars(folder / "events.out.tfevents.1", "loss", [0, 1, 2])
        write_scalars(folder / "events.out.tfevents.2", "loss", [11, 12], restart=1)
    (run,) = read(tmp_path).values()
    assert points(run, "train/loss") == points(run, "val/loss") == [(0, 0), (1, 11), (2, 12)]


def test_a_file_cut_anywhere_gives_every_whole_event_before(tmp_path: Path) -> None:
    path = tmp_path / "a" / "events.out.tfevents.1.node"
    ends = write_scalars(path, "loss", [0.0, 1.0, 2.0])
    whole = path.read_bytes()
    assert points(read(tmp_path)["a"], "loss") == [(0, 0.0), (1, 1.0), (2, 2.0)]
    for end in range(ends[0], len(whole)):
        path.write_bytes(whole[:end])
        run = read(tmp_path)["a"]
        assert len(points(run, "loss")) == sum(bound <= end for bound in ends)
        assert len(run.left_out) == (end not in ends)
    damaged = bytearray(whole)
    damaged[ends[0] + 20] ^= 1
    path.write_bytes(damaged)
    run = read(tmp_path)["a"]
    assert points(run, "loss") == [(0, 0.0)]
    assert run.left_out == [f"{path.name}: records from number 1 on, which is damaged"]


def test_a_length_beyond_the_file_reads_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "events.out.tfevents.1.node"
    write_scalars(path, "loss", [1.0])
    path.write_bytes(path.read_bytes() + struct.pack("<QI", 2**63, 0) + b"x")
    assert points(read(tmp_path)["a"], "loss") == [(0, 1.0)]


def test_a_folder_without_event_files_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource) as caught:
        read(tmp_path)
    assert "No event file" in str(caught.value.problems[0])
