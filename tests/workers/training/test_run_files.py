from __future__ import annotations

import hashlib
import json
import struct
import zlib
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.workers.training.test_run import Recorder, job
from workers.training.media import (
    media_of_figure,
    media_of_histogram,
    media_of_image,
    media_of_table,
)
from workers.training.messages import Checkpoints, LoggedFile
from workers.training.run import Run


class Keeper(Recorder):
    """A sink that takes files, too."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[LoggedFile] = []

    def tell(self, message: Any) -> None:
        self.files.append(message)


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def run(keeper: Keeper, tmp_path: Path) -> Run:
    about = Checkpoints(str(tmp_path), "trials/7", 1, 10**6, 0, largest_file=2 * 2**20)
    return Run(job(checkpoints=about), keeper)


def content(keeper: Keeper, folder: Path, number: int = 0) -> bytes:
    found = keeper.files[number]
    written = (folder / found.path).read_bytes()
    assert found.size == len(written)
    assert found.sha256 == hashlib.sha256(written).hexdigest()
    return written


def test_a_file_is_copied_whole_with_its_checksum(
    run: Run, keeper: Keeper, tmp_path: Path
) -> None:
    source = tmp_path / "model.onnx"
    source.write_bytes(b"weights" * 200_000)
    run.log_file(source, step=3)
    run.log_file(source, name="exports/model.onnx")
    source.unlink()
    assert [(file.name, file.kind, file.step) for file in keeper.files] == [
        ("model.onnx", "file", 3), ("exports/model.onnx", "file", None)
    ]  # fmt: skip
    assert content(keeper, tmp_path) == content(keeper, tmp_path, 1) == b"weights" * 200_000
    assert keeper.files[0].path.startswith("trials/7/file-")


def test_text_tables_histograms_and_images_are_files_named_by_what_they_are(
    run: Run, keeper: Keeper, tmp_path: Path
) -> None:
    run.log_text("notes", "Grüße", step=1)
    run.log_table("predictions", [{"label": 3, "guess": 8}, {"label": 1, "other": "x"}])
    run.log_histogram("weights", torch.tensor([0.0, 1.0, 1.0, float("nan")]), bins=2, step=0.5)
    run.log_image("sample.png", np.zeros((2, 3, 3), np.uint8))
    assert [(file.name, file.kind, file.step) for file in keeper.files] == [
        ("notes.txt", "text", 1), ("predictions.csv", "table", None),
        ("weights.json", "histogram", 0.5), ("sample.png", "image", None),
    ]  # fmt: skip
    assert content(keeper, tmp_path).decode() == "Grüße"
    assert content(keeper, tmp_path, 1) == b"label,guess,other\r\n3,8,\r\n1,,x\r\n"
    assert json.loads(content(keeper, tmp_path, 2)) == {
        "edges": [0.0, 0.5, 1.0], "counts": [1, 2], "not_finite": 1
    }  # fmt: skip
    assert run.warnings == ()


def test_curves_and_matrices_are_figures_of_a_name_and_a_step_that_never_raise(
    run: Run, keeper: Keeper
) -> None:
    run.log_confusion_matrix([0, 1], [0, 1], step=1)
    run.log_roc_curve([0, 1], [0.1, 0.9], step=2)
    run.log_pr_curve([0, 1], [0.1, 0.9], name="pr/validation", step=2)
    run.log_roc_curve([1, 1], [0.1, 0.9], name="one class")
    assert [(file.name, file.kind, file.step) for file in keeper.files] == [
        ("confusion matrix.json", "figure", 1), ("roc.json", "figure", 2),
        ("pr/validation.json", "figure", 2),
    ]  # fmt: skip
    assert [warning for warning in run.warnings if "both classes" in warning]


@pytest.mark.parametrize(
    ("shape", "floats"),
    [((4, 5), False), ((4, 5, 1), True), ((4, 5, 3), True), ((4, 5, 4), False)],
)
def test_pixels_come_back_from_their_png(shape: tuple[int, ...], floats: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape)
    given = torch.tensor(pixels / 255) if floats else pixels.astype(np.uint8)
    assert (decoded(media_of_image(given).content) == pixels.reshape(4, 5, -1)).all()


def decoded(png: bytes) -> np.ndarray[Any, Any]:
    """Pixels [H, W, channels] of a PNG without filters."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, start = {}, 8
    while start < len(png):
        size, name = struct.unpack(">I4s", png[start : start + 8])
        body = png[start + 8 : start + 8 + size]
        (checksum,) = struct.unpack(">I", png[start + 8 + size : start + 12 + size])
        assert checksum == zlib.crc32(name + body)
        chunks[name], start = body, start + 12 + size
    width, height, depth, colour = struct.unpack(">IIBB3x", chunks[b"IHDR"])
    assert depth == 8 and b"IEND" in chunks
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, {0: 1, 2: 3, 6: 4}[colour])


def test_tables_of_any_library_have_a_head_and_rows() -> None:
    table = b"a,b\r\n1,x\r\n2,y\r\n"
    assert media_of_table({"a": [1, 2], "b": ["x", "y"]}).content == table
    assert media_of_table([(1, "x"), (2, "y")], columns=["a", "b"]).content == table

    class Frame:
        columns = ("a", "b")

        def itertuples(self, index: bool) -> list[tuple[int, str]]:
            return [(1, "x"), (2, "y")]

    assert media_of_table(Frame()).content == table


def test_figures_of_matplotlib_are_images_and_those_of_plotly_stay_interactive() -> None:
    class Figure:
        def savefig(self, buffer: BytesIO, **_: Any) -> None:
            buffer.write(b"\x89PNG")

    class Plotly:
        def to_plotly_json(self) -> dict[str, Any]:
            return {}

        def to_json(self) -> str:
            return '{"data": []}'

    assert media_of_figure(Figure()).suffix == ".png"
    axes = type("Axes", (), {"figure": Figure()})()
    assert media_of_figure(axes).content == b"\x89PNG"
    assert media_of_figure(Plotly()).content == b'{"data": []}'


def test_a_histogram_counts_equal_values_and_only_infinite_ones() -> None:
    assert json.loads(media_of_histogram([2, 2], bins=2).content)["counts"] == [2, 0]
    only = json.loads(media_of_histogram([float("inf")], bins=1).content)
    assert only == {"edges": [0.0, 0.0], "counts": [0], "not_finite": 1}


def test_what_cannot_be_kept_is_warned_about_and_training_goes_on(
    run: Run, keeper: Keeper, tmp_path: Path
) -> None:
    run.log_image("a", b"<svg onload='alert(1)'/>")
    run.log_image("b", np.zeros((2, 2, 7)))
    run.log_figure("c", object())
    run.log_table("d", 3)
    run.log_histogram("e", [])
    run.log_file(tmp_path / "missing.bin")
    (tmp_path / "large.bin").write_bytes(bytes(3 * 2**20))
    run.log_file(tmp_path / "large.bin")
    run.log_text("f", "x", step="soon")  # type: ignore[arg-type]
    run.log_file(None)  # type: ignore[arg-type]
    run.log_file("a\0b")
    assert keeper.files == [] and not list(tmp_path.glob("trials/7/*"))
    for part in ("no PNG, JPEG", "found [2, 2, 7]", "no figure", "no table", "no values",
                 "No such file", "more than 2 MiB", "'soon' is no number",
                 "NoneType", "null"):  # fmt: skip
        assert any(part in warning for warning in run.warnings), part
    run.log_text("g", StringIO("fine").read())
    run.log_text(5, "a number as a name")  # type: ignore[arg-type]
    assert [file.name for file in keeper.files] == ["g.txt", "5.txt"]


class Unasked:
    """An image that must not be rendered."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("nothing is sent")


def test_another_rank_and_a_run_without_a_folder_keep_nothing(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Run(job(), keeper)
    silent.log_text("a", "x")
    silent.log_image("b", Unasked())
    assert silent.warnings == ("no files are kept here",)
    monkeypatch.setenv("RANK", "1")
    about = Checkpoints("/nowhere", "trials/7", 1, 10, 0)
    Run(replace(job(), checkpoints=about), keeper).log_image("a", Unasked())
    assert keeper.files == []
