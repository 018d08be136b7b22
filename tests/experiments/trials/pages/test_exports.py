from __future__ import annotations

import csv
import io
import urllib.request

import numpy as np
import pyarrow.parquet
import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from experiments.design.queries.experiments import arms_of
from experiments.models import Trial
from experiments.models.trial import TrialState
from experiments.models.trial_encoding import decode, encode
from experiments.team.services import tokens
from experiments.trials.lifecycle.services import studies
from experiments.trials.series.queries import series_exports
from experiments.trials.table.queries.trial_exports import exported_trials
from experiments.trials.table.queries.trial_table import TrialFilter
from tests import cast
from tests.services_under_test.web_server import WebServer
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db
PAGE = "/projects/digits/experiments/label-smoothing"


@pytest.fixture
def trials() -> list[Trial]:
    """Of two arms, with their usual curves; the first has a spike, a gap and a test metric."""
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    found = list(Trial.objects.filter(study__experiment=experiment).order_by("pk"))
    values = np.sin(np.arange(5000) / 50)
    values[1234], values[2000:2010] = 1e6, np.nan
    extra = {"spiky": values, "test_accuracy": np.ones(5000)}
    cast.log(found[0].pk, extra, attempt=found[0].attempt, first_batch=100, first_step=0)
    return found


def get(address: str, who: str = "ben") -> bytes:
    client = Client()
    client.force_login(cast.person(who))
    response = client.get(address)
    assert response.status_code == 200, response
    return b"".join(response.streaming_content)  # type: ignore[arg-type]


def rows(raw: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(raw.decode(), newline="")))


def test_everything_is_exported_exactly(trials: list[Trial]) -> None:
    found = rows(get(f"{PAGE}/series.csv"))
    assert {row["trial"] for row in found} == {"A0", "A1", "B0", "B1"}
    spiky = [float(row["value"]) for row in found if row["metric"] == "spiky"]
    expected = np.sin(np.arange(5000) / 50)
    expected[1234], expected[2000:2010] = 1e6, np.nan
    assert np.array_equal(spiky, expected, equal_nan=True)
    table = pyarrow.parquet.read_table(io.BytesIO(get(f"{PAGE}/series.parquet"))).to_pylist()
    assert [(row["trial"], row["metric"], row["step"]) for row in table] == [
        (row["trial"], row["metric"], int(row["step"])) for row in found
    ]


def test_test_metrics_are_in_no_file(trials: list[Trial]) -> None:
    assert b"test_accuracy" not in get(f"{PAGE}/series.csv")
    assert b"test_accuracy" not in get(f"{PAGE}/series.parquet")
    assert rows(get(f"{PAGE}/series.csv?metric=test_accuracy")) == []


def test_trials_metrics_and_steps_can_be_chosen(trials: list[Trial]) -> None:
    chosen = f"trials={trials[0].pk}&metric=spiky&from=10&to=12"
    found = rows(get(f"{PAGE}/series.csv?{chosen}"))
    assert [(row["trial"], row["metric"], row["step"]) for row in found] == [
        ("A0", "spiky", step) for step in ("10", "11", "12")
    ]


def test_what_is_shown_is_thinned_and_keeps_extremes_and_gaps(trials: list[Trial]) -> None:
    found = rows(get(f"{PAGE}/series.csv?metric=spiky&points=200"))
    values = [float(row["value"]) for row in found]
    assert 100 < len(found) <= 210
    assert max(value for value in values if value == value) == 1e6
    assert any(value != value for value in values)


def test_replicates_have_names_of_their_own(trials: list[Trial]) -> None:
    experiment = trials[0].study.experiment
    assert experiment is not None
    cast.repeated(experiment, done=1, looks=(3,))
    found = {row["trial"] for row in rows(get(f"{PAGE}/series.csv?metric=train_loss"))}
    assert len(found) == 6 and sum(name.startswith("s") for name in found) == 2


@pytest.mark.parametrize(
    ("who", "address", "status"),
    [
        ("ben", f"{PAGE}/series.xls", 404),
        ("ben", "/projects/digits/experiments/nothing/series.csv", 404),
        ("dan", f"{PAGE}/series.csv", 404),
    ],
)
def test_who_may_not_see_gets_nothing(
    trials: list[Trial], who: str, address: str, status: int
) -> None:
    client = Client()
    client.force_login(cast.person(who))
    assert client.get(address).status_code == status


@pytest.mark.django_db(transaction=True)
def test_the_real_server_sends_the_whole_file(web_server: WebServer) -> None:
    cast.project()
    trial = Trial.objects.filter(study__experiment=cast.finished_search()).first()
    assert trial is not None
    _, secret = tokens.create(user=cast.person("ben"), project=None, name="notebook")
    asked = urllib.request.Request(
        f"{web_server.url}/api/v1/runs/{trial.pk}/series.csv",
        headers={"Authorization": f"Bearer {secret}"},
    )
    with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
        found = rows(answer.read())
    pieces = series_exports.exact({trial.pk: "0"}, declared={})
    assert len(found) == sum(len(piece.columns.steps) for piece in pieces)
    assert {row["metric"] for row in found} >= {"train_loss", "validation_accuracy"}


def test_a_free_study_s_trial_is_no_run(trials: list[Trial]) -> None:
    study = studies.create(name=None, directions=["maximize"], project="digits")
    free = Trial.objects.create(study_id=study, number=0, state=TrialState.RUNNING)
    _, secret = tokens.create(user=cast.person("ben"), project=None, name="notebook")
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    assert client.get(f"/api/v1/runs/{free.pk}/series.csv").status_code == 404
    assert client.get(f"/api/v1/runs/{trials[0].pk}/series.xls").status_code == 422


def test_trials_are_exported_exactly_with_the_values_of_their_arms(trials: list[Trial]) -> None:
    Trial.objects.filter(pk=trials[0].pk).update(value=0.1 + 0.2)
    found = {row["trial"]: row for row in rows(get(f"{PAGE}/trials.csv"))}
    assert set(found) == {"A0", "A1", "B0", "B1"}
    assert float(found["A0"]["validation_accuracy"]) == 0.1 + 0.2
    assert {found["A0"]["params.label_smoothing"], found["B0"]["params.label_smoothing"]} == {
        "0.0",
        "0.1",
    }
    held = decode(trials[0].parameters)
    assert float(found["A0"]["params.learning_rate"]) == held["learning_rate"]
    assert int(found["A0"]["params.hidden_units"]) == held["hidden_units"]


def test_a_trials_file_is_narrowed_and_ordered_as_its_table() -> None:
    cast.project()
    cast.finished_search(trials_per_arm=12)
    failed = rows(get(f"{PAGE}/trials.csv?state=failed"))
    assert failed and {row["state"] for row in failed} == {"failed"}
    assert {row["validation_accuracy"] for row in failed} == {""}
    one_arm = rows(get(f"{PAGE}/trials.csv?arm=B&state=complete&order=p.dropout&down=1"))
    dropouts = [float(row["params.dropout"]) for row in one_arm]
    assert dropouts == sorted(dropouts, reverse=True)
    assert all(row["trial"].startswith("B") for row in one_arm)
    complete = rows(get(f"{PAGE}/trials.csv?state=complete"))
    scores = [float(row["validation_accuracy"]) for row in complete]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_trials_file_is_a_formula(trials: list[Trial], start: str) -> None:
    evil = f'{start}HYPERLINK("https://evil.example")'
    parameters = encode({evil: evil, "loss": -1.5})
    Trial.objects.filter(pk=trials[0].pk).update(failure_reason=evil, parameters=parameters)
    raw = get(f"{PAGE}/trials.csv").decode()
    found = {row["trial"]: row for row in csv.DictReader(io.StringIO(raw, newline=""))}["A0"]
    assert found["failure_reason"] == f"'{evil}"
    assert found[f"params.{evil}"] == f"'{evil}"
    assert found["params.loss"] == "-1.5", "a number is no formula"


def test_a_trials_file_is_read_in_few_queries_whatever_its_length(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=12)
    arms = arms_of(experiment.pk)
    with django_assert_max_num_queries(3):
        found = list(exported_trials(experiment, arms, TrialFilter(), ()))
    assert len(found) == 24


def test_a_stranger_gets_no_trials(trials: list[Trial]) -> None:
    client = Client()
    client.force_login(cast.person("dan"))
    assert client.get(f"{PAGE}/trials.csv").status_code == 404


def test_points_of_an_earlier_attempt_are_exported_too_and_marked(trials: list[Trial]) -> None:
    taken_over = trials[1]
    newest = taken_over.attempt + 1
    Trial.objects.filter(pk=taken_over.pk).update(attempt=newest)
    cast.log(taken_over.pk, {"train_loss": np.array([0.5, 0.25])}, attempt=newest)
    name = next(iter(rows(get(f"{PAGE}/series.csv?trials={taken_over.pk}"))))["trial"]
    address = f"{PAGE}/series.csv?trials={taken_over.pk}&metric=train_loss"
    found = [(row["attempt"], row["on_curve"]) for row in rows(get(address))]
    assert found == [(str(newest), "true")] * 2 + [(str(newest - 1), "false")] * cast.EPOCHS
    raw = get(f"{PAGE}/series.parquet?trials={taken_over.pk}&from=60")
    table = pyarrow.parquet.read_table(io.BytesIO(raw)).to_pylist()
    assert {(row["trial"], row["step"]) for row in table} == {(name, 60)}
    assert {(row["attempt"], row["on_curve"]) for row in table} == {(newest - 1, False)}
