from __future__ import annotations

import csv
import gzip
import json
from math import isnan, sqrt
from pathlib import Path

import numpy as np
import pytest

from benchmarks import seed_tables, sequential_stops, skewed_tests, verdicts
from benchmarks.verdicts import LiveComparison
from experiments.analysis.seeds.looks import plan


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve configurations on three problems: four models of different truth each."""
    folder = tmp_path / "tabm_seeds"
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = ("churn", "why/classif-num-medium-0-wine", "why/classif-num-medium-1-wine")
    with gzip.open(folder / "eval_15seeds.csv.gz", "wt", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["model", "dataset", "seed", "val/score"])
        for name in names:
            for model in range(4):
                for seed in range(15):
                    value = 0.8 + 0.01 * model + 0.005 * rng.normal() + 0.01 * (seed == 0)
                    rows.writerow([f"m{model}", name, seed, value])
    return tmp_path


def test_the_selecting_run_is_kept_apart_from_the_fresh_seeds(data: Path) -> None:
    table = seed_tables.read_tabm(data)
    assert table.fresh.shape == (12, 14)
    assert (table.tuning[:, None] != table.fresh).all()
    assert set(table.data_set) == {"churn", "wine"}


def test_splits_of_one_data_set_are_one_cluster() -> None:
    assert seed_tables.without_split("why/classif-num-medium-3-wine") == "wine"
    assert seed_tables.without_split("tabred/maps-routing") == "tabred/maps-routing"


def test_clusters_of_one_value_each_give_the_plain_standard_error() -> None:
    values = np.arange(10.0)
    mean, error = seed_tables.clustered(values, [str(i) for i in range(10)])
    assert mean == 4.5
    assert error == pytest.approx(values.std(ddof=1) / sqrt(10))


def test_repeating_every_value_within_its_cluster_adds_no_certainty() -> None:
    names = [str(i) for i in range(10)]
    once = seed_tables.clustered(np.arange(10.0), names)
    assert seed_tables.clustered(np.repeat(np.arange(10.0), 5), np.repeat(names, 5)) == once


def test_one_cluster_tells_no_error() -> None:
    assert isnan(seed_tables.clustered([0.0, 1.0], ["a", "a"])[1])


def test_the_halves_of_a_null_draw_are_disjoint(data: Path) -> None:
    table = seed_tables.read_tabm(data)
    null = verdicts.draw_null(table, np.random.default_rng(0))
    drawn = np.sort(np.hstack([null.left, null.right]), axis=1)
    assert (drawn == np.sort(table.fresh[null.case], axis=1)).all()


def test_pairs_share_a_problem_and_their_truth_is_resolved(data: Path) -> None:
    table = seed_tables.read_tabm(data)
    pairs = verdicts.draw_pairs(table, np.random.default_rng(0))
    assert 0 < len(pairs.gain) <= 3 * 12 * verdicts.SPLITS
    assert (pairs.gain > 0).mean() == pytest.approx(0.5, abs=0.1)
    # Seven test seeds of the better model: its mean lies above, up to seed noise.
    agree = np.sign((pairs.candidate - pairs.baseline).mean(axis=1)) == np.sign(pairs.gain)
    assert agree.mean() > 0.9


def live(gain: float, held_out: float, cluster: str = "digits") -> LiveComparison:
    noise = np.random.default_rng(0).normal(0, 0.01, size=30)
    return LiveComparison(tuple(gain + noise), (0.0,) * 30, held_out, cluster)


def test_an_end_to_end_adopt_is_false_when_the_held_out_gain_is_not_above_the_margin() -> None:
    comparisons = [live(1.0, held_out=-0.1), live(1.0, held_out=0.9), live(-1.0, held_out=-1.0)]
    (found,) = verdicts.live_rows(comparisons)
    assert found.ours == pytest.approx(1 / 3) and "digits, 3 pairs" in found.what
    both = [live(1.0, held_out=0.9), live(1.0, held_out=0.9, cluster="noise")]
    assert len(verdicts.live_rows(both)) == 2
    assert verdicts.live_rows([live(1.0, held_out=0.9)] * 20)[0].met


def test_no_end_to_end_comparisons_make_no_row() -> None:
    assert verdicts.live_rows([]) == []


def test_a_minimised_metric_is_judged_the_other_way_round() -> None:
    up = live(1.0, held_out=1.0)
    down = LiveComparison(up.candidate, up.baseline, -1.0, "digits", direction="minimize")
    assert verdicts.live_adopts(up)
    assert not verdicts.live_adopts(down)


def test_the_table_is_written_as_json_lines_with_the_end_to_end_row(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "COVERAGE_DRAWS", 2_000)
    monkeypatch.setattr(verdicts, "BOOTSTRAP_DRAWS", 100)
    monkeypatch.setattr(sequential_stops, "DRAWS", 3)
    monkeypatch.setattr(sequential_stops, "SCHEDULES", ((3, 5),))
    monkeypatch.setattr(skewed_tests, "DRAWS", 200)
    monkeypatch.setattr(skewed_tests, "REAL_DRAWS", 1)
    one = live(1.0, held_out=0.9)
    record = {"candidate": one.candidate, "baseline": one.baseline, "held_out_gain": 0.9}
    path = tmp_path / "live.jsonl"
    path.write_text(json.dumps(record | {"cluster": "digits"}) + "\n")
    verdicts.main([str(data), "--json", "--live", str(path)])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {frozenset(found) for found in rows} == {
        frozenset({"what", "ours", "peer", "ratio", "unit", "goal", "met"})
    }
    assert any("end to end, digits, 1 pairs" in found["what"] for found in rows)


def test_the_exit_status_tells_a_missed_goal(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = verdicts.row("kept", 1.0, None, "share", "at most 2", True)
    missed = verdicts.row("missed", 3.0, 2.0, "share", "at most 2", False)
    monkeypatch.setattr(skewed_tests, "measures", lambda *_: [])
    monkeypatch.setattr(verdicts, "measure", lambda *_: [kept])
    assert verdicts.main([str(data)]) == 0
    monkeypatch.setattr(verdicts, "measure", lambda *_: [kept, missed])
    assert verdicts.main([str(data)]) == 1
    assert "| missed | 3 | 2 | 1.5 | share | at most 2 | short |" in capsys.readouterr().out


def test_every_form_of_the_test_that_was_tried_is_a_line_of_its_table(data: Path) -> None:
    values = dict.fromkeys(skewed_tests.FORMS, 0.05)
    table = skewed_tests.markdown([skewed_tests.Measure("normal", "at most 0.05", values, True)])
    assert table.count("\n") == len(skewed_tests.FORMS) + 2
    assert "| bootstrap-t | 0.0500 |" in table and "| exponential tilt |" in table


def test_forms_that_correct_for_skewness_adopt_an_exponential_tail_less_often() -> None:
    gains = 1 - np.random.default_rng(0).exponential(size=(4_000, 10))
    rates = {
        name: float(skewed_tests.adopts(rule, gains, skewed_tests.ONE_LOOK).mean())
        for name, rule in skewed_tests.FORMS.items()
        if "bootstrap" not in name
    }
    assert min(rates, key=lambda name: -rates[name]) == skewed_tests.STUDENT
    assert rates[skewed_tests.OURS] < 0.09 < rates["Chen's t"]


def test_what_is_shown_at_a_stop_covers_more_than_the_interval_of_the_look() -> None:
    rng = np.random.default_rng(1)
    found = sequential_stops.stops(plan((3, 5, 7)), 0.0, rng, 120)
    assert found.coverage >= found.naive_coverage
    assert abs(found.median_bias) < 0.2
