from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import (
    findings,
    findings_algoperf,
    findings_labelled,
    findings_rates,
    findings_space,
    trained_networks,
)
from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.space.axis import Edge
from experiments.analysis.space.learning_rate import Regime

STEPS = np.arange(60)
FALLING = np.exp(-STEPS / 10) + 0.3
TURNING = FALLING + np.where(STEPS > 25, 0.01 * (STEPS - 25), 0)


def labelled(path: Path, curves: list[tuple[np.ndarray, str]]) -> Path:
    lines = [
        {"train": np.exp(-STEPS / 12).tolist(), "validation": curve.tolist(), "kind": "loss"}
        | {"label": label}
        for curve, label in curves
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def test_labelled_curves_are_counted(tmp_path: Path) -> None:
    path = labelled(
        tmp_path / "curves.jsonl",
        [(TURNING, "overfit"), (FALLING, "non_overfit"), (TURNING, "non_overfit")],
    )
    first, *_ = findings.labelled_rows(path)
    assert first.ours == pytest.approx(2 / 3)
    assert first.met is False


def test_a_folder_of_labelled_curves_is_read_file_by_file_and_as_one(tmp_path: Path) -> None:
    labelled(tmp_path / "one.jsonl", [(TURNING, "overfit"), (FALLING, "non_overfit")])
    labelled(tmp_path / "two.jsonl", [(TURNING, "non_overfit"), (TURNING, "overfit")])
    (tmp_path / "another.jsonl").write_text('{"loss": [1, 2]}')
    (tmp_path / "broken.jsonl").write_text("[1, 2")
    (tmp_path / "empty.jsonl").write_text("")
    told = [row for row in findings.labelled_rows(tmp_path) if "published" in row.what]
    assert [row.ours for row in told] == pytest.approx([1.0, 2 / 3, 0.8])
    assert "4 labelled curves (all files)" in told[-1].what


@pytest.mark.parametrize("label", ["overfit", "non_overfit"])
@pytest.mark.parametrize(
    "changes",
    [
        {"train": None},
        {"train": np.exp(-np.arange(120) / 24).tolist()},
        {"kind": "metric", "direction": "minimize", "train": None},
        {"gap": True},
    ],
    ids=["no training curve", "twice as dense a training curve", "metric", "null"],
)
def test_every_form_of_a_labelled_curve_is_read(
    tmp_path: Path, changes: dict[str, object], label: str
) -> None:
    curve = (TURNING if label == "overfit" else FALLING).tolist()
    line = {"train": np.exp(-STEPS / 12).tolist(), "validation": curve, "label": label}
    if changes.pop("gap", False):
        line["validation"] = [None if at % 7 == 3 else value for at, value in enumerate(curve)]
    path = tmp_path / "curves.jsonl"
    path.write_text(json.dumps(line | changes))
    (read,) = findings_labelled.read(path)
    assert read.overfit is (label == "overfit")
    assert findings_labelled.says_overfit(read) is read.overfit


def test_a_metric_is_better_higher_unless_it_says_otherwise(tmp_path: Path) -> None:
    accuracy = {"validation": (1 - TURNING / 2).tolist(), "kind": "metric", "label": "overfit"}
    path = tmp_path / "curves.jsonl"
    path.write_text(json.dumps(accuracy | {"train": (1 - np.exp(-STEPS / 12) / 2).tolist()}))
    (read,) = findings_labelled.read(path)
    assert read.train is not None
    assert read.train.values[0] > read.train.values[-1]
    assert findings_labelled.says_overfit(read)


def test_a_line_that_is_no_labelled_curve_is_named(tmp_path: Path) -> None:
    path = labelled(tmp_path / "curves.jsonl", [(TURNING, "overfit"), (TURNING, "maybe")])
    with pytest.raises(ValueError, match="line 2 is no labelled curve: KeyError"):
        findings_labelled.read(path)


def test_without_labelled_curves_the_row_says_not_measured() -> None:
    (only,) = findings.labelled_rows(None)
    assert only.ours is None
    assert only.met is None
    assert "not measured" in only.what


def test_counts_give_precision_recall_and_f1() -> None:
    counts = findings_algoperf.count([(True, True), (True, False), (False, True), (True, True)])
    assert (counts.precision, counts.recall) == pytest.approx((2 / 3, 2 / 3))
    assert counts.f1 == pytest.approx(2 / 3)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two runs of one workload: the first overfits on validation and test, the second does not."""
    folder = tmp_path / "algoperf"
    folder.mkdir()
    with gzip.open(folder / "trials.csv.gz", "wt") as file:
        file.write("run_id,workload,target_metric_name,num_validation_examples\n")
        for name in ("one", "two"):
            file.write(f"set/{name}/study_0/criteo_jax/trial_1,criteo_jax,loss,100\n")
    with gzip.open(folder / "eval_curves.csv.gz", "wt") as file:
        file.write("run_id,global_step,train/loss,validation/loss,test/loss\n")
        for name, curve in (("one", TURNING), ("two", FALLING)):
            for step, value in zip(STEPS, curve, strict=True):
                train = np.exp(-step / 12)
                run = f"set/{name}/study_0/criteo_jax/trial_1"
                file.write(f"{run},{step},{train},{value},{value}\n")
    return tmp_path


def test_algoperf_runs_are_read_and_judged(data: Path) -> None:
    runs = findings_algoperf.read_runs(data)
    assert [run.workload for run in runs] == ["criteo_jax", "criteo_jax"]
    assert findings_algoperf.false_overfitting(runs, findings_algoperf.our_onset) == (1, 0)
    assert findings_algoperf.divergence_counts(runs).false_alarms == 0


def test_a_missing_set_is_said(tmp_path: Path) -> None:
    (only,) = findings.algoperf_rows(tmp_path)
    assert "not measured" in only.what


def test_every_row_has_the_same_keys(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings.main([str(data), "--json", "--quick"])
    for line in capsys.readouterr().out.splitlines():
        assert list(json.loads(line)) == ["what", "ours", "peer", "ratio", "unit", "goal", "met"]


def bowl() -> findings_space.Table:
    """A grid of 10 x 10 whose best lies at (2, 5), with three seeds of little noise."""
    rng = np.random.default_rng(0)
    first, second = np.meshgrid(np.arange(10), np.arange(10), indexing="ij")
    errors = (first - 2) ** 2 + 0.1 * (second - 5) ** 2
    choices: dict[str, list[object]] = {
        "rate": [10.0**power for power in range(10)],
        "width": [2.0**power for power in range(10)],
    }
    scores = errors[..., None] + rng.normal(0, 0.01, (10, 10, 3))
    return findings_space.Table.of("bowl", choices, scores, Direction.MINIMIZE)


def test_a_cut_that_costs_is_found_and_caught() -> None:
    table = bowl()
    assert table.best == (2, 5)
    found = findings_space.cuts(table)
    assert {(cut.name, cut.edge) for cut in found} >= {("rate", Edge.LOW)}
    counts = findings_space.measure([table], studies=2)
    assert counts.false_any == 0
    assert counts.caught_any / counts.cut_studies > 0.5


@pytest.mark.parametrize(
    ("regime", "label", "right"),
    [
        (Regime.TOO_SMALL, (True, False), True),
        (Regime.TOO_LARGE, (True, False), False),
        (Regime.FITS, (False, False), True),
        (Regime.FITS, (False, True), False),
    ],
)
def test_a_regime_is_right_by_its_label(
    regime: Regime, label: tuple[bool, bool], right: bool
) -> None:
    assert findings_rates._is_right(regime, *label) is right


def test_networks_trained_together_are_those_trained_alone() -> None:
    problem = trained_networks.task("wine").smaller(40, 30)
    recipe = trained_networks.Recipe(epochs=3, batch=8, hidden=4)
    settings = [trained_networks.Setting(0.01, 0), trained_networks.Setting(0.1, 1)]
    together = trained_networks.train(problem, recipe, settings)
    alone = [trained_networks.train(problem, recipe, [setting])[0] for setting in settings]
    for one, other in zip(together, alone, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert one.validation_score == pytest.approx(other.validation_score, abs=0.04)
        assert one.test_loss.size == recipe.epochs + 1


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [("sgd", 0.3), ("momentum", 0.05), ("nesterov", 0.05), ("rmsprop", 0.01), ("adam", 0.02)],
)
def test_every_optimiser_of_the_benchmark_learns(optimizer: str, rate: float) -> None:
    problem = trained_networks.task("wine").smaller(80, 40)
    recipe = trained_networks.Recipe(optimizer, "linear", epochs=8, batch=8, hidden=8)
    (log,) = trained_networks.train(problem, recipe, [trained_networks.Setting(rate, 0)])
    assert log.train_loss[-1] < 0.7 * log.train_loss[0]


def test_labels_follow_from_ten_times_a_tenth_and_longer_runs() -> None:
    good, bad = np.array([0.1, 0.11, 0.12]), np.array([0.5, 0.51, 0.52])
    scores = [bad, good, good, good, bad]
    labels = findings_rates._labels(scores, [bad, good, good, good, bad])
    assert labels == [
        (True, False),
        (False, False),
        (False, False),
        (False, False),
        (False, True),
    ]
