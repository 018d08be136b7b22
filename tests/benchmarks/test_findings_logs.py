from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import findings_logs

TURNING = [2.0, 1.2, 0.8, 0.6, 0.5, *(0.5 + 0.05 * step for step in range(1, 12))]
FALLING = [2 * 0.8**epoch for epoch in range(16)]


def ultralytics(folder: Path) -> None:
    lines = ["   epoch,  train/box_loss, metrics/mAP50-95(B),   val/box_loss,  lr/pg0"]
    for epoch, (train, validation) in enumerate(zip(FALLING, TURNING, strict=True), 1):
        lines.append(f" {epoch}, {train}, {0.6 - 0.5 * 0.7**epoch}, {validation}, 0.01")
    (folder / "results.csv").write_text("\n".join(lines))


def lightning(folder: Path) -> None:
    lines = ["epoch,step,train_loss,val_loss"]
    for epoch, (train, validation) in enumerate(zip(FALLING, TURNING, strict=True)):
        lines += [
            f"{epoch},{49 + 50 * epoch},{train},",
            f"{epoch},{49 + 50 * epoch},,{validation}",
        ]
    (folder / "metrics.csv").write_text("\n".join(lines))


def transformers(folder: Path) -> None:
    history: list[dict[str, float]] = []
    for epoch, (train, validation) in enumerate(zip(FALLING, TURNING, strict=True), 1):
        history += [{"epoch": epoch, "step": 10 * epoch, "loss": train}]
        history += [{"epoch": epoch, "step": 10 * epoch, "eval_loss": validation}]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))


@pytest.mark.parametrize(
    ("write", "official", "expected"),
    [
        (ultralytics, "metrics/mAP50-95(B)", "loss_metric_divergence"),
        (lightning, "val_loss", "overfitting"),
        (transformers, "eval_loss", "overfitting"),
    ],
)
def test_a_log_is_read_as_its_library_wrote_it(
    tmp_path: Path, write: Callable[[Path], None], official: str, expected: str
) -> None:
    write(tmp_path)
    ((_, series),) = findings_logs.read_logs(tmp_path)
    assert [metric.name for metric in series if metric.official] == [official]
    assert {metric.split for metric in series if "loss" in metric.name} == {"train", "validation"}
    assert expected in {found.rule for found in findings_logs.alarms(series)}


def test_files_of_other_kinds_are_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "people.csv").write_text("name,age\nAnn,9\n")
    assert findings_logs.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "0 runs, 0 findings: {}\n"
