"""A folder that W&B 0.31 wrote offline, whole, cut short and damaged."""

from __future__ import annotations

import math
import shutil
import struct
import zlib
from pathlib import Path

import pytest

from experiments.tracking.imports.foreign_runs import ForeignRun, ReadOptions, UnreadableSource
from experiments.tracking.imports.readers import wandb_folder
from experiments.tracking.imports.readers.messages import message
from experiments.tracking.imports.readers.wandb_records import BLOCK, records

RECORDED = Path(__file__).parent / "recorded" / "wandb"
NAME = "run-abc12345.wandb"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(RECORDED, tmp_path / "wandb")
    (tmp_path / "wandb" / "latest-run").symlink_to(next((tmp_path / "wandb").iterdir()))
    return tmp_path / "wandb"


def read(folder: Path) -> list[ForeignRun]:
    return list(wandb_folder.read(str(folder), ReadOptions()).runs)


def file_of(folder: Path) -> Path:
    return next(path for path in folder.rglob(NAME) if "latest" not in str(path))


def points(run: ForeignRun, name: str) -> list[tuple[float, float]]:
    columns = run.curves()[name]
    return list(zip(columns.steps.tolist(), columns.values.tolist(), strict=True))


def test_a_run_comes_with_all_that_was_logged(folder: Path) -> None:
    (run,) = read(folder)
    assert (run.key, run.name, run.experiment) == ("abc12345", "first try", "digits")
    assert (run.state, run.notes, run.user) == ("complete", "wider net", "eve")
    assert run.parameters == {
        "lr": 0.1,
        "opt.name": "adam",
        "layers": "[32, 16]",
        "seed": 7,
        "late": 5,
    }
    assert run.tags == {
        "baseline": "true",
        "eu": "true",
        "group": "sweep-a",
        "job_type": "train",
        "phase": "late",
        "program": "/opt/train/train.py",
    }
    assert points(run, "train_loss")[:4] == [(0, 1.0), (1, 0.5), (2, 1 / 3), (3, 0.25)]
    assert math.isnan(points(run, "train_loss")[4][1])
    assert points(run, "validation.accuracy") == [(0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75)]
    assert (points(run, "up"), points(run, "down")) == ([(10, math.inf)], [(10, -math.inf)])
    assert points(run, "ok") == [(10, 1.0)]
    assert points(run, "best") == [(11, 0.75)]  # of the summary alone: at the last step
    assert any(name.startswith("system/") for name in run.curves())
    assert not any(name.startswith(("_", "weights")) for name in run.curves())
    assert run.started_at is not None
    assert run.finished_at is not None
    assert run.curves()["best"].times_ms[0] == run.finished_at.timestamp() * 1000
    assert [(file.name, file.path.read_text()) for file in run.files] == [("note.txt", "kept")]
    assert list(run.left_out) == [
        "weights: an image, table, histogram or other media",
        "phase: text, of which the last is kept",
    ]


def test_a_file_cut_anywhere_gives_every_whole_record_before(folder: Path) -> None:
    path = file_of(folder)
    whole = path.read_bytes()
    counts = []
    for end in range(7, len(whole), 211):
        path.write_bytes(whole[:end])
        (run,) = read(folder)
        assert run.state == "running"  # no exit record: it goes on, or was killed
        counts.append(sum(len(curve.values) for curve in run.curves().values()))
    assert counts == sorted(counts)
    assert counts[-1] > 10
    path.write_bytes(whole[:-3])
    (run,) = read(folder)
    assert run.left_out[0] == f"{NAME}, block 0: its last record, which is not whole"


def test_a_flipped_bit_is_seen_and_what_came_before_stays(folder: Path) -> None:
    path = file_of(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    (run,) = read(folder)
    assert points(run, "train_loss")[0] == (0, 1.0)
    assert f"{NAME}, block 0: records after a damaged one" in run.left_out


def test_records_longer_than_a_block_come_together(tmp_path: Path, folder: Path) -> None:
    def framed(kind: int, piece: bytes) -> bytes:
        return struct.pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece

    content = bytes(range(256)) * 300
    path = tmp_path / NAME
    first = BLOCK - 7 - 7
    rest = content[first + BLOCK - 7 :]
    path.write_bytes(
        b":W&B\xe1\xbe\x00"
        + framed(2, content[:first])
        + framed(3, content[first : first + BLOCK - 7])
        + framed(4, rest)
        + framed(1, b"next")
    )
    assert list(records(path, [])) == [content, b"next"]
    damaged = bytearray(path.read_bytes())
    damaged[BLOCK + 100] ^= 1  # in the middle piece: what was begun is no record
    path.write_bytes(damaged)
    left_out: list[str] = []
    assert list(records(path, left_out)) == [b"next"]
    assert left_out == [f"{NAME}, block 1: records after a damaged one"]


def test_parts_of_a_resumed_run_are_one_run(folder: Path) -> None:
    part = file_of(folder).parent
    shutil.copytree(part, folder / "offline-run-20250302_120000-abc12345")
    (run,) = read(folder)
    assert len(points(run, "up")) == 2
    assert [file.name for file in run.files] == ["note.txt"]


def test_runs_of_one_id_in_two_projects_are_two_runs(folder: Path) -> None:
    part = file_of(folder).parent
    shutil.copytree(part, folder / "offline-run-20250302_120000-abc12345")
    path = folder / "offline-run-20250302_120000-abc12345" / NAME
    record = message("Record")()
    record.run.project = b"faces"
    content = record.SerializeToString()
    checksum = zlib.crc32(bytes([1]) + content)
    path.write_bytes(
        b":W&B\xe1\xbe\x00" + struct.pack("<IHB", checksum, len(content), 1) + content
    )
    found = [(run.key, run.scope, run.experiment) for run in read(folder)]
    assert found == [("abc12345", "digits", "digits"), ("abc12345", "faces", "faces")]


def test_no_run_and_no_file_of_wandb_are_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource) as caught:
        read(tmp_path / "nowhere")
    assert "no such folder" in str(caught.value.problems[0])
    with pytest.raises(UnreadableSource) as caught:
        read(file_of(folder).parent / "files")
    assert "No run of W&B" in str(caught.value.problems[0])
    file_of(folder).write_bytes(b"PK\x03\x04")
    found = wandb_folder.read(str(folder), ReadOptions())
    assert list(found.runs) == []
    assert found.remarks == [f"{NAME}: This is no file of a W&B run."]
