"""Imports of runs: each once, brought up to date, interrupted and taken up again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from experiments.errors import Conflict, NotAllowed
from experiments.models import Experiment, LatestMetric, SealedScore, SeriesBatch, Trial
from experiments.models.trial_encoding import decode
from experiments.tracking.imports.foreign_runs import (
    ForeignRun,
    ForeignRuns,
    LocalFile,
    MissingFile,
    ServedFile,
    UnreadableSource,
    curve,
)
from experiments.tracking.services import imports
from experiments.tracking.services.imports import ImportOptions, ImportReport, import_runs
from experiments.trials.artifacts.queries import artifacts
from experiments.trials.lifecycle.services import editing
from experiments.trials.series.queries import series
from experiments.trials.table.services import annotations
from tests import cast

pytestmark = pytest.mark.django_db


def run(key: str, points: int = 3, **more: object) -> ForeignRun:
    """A run with an accuracy that rises by a tenth a step."""
    columns = curve((step, (step + 1) / 10, 1000 * step) for step in range(points))
    fields = {"parameters": {"rate": 0.1}, "curves": lambda: {"validation_accuracy": columns}}
    return ForeignRun(key=key, **{**fields, **more})  # type: ignore[arg-type]


def bring_in(
    *runs: ForeignRun, who: str = "cleo", options: ImportOptions | None = None
) -> ImportReport:
    source = ForeignRuns("sweep", iter(runs), len(runs))
    return import_runs(
        access=cast.access(who), source=source, options=options or ImportOptions("csv")
    )


def outcome(report: ImportReport) -> tuple[int, int, int]:
    return report.added, report.updated, report.unchanged


def curve_of(trial: Trial, name: str = "validation_accuracy") -> list[float]:
    return [float(value) for value in series.read([trial.pk])[trial.pk][name].values]


def test_imported_runs_are_counted_scored_and_drawn() -> None:
    cast.project()
    report = bring_in(
        run("a", name="first", parameters={"rate": "0.1", "seed": "7"}, notes="why", user="eve"),
        run("b", points=5),
        run("c", state="failed"),
    )
    assert outcome(report) == (3, 0, 0)
    experiment = Experiment.objects.get(name="sweep")
    assert (experiment.complete_count, experiment.failed_count) == (2, 1)
    assert (experiment.state, experiment.official_metric) == ("finished", "validation_accuracy")
    assert experiment.best_value == 0.5
    first = Trial.objects.get(run_name="first")
    assert (decode(first.parameters), first.train_seed) == ({"rate": 0.1}, 7)
    assert curve_of(first) == [0.1, 0.2, 0.3]
    assert LatestMetric.objects.get(trial=first).value == 0.3


def test_the_same_source_twice_adds_nothing() -> None:
    cast.project()
    bring_in(run("a"), run("b"))
    assert outcome(bring_in(run("a"), run("b"))) == (0, 0, 2)
    assert Trial.objects.count() == 2


def test_a_run_that_grew_is_brought_up_to_date() -> None:
    cast.project()
    bring_in(run("a", state="running"))
    assert Experiment.objects.get().state == "running"
    assert outcome(bring_in(run("a", points=6), run("b"))) == (1, 1, 0)
    grown, _ = Trial.objects.order_by("number")
    assert (grown.value, curve_of(grown)[-1]) == (0.6, 0.6)
    assert Experiment.objects.get().state == "finished"


def test_a_curve_that_has_shrunk_at_its_source_keeps_its_points_here() -> None:
    cast.project()
    bring_in(run("a", points=6))
    bring_in(run("a", points=2))
    assert len(curve_of(Trial.objects.get())) == 6


def test_a_reader_of_the_first_points_is_told_that_the_curve_is_new() -> None:
    cast.project()
    bring_in(run("a"))
    trial = Trial.objects.get()
    place = series.since({trial.pk: None})[trial.pk].cursor
    bring_in(run("a", points=4))
    news = series.since({trial.pk: place})[trial.pk]
    assert news.whole
    assert len(news.series["validation_accuracy"].values) == 4


def test_an_interrupted_import_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    cast.project()
    monkeypatch.setattr(imports, "_AT_ONCE", 2)
    monkeypatch.setattr(imports, "_ASKED_AT_ONCE", 2)
    runs = [run(str(number)) for number in range(7)]

    def breaks_off() -> Iterator[ForeignRun]:
        yield from runs[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_runs(
            access=cast.access("cleo"),
            source=ForeignRuns("sweep", breaks_off(), 7),
            options=ImportOptions("csv"),
        )
    assert Experiment.objects.get().trial_count == Trial.objects.count() == 4
    assert outcome(bring_in(*runs)) == (3, 0, 4)
    assert sorted(Trial.objects.values_list("number", flat=True)) == list(range(7))


def test_progress_tells_of_unchanged_runs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cast.project()
    monkeypatch.setattr(imports, "_TOLD_EVERY", 2)
    runs = [run(str(number)) for number in range(5)]
    bring_in(*runs)
    heard: list[int] = []
    import_runs(
        access=cast.access("cleo"),
        source=ForeignRuns("sweep", iter(runs), 5),
        options=ImportOptions("csv"),
        progress=heard.append,
    )
    assert heard == [2, 4]


def test_progress_tells_the_runs_done_of_all() -> None:
    cast.project()
    heard: list[int] = []
    import_runs(
        access=cast.access("cleo"),
        source=ForeignRuns("sweep", iter([run("a"), run("b")]), 2),
        options=ImportOptions("csv"),
        progress=heard.append,
    )
    assert heard[-1] == 2


def test_another_run_under_the_same_key_is_refused_and_nothing_changes() -> None:
    cast.project()
    bring_in(run("1"))
    with pytest.raises(Conflict, match=r"rate is 0\.1 here and 0\.5 there"):
        bring_in(run("1", parameters={"rate": "0.5"}))
    assert decode(Trial.objects.get().parameters) == {"rate": 0.1}


def test_two_runs_of_one_key_are_refused_with_the_way_out() -> None:
    cast.project()
    with pytest.raises(Conflict, match="Import without a name for the experiment"):
        bring_in(
            run("0", experiment="a"),
            run("0", experiment="b"),
            options=ImportOptions("csv", experiment="all"),
        )
    assert not Trial.objects.exists()


def test_runs_of_two_projects_with_one_key_come_into_one_experiment_as_two() -> None:
    cast.project()
    together = ImportOptions("wandb", experiment="all")
    first, second = (run("a1", scope=scope, experiment=scope) for scope in ("vision", "text"))
    assert outcome(bring_in(first, second, options=together)) == (2, 0, 0)
    assert outcome(bring_in(second, options=together)) == (0, 0, 1)


def test_runs_of_an_experiment_that_was_renamed_here_are_brought_up_to_date_there() -> None:
    cast.project()
    bring_in(run("a", state="running"))
    experiment = Experiment.objects.get()
    editing.rename(access=cast.access("cleo"), experiment=experiment, name="renamed")
    assert bring_in(run("a", points=6), run("b")).experiments == ["renamed"]
    experiment = Experiment.objects.get()
    assert (experiment.state, experiment.complete_count) == ("finished", 2)


def test_a_run_that_was_renamed_here_keeps_that_name_and_others_follow_their_source() -> None:
    cast.project()
    bring_in(run("a", name="first"), run("b", name="second"))
    mine, _ = Trial.objects.order_by("number")
    annotations.rename(access=cast.access("cleo"), run_id=mine.pk, name="the good one")
    bring_in(run("a", name="first", points=6), run("b", name="other"))
    names = Trial.objects.order_by("number").values_list("run_name", flat=True)
    assert list(names) == ["the good one", "other"]


def test_runs_come_into_their_own_experiments_and_keep_what_they_are_nested_in() -> None:
    cast.project()
    bring_in(
        run("parent", experiment="a/b"),
        run("child", experiment="a/b", parent="parent"),
        run("other", experiment="c"),
    )
    assert Experiment.objects.count() == 2
    child = Trial.objects.get(parent__isnull=False)
    assert child.parent is not None
    assert child.parent.study == child.study


def test_test_scores_are_sealed_and_what_is_not_finite_is_kept() -> None:
    cast.project()
    curves = {
        "test_accuracy": curve([(0, 0.9, 0)]),
        "train_loss": curve([(0, math.inf, 0), (0.5, math.nan, 1)]),
    }
    report = bring_in(run("a", curves=lambda: {**curves, "x" * 300: curves["train_loss"]}))
    trial = Trial.objects.get()
    assert list(series.read([trial.pk])[trial.pk]) == ["train_loss"]
    assert SealedScore.objects.get().value == 0.9
    assert len(report.left_out) == 1
    assert "250 characters" in report.left_out[0]


def test_numbers_beyond_64_bits_are_kept_as_text_or_left_out() -> None:
    cast.project()
    far = {"loss": curve([(2**70, 0.5, 0)])}
    report = bring_in(run("a", parameters={"key": 10**400}, curves=lambda: far))
    assert decode(Trial.objects.get().parameters) == {"key": str(10**400)}
    assert report.left_out == ["metric loss: a step beyond 64 bits"]


def test_texts_that_no_database_holds_are_mended() -> None:
    cast.project()
    bring_in(run("a\0", name="n\0\ud800", parameters={"p\0": "\ud800"}, tags={"t": "\0"}))
    assert Trial.objects.get().run_name == "n\ufffd?"


def test_files_are_stored_and_a_name_that_climbs_out_is_left_out(tmp_path: Path) -> None:
    cast.project()
    (tmp_path / "model.txt").write_text("weights")
    files = [LocalFile(name, tmp_path / "model.txt") for name in ("out/model.txt", "../model.txt")]
    report = bring_in(run("a", files=files))
    trial = Trial.objects.get()
    assert [file.name for file in artifacts.logged_files(trial.pk)] == ["out/model.txt"]
    assert len(report.left_out) == 1


def test_files_come_while_no_transaction_is_held_and_only_what_is_missing_comes_again() -> None:
    cast.project()
    asked: list[str] = []
    gone = {"late.txt"}

    def served(name: str) -> ServedFile:
        def blocks() -> Iterator[bytes]:
            asked.append(name)
            # The test's own transaction is the only one.
            assert len(connection.savepoint_ids) == 0
            if name in gone:
                raise UnreadableSource.at("http://server", "", "It does not answer.")
            yield b"bytes"

        return ServedFile(name, 5, blocks)

    def ended() -> ForeignRun:
        files = [served("early.txt"), served("late.txt")]
        return run("a", stamp="whole", files=files)

    with pytest.raises(UnreadableSource):
        bring_in(ended())
    gone.clear()
    assert outcome(bring_in(ended())) == (0, 1, 0)
    assert outcome(bring_in(ended())) == (0, 0, 1)
    assert asked == ["early.txt", "late.txt", "late.txt"]
    stored = artifacts.logged_files(Trial.objects.get().pk)
    assert [(file.name, file.size) for file in stored] == [("early.txt", 5), ("late.txt", 5)]


def test_a_file_that_the_source_owes_is_asked_for_again_and_one_too_large_is_not(
    settings: Any,
) -> None:
    cast.project()
    settings.FILE_MEGABYTES = 1

    def owed() -> Iterator[bytes]:
        raise MissingFile("It answers 503.")
        yield b""

    large = ServedFile("large.bin", 2**21, lambda: iter([b"never asked for"]))
    report = bring_in(run("a", stamp="whole", files=[ServedFile("owed.txt", 5, owed), large]))
    assert report.left_out[0] == "file owed.txt: It answers 503."
    assert report.left_out[1].startswith("file large.bin: A file may have 1 MiB at most")
    came = ServedFile("owed.txt", 5, lambda: iter([b"bytes"]))
    assert outcome(bring_in(run("a", stamp="whole", files=[came, large]))) == (0, 1, 0)
    assert outcome(bring_in(run("a", stamp="whole", files=[came, large]))) == (0, 0, 1)


def test_what_is_known_of_many_runs_is_asked_at_once(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    cast.project()
    runs = [run(str(number)) for number in range(40)]
    bring_in(*runs)
    with django_assert_max_num_queries(8):
        assert outcome(bring_in(*runs)) == (0, 0, 40)


def test_runs_before_a_place_that_cannot_be_read_come_in() -> None:
    cast.project()

    def breaks_off() -> Iterator[ForeignRun]:
        yield run("a")
        raise UnreadableSource.at("runs", "", "It broke off.")

    source = ForeignRuns("sweep", breaks_off())
    with pytest.raises(UnreadableSource):
        import_runs(access=cast.access("cleo"), source=source, options=ImportOptions("csv"))
    assert Trial.objects.count() == 1


def test_a_viewer_imports_nothing() -> None:
    cast.project()
    with pytest.raises(NotAllowed):
        bring_in(run("a"), who="ben")
    assert not Experiment.objects.exists()


def test_a_long_curve_is_stored_in_several_rows_and_reads_back_whole() -> None:
    cast.project()
    bring_in(run("a", points=450_001))
    trial = Trial.objects.get()
    assert SeriesBatch.objects.count() == 3
    assert len(curve_of(trial)) == 450_001


def test_an_official_metric_that_was_chosen_judges_the_runs() -> None:
    cast.project()
    losses = {"loss": curve([(0, 2.0, 0), (1, 1.0, 0)])}
    chosen = ImportOptions("csv", official_metric="loss", direction="minimize")
    bring_in(run("a", curves=lambda: losses), options=chosen)
    assert Trial.objects.get().value == 1.0


def test_a_source_that_breaks_names_its_place() -> None:
    error = UnreadableSource.at("runs.csv", "line 3", "no number")
    assert [str(problem) for problem in error.problems] == ["line 3: no number"]
