from __future__ import annotations

import math
from pathlib import Path

from benchmarks import _series_peers as peers
from benchmarks import _series_work as work


class Run:
    """What a training function of the benchmark asks of its run."""

    def __init__(self, **params: object) -> None:
        self.params = params
        self.logged: list[tuple[dict[str, float], int]] = []

    def log(self, values: dict[str, float], step: int) -> None:
        self.logged.append((values, step))


def test_every_loop_logs_the_same_points_for_the_same_seed() -> None:
    assert work.points(3, 50) == work.points(3, 50) != work.points(4, 50)
    assert all(list(point) == work.NAMES for point in work.points(3, 50))


def test_odd_points_hold_what_other_trackers_trip_over() -> None:
    calls = work.odd_points(1, 60)
    values = [value for metrics, _ in calls for value in metrics.values()]
    assert any(math.isnan(value) for value in values)
    assert {math.inf, -math.inf} <= set(values)
    steps = [step for _, step in calls]
    assert len(set(steps)) < len(steps) and steps != sorted(steps)


def test_a_loop_waits_for_the_others_and_tells_what_its_calls_took(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    run = Run(folder=str(tmp_path), seed=5, steps=20)
    work.log_steps(run)
    assert [values for values, _ in run.logged] == work.points(5, 20)
    assert (tmp_path / "ready-5").exists()
    assert '"p99_us"' in (tmp_path / "told-5").read_text()


def test_the_spread_of_calls_is_their_median_and_its_tail() -> None:
    told = work.spread([1e-6] * 98 + [5e-6, 9e-6])
    assert (round(told["median_us"]), round(told["p99_us"]), round(told["worst_us"])) == (1, 5, 9)


def test_every_peer_names_the_package_that_it_needs() -> None:
    assert set(peers.MODULES) == set(peers.TRACKERS)
