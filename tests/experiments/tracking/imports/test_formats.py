"""Every format through the whole import: read, written, and found again."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from experiments.errors import VerdictError
from experiments.models import Trial
from experiments.models.trial_encoding import decode
from experiments.tracking.imports.foreign_runs import ReadOptions
from experiments.tracking.imports.formats import FORMATS, read
from experiments.tracking.services.imports import ImportOptions, ImportReport, import_runs
from experiments.trials.series.queries import series
from tests import cast

RECORDED = Path(__file__).parent / "readers" / "recorded"


def bring_in(name: str, source: Path) -> ImportReport:
    return import_runs(
        access=cast.access("cleo"),
        source=read(name, str(source), ReadOptions()),
        options=ImportOptions(name),
    )


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "runs"), [("tensorboard", 3), ("wandb", 1)])
def test_recorded_runs_come_in_once(name: str, runs: int) -> None:
    cast.project()
    first, second = bring_in(name, RECORDED / name), bring_in(name, RECORDED / name)
    assert (first.added, first.updated, first.unchanged) == (runs, 0, 0)
    assert (second.added, second.updated, second.unchanged) == (0, 0, runs)
    assert Trial.objects.filter(study__project__slug=cast.access("cleo").slug).count() == runs


@pytest.mark.django_db
def test_what_was_recorded_is_stored_nested_and_left_out_by_name() -> None:
    cast.project()
    report = bring_in("tensorboard", RECORDED / "tensorboard")
    inner = Trial.objects.select_related("parent").get(run_name="exp2/inner")
    assert inner.parent is not None
    assert inner.parent.run_name == "exp2"
    first = Trial.objects.get(run_name="exp1")
    assert decode(first.parameters) == {"lr": 0.1, "layers": 3, "opt": "adam"}
    curve = series.read([first.pk])[first.pk]["loss/train"]
    assert curve.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert curve.values.tolist()[0] == 1.0
    assert "weights: 1 images, histograms or other media" in report.left_out


def test_an_unknown_format_and_a_missing_package_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VerdictError, match="choose one of csv"):
        read("sacred", "runs", ReadOptions())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name, known_format in FORMATS.items():
        if known_format.needs:
            with pytest.raises(VerdictError, match=r'pip install "\.\[imports\]"'):
                read(name, "runs", ReadOptions())
