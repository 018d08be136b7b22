from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest

from experiments.models import Experiment, Finding
from experiments.trials.findings.queries.findings import findings_of
from experiments.trials.lifecycle.queries import trial_spec
from experiments.trials.series.series_encoding import encode
from tests import cast
from workers.node.live_findings import LiveFindings, WatchedTrial
from workers.training.messages import Score, SeriesFlush

pytestmark = pytest.mark.django_db

HEALTHY = [1.0 / (1 + step) for step in range(20)]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def experiment() -> Experiment:
    cast.project()
    return cast.search()


@pytest.fixture
def live() -> Iterator[tuple[LiveFindings, Clock]]:
    """Looks are made by the test, not by the thread: it has another connection."""
    clock = Clock()
    found = LiveFindings(clock=clock)
    found.close()
    yield found, clock


Watch = Callable[[list[float]], None]


@pytest.fixture
def watched(experiment: Experiment, live: tuple[LiveFindings, Clock]) -> WatchedTrial:
    study = experiment.studies.first()
    assert study is not None
    trial = cast.running_trial(study)
    spec = trial_spec.read(trial.pk)
    return live[0].watch(spec, {"epochs": 60, "learning_rate": 0.1})


def flush(batch: int, first: int, losses: list[float], name: str = "train_loss") -> SeriesFlush:
    calls = [(first + at, 1000 * (first + at), {name: loss}) for at, loss in enumerate(losses)]
    last = first + len(losses) - 1
    return SeriesFlush(batch, encode(calls), len(calls), first, last, (name,), Score())


def test_a_value_that_is_no_number_is_told_before_the_trial_ends(
    experiment: Experiment, live: tuple[LiveFindings, Clock], watched: WatchedTrial
) -> None:
    reader, _ = live
    reader.put(watched, flush(0, 1, [0.5, 0.4]))
    reader.evaluate(watched)
    assert not Finding.objects.exists()
    reader.put(watched, flush(1, 3, [math.nan]))
    reader.evaluate(watched)  # at once: the next look was a second away
    rules = set(Finding.objects.filter(status="fired").values_list("rule", flat=True))
    assert rules == {"divergence", "non_finite"}
    shown = findings_of(experiment, 2).open
    assert {row.severity for row in shown} == {"problem"}
    assert all("step 3" in row.title for row in shown)


def test_a_curve_that_comes_back_is_told_so(
    live: tuple[LiveFindings, Clock], watched: WatchedTrial
) -> None:
    reader, clock = live
    reader.put(watched, flush(0, 1, [*HEALTHY, 4.0, 5.0, 6.0, 7.0]))
    reader.evaluate(watched)
    assert Finding.objects.get(rule="divergence").status == "fired"
    clock.now += 5
    reader.put(watched, flush(1, 25, [0.04] * 40))
    reader.evaluate(watched)
    assert Finding.objects.get(rule="divergence").status == "passed"


def test_a_healthy_trial_costs_the_database_nothing(
    live: tuple[LiveFindings, Clock],
    watched: WatchedTrial,
    django_assert_num_queries: Callable[[int], object],
) -> None:
    reader, clock = live
    with django_assert_num_queries(0):  # type: ignore[attr-defined]
        for batch in range(5):
            clock.now += 2
            reader.put(watched, flush(batch, 1 + 4 * batch, HEALTHY[4 * batch : 4 * batch + 4]))
            reader.evaluate(watched)


def test_between_two_looks_points_are_only_collected(
    live: tuple[LiveFindings, Clock], watched: WatchedTrial
) -> None:
    reader, clock = live
    reader.put(watched, flush(0, 1, HEALTHY))
    reader.evaluate(watched)
    reader.put(watched, flush(1, 21, [4.0, 5.0, 6.0, 7.0]))
    reader.evaluate(watched)
    assert not Finding.objects.exists()
    clock.now += 2
    reader.evaluate(watched)
    assert Finding.objects.get(rule="divergence").status == "fired"


def test_a_second_attempt_starts_without_the_findings_of_the_first(
    live: tuple[LiveFindings, Clock], watched: WatchedTrial
) -> None:
    from dataclasses import replace

    reader, _ = live
    reader.put(watched, flush(0, 1, [math.inf]))
    reader.evaluate(watched)
    again = reader.watch(replace(watched.spec, attempt=2), watched.parameters)
    reader.put(again, flush(0, 1, HEALTHY))
    reader.evaluate(again)
    assert not Finding.objects.exists()


def test_nothing_is_written_for_a_trial_that_has_ended(
    live: tuple[LiveFindings, Clock], watched: WatchedTrial
) -> None:
    reader, _ = live
    reader.put(watched, flush(0, 1, [math.nan]))
    reader.forget(watched)
    reader._evaluate_logged(watched)
    assert not Finding.objects.exists()


def test_test_metrics_are_never_looked_at(
    live: tuple[LiveFindings, Clock], watched: WatchedTrial
) -> None:
    reader, _ = live
    reader.put(watched, flush(0, 1, [math.nan], name="test_loss"))
    reader.evaluate(watched)
    assert watched.series == {} and not Finding.objects.exists()
