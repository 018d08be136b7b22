"""MLflow's REST protocol, call by call as its clients make them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments.models import (
    ApiToken,
    Configuration,
    Experiment,
    LatestMetric,
    Membership,
    Project,
    SealedScore,
    SeriesBatch,
    Study,
    Trial,
)
from experiments.models.trial import FailureKind, StudyKind, TrialState
from experiments.tracking.api.mlflow_call import MOST_EXPERIMENTS
from experiments.tracking.services import mlflow_experiments as services
from experiments.trials.lifecycle.services import editing, run_ends
from experiments.trials.table import filter_language
from tests import cast
from tests.cast.tracker import START, Tracker

pytestmark = pytest.mark.django_db
_OF_TRANSACTIONS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")


@pytest.fixture
def tracker() -> Tracker:
    cast.project()
    return Tracker()


def trial_of(run: str) -> Trial:
    return Trial.objects.select_related("study__experiment").get(run_id=run)


def test_an_experiment_is_made_found_renamed_archived_and_brought_back(tracker: Tracker) -> None:
    status, code, _ = tracker.refused(
        "experiments/get-by-name", method="GET", experiment_name="from lightning"
    )
    assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
    key = tracker.experiment(tags=[{"key": "team", "value": "vision"}])
    held = tracker.get("experiments/get", experiment_id=key)["experiment"]
    assert held["name"] == "from lightning" and held["lifecycle_stage"] == "active"
    assert held["tags"] == [{"key": "team", "value": "vision"}]
    assert tracker.refused("experiments/create", name="from lightning")[:2] == (
        400, "RESOURCE_ALREADY_EXISTS",
    )  # fmt: skip
    tracker.post("experiments/update", experiment_id=key, new_name="from hugging face")
    tracker.post("experiments/set-experiment-tag", experiment_id=key, key="team", value="text")
    named = tracker.get("experiments/get-by-name", experiment_name="from hugging face")
    assert named["experiment"]["tags"] == [{"key": "team", "value": "text"}]
    tracker.post("experiments/delete", experiment_id=key)
    assert tracker.post("experiments/search")["experiments"] == []
    gone = tracker.post("experiments/search", view_type="DELETED_ONLY")["experiments"]
    assert [run["lifecycle_stage"] for run in gone] == ["deleted"]
    assert tracker.refused("runs/create", experiment_id=key)[0] == 400
    tracker.post("experiments/restore", experiment_id=key)
    assert tracker.post("experiments/search")["experiments"][0]["experiment_id"] == key


def test_a_name_that_no_address_can_hold_is_kept_and_has_a_page(tracker: Tracker) -> None:
    key = tracker.experiment("/Shared/räuber: 1")
    named = tracker.get("experiments/get-by-name", experiment_name="/Shared/räuber: 1")
    assert named["experiment"]["experiment_id"] == key
    assert named["experiment"]["name"] == "/Shared/räuber: 1"
    experiment = Experiment.objects.get(pk=key)
    browser = Client()
    browser.force_login(cast.person("cleo"))
    page = browser.get(f"/projects/digits/experiments/{experiment.name}/")
    assert page.status_code == 200


def test_a_new_name_takes_the_place_of_the_one_that_no_address_can_hold(tracker: Tracker) -> None:
    key = tracker.experiment("a/b: c")
    Study.objects.create(
        project_id=Project.objects.get().pk, experiment_id=int(key), kind=StudyKind.SEARCH,
        name=f"{Study.objects.get().name}/deleted", directions="minimize",
        deleted_at=cast.START,
    )  # fmt: skip
    running = tracker.run(key)
    experiment = Experiment.objects.get(pk=key)
    editing.rename(access=cast.access("cleo", experiment), experiment=experiment, name="plain")
    named = tracker.get("experiments/get", experiment_id=key)["experiment"]
    assert named["name"] == "plain"
    tracker.post("experiments/update", experiment_id=key, new_name="d/e")
    named = tracker.get("experiments/get-by-name", experiment_name="d/e")["experiment"]
    assert (named["experiment_id"], named["name"]) == (key, "d/e")
    experiment.refresh_from_db()
    before = f"digits/{experiment.name}"
    assert set(Study.objects.values_list("name", flat=True)) == {before, f"{before}/deleted"}
    assert tracker.read(running)["info"]["status"] == "RUNNING"
    tracker.experiment("taken")
    assert tracker.refused("experiments/update", experiment_id=key, new_name="taken")[:2] == (
        400, "RESOURCE_ALREADY_EXISTS",
    )  # fmt: skip


def test_an_experiments_note_is_its_notes(tracker: Tracker) -> None:
    key = tracker.experiment()
    tracker.post(
        "experiments/set-experiment-tag", experiment_id=key, key="mlflow.note.content", value="*x*"
    )
    assert Experiment.objects.get(pk=key).notes == "*x*"
    held = tracker.get("experiments/get", experiment_id=key)["experiment"]
    assert held["tags"] == [{"key": "mlflow.note.content", "value": "*x*"}]


def test_a_run_holds_what_was_logged_exactly(tracker: Tracker) -> None:
    run = tracker.run(
        tracker.experiment(), run_name="a run", user_id="cleo", start_time=START,
        tags=[{"key": "mlflow.source.name", "value": "train.py"}],
    )  # fmt: skip
    tracker.post("runs/log-parameter", run_id=run, key="lr", value="1e-3")
    tracker.param(run, **{"optimizer": "adam", "epochs": "60", "note": ""})
    tracker.log(run, "loss", 0.1 + 0.2, "NaN", "Infinity", "-Infinity")
    tracker.post(
        "runs/log-metric", run_id=run, key="loss", value=5e-324, timestamp=START, step=-(2**63)
    )
    tracker.post("runs/set-tag", run_uuid=run, key="team", value="vision")
    held = tracker.read(run)
    assert held["info"]["run_name"] == "a run" and held["info"]["start_time"] == START
    assert held["info"]["status"] == "RUNNING" and held["info"]["user_id"] == "cleo"
    told = {param["key"]: param["value"] for param in held["data"]["params"]}
    assert told == {"lr": "1e-3", "optimizer": "adam", "epochs": "60", "note": ""}
    assert {"key": "team", "value": "vision"} in held["data"]["tags"]
    points = tracker.get("metrics/get-history", run_id=run, metric_key="loss")["metrics"]
    assert [(point["step"], point["value"]) for point in points] == [
        (-(2**63), 5e-324), (0, 0.1 + 0.2), (1, "NaN"), (2, "Infinity"), (3, "-Infinity"),
    ]  # fmt: skip


def test_the_latest_value_is_that_of_the_largest_step_then_of_the_latest_time(
    tracker: Tracker,
) -> None:
    run = tracker.run(tracker.experiment())
    for step, time, value in ((3, 5, 0.3), (1, 9, 0.1), (3, 7, 0.7), (3, 6, 0.6), (3, 7, 0.5)):
        tracker.post(
            "runs/log-metric", run_id=run, key="acc", value=value, step=step, timestamp=time
        )
    assert tracker.metrics(run) == {"acc": 0.7}
    points = tracker.get("metrics/get-history", run_id=run, metric_key="acc")["metrics"]
    assert len(points) == 5


def test_a_point_that_is_sent_twice_is_read_once(tracker: Tracker) -> None:
    run = tracker.run(tracker.experiment())
    tracker.log(run, "loss", 0.5, "NaN")
    tracker.log(run, "loss", 0.5, "NaN")
    points = tracker.get("metrics/get-history", run_id=run, metric_key="loss")["metrics"]
    assert [point["value"] for point in points] == [0.5, "NaN"]


def test_a_history_comes_in_pages(tracker: Tracker) -> None:
    run = tracker.run(tracker.experiment())
    tracker.log(run, "loss", *range(10))
    first = tracker.get("metrics/get-history", run_id=run, metric_key="loss", max_results=6)
    rest = tracker.get(
        "metrics/get-history", run_id=run, metric_key="loss", max_results=6,
        page_token=first["next_page_token"],
    )  # fmt: skip
    values = [point["value"] for point in first["metrics"] + rest["metrics"]]
    assert values == list(range(10)) and "next_page_token" not in rest


def test_a_parameter_does_not_change(tracker: Tracker) -> None:
    run = tracker.run(tracker.experiment())
    tracker.param(run, lr="0.1", seed="3")
    tracker.param(run, lr="0.1", seed="3")
    for name in ("lr", "seed"):
        _, code, message = tracker.refused("runs/log-parameter", run_id=run, key=name, value="4")
        assert code == "INVALID_PARAMETER_VALUE" and "Changing param values" in message


def test_a_refused_batch_logs_nothing(tracker: Tracker) -> None:
    run = tracker.run(tracker.experiment())
    tracker.param(run, lr="0.1")
    point = {"key": "loss", "value": 1, "timestamp": START, "step": 0}
    status, _, _ = tracker.refused(
        "runs/log-batch", run_id=run, metrics=[point], params=[{"key": "lr", "value": "0.2"}]
    )
    assert status == 400 and tracker.metrics(run) == {}
    assert not SeriesBatch.objects.exists()


def test_a_run_ends_as_it_says_and_is_scored_by_the_metric_of_its_project(
    tracker: Tracker,
) -> None:
    key = tracker.experiment()
    ended = {}
    for status in ("FINISHED", "FAILED", "KILLED"):
        run = ended[status] = tracker.run(key)
        tracker.log(run, "validation_accuracy", 0.5, 0.9, 0.7)
        info = tracker.end(run, status)["run_info"]
        assert (info["status"], info["end_time"]) == (status, START + 60_000)
    trial = trial_of(ended["FINISHED"])
    assert (trial.state, trial.value, trial.best_step) == (TrialState.COMPLETE, 0.9, 1)
    assert trial_of(ended["KILLED"]).failure_kind == FailureKind.CANCELLED
    experiment = Experiment.objects.get(pk=key)
    assert experiment.official_metric == "validation_accuracy"
    assert (experiment.best_value, experiment.complete_count, experiment.failed_count) == (
        0.9, 1, 2,
    )  # fmt: skip
    assert trial.configuration_id is not None


def test_the_metric_that_decides_is_named_later_and_scores_the_runs_that_there_are(
    tracker: Tracker,
) -> None:
    key = tracker.experiment()
    runs = [tracker.run(key) for _ in range(3)]
    for run, values in zip(runs, ([3, 1, 2], ["NaN", "NaN"], [0.5]), strict=True):
        tracker.log(run, "val_rmse", *values)
    for run in runs[:2]:
        tracker.end(run)
    experiment = Experiment.objects.get(pk=key)
    assert (experiment.official_metric, experiment.complete_count) == ("", 2)
    tag = {"experiment_id": key, "key": "verdict.official_metric"}
    tracker.post("experiments/set-experiment-tag", value="val_rmse", **tag)
    experiment.refresh_from_db()
    assert (experiment.official_metric, experiment.direction) == ("val_rmse", "minimize")
    assert (experiment.best_value, experiment.complete_count, experiment.failed_count) == (1, 1, 1)
    assert tracker.read(runs[1])["info"]["status"] == "FINISHED"
    assert trial_of(runs[2]).latest_value == 0.5
    assert tracker.refused("experiments/set-experiment-tag", value="other_loss", **tag)[0] == 400


def test_a_metric_tag_beside_blanks_hinders_no_other_tag(tracker: Tracker) -> None:
    key = tracker.experiment()
    tag = {"experiment_id": key, "key": "verdict.official_metric"}
    tracker.post("experiments/set-experiment-tag", value="val_rmse ", **tag)
    assert Experiment.objects.get(pk=key).official_metric == "val_rmse"
    tracker.post("experiments/set-experiment-tag", value=" val_rmse", **tag)
    assert tracker.refused("experiments/set-experiment-tag", value="other_loss", **tag)[0] == 400
    Experiment.objects.filter(pk=key).update(official_metric="another")
    tracker.post("experiments/set-experiment-tag", experiment_id=key, key="team", value="a")
    held = tracker.get("experiments/get", experiment_id=key)["experiment"]
    assert {"key": "team", "value": "a"} in held["tags"]


@pytest.mark.django_db(transaction=True)
def test_a_run_is_renamed_outside_any_transaction(tracker: Tracker) -> None:
    run = tracker.run(tracker.experiment(), run_name="before")
    assert tracker.post("runs/update", run_id=run, run_name="after")["run_info"]["run_name"] == (
        "after"
    )


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks no rows")
def test_what_is_logged_after_the_end_locks_the_experiment_before_its_run(
    tracker: Tracker,
) -> None:
    run = tracker.run(tracker.experiment())
    tracker.log(run, "validation_accuracy", 0.5)
    tracker.end(run)
    point = {"key": "validation_accuracy", "value": 1, "timestamp": START, "step": 9}
    with CaptureQueriesContext(connection) as asked:
        tracker.post(
            "runs/log-batch", run_id=run, metrics=[point], tags=[{"key": "a", "value": "b"}]
        )
    locks = [query["sql"] for query in asked if "FOR UPDATE" in query["sql"]]
    assert [sql.partition(" FROM ")[2].split('"')[1] for sql in locks[:2]] == [
        "experiments_experiment", "experiments_trial",
    ]  # fmt: skip


def test_a_run_may_go_on_after_its_end_and_is_counted_once(tracker: Tracker) -> None:
    key = tracker.experiment()
    run = tracker.run(key)
    tracker.log(run, "validation_accuracy", 0.5)
    tracker.end(run)
    tracker.post("runs/update", run_id=run, status="RUNNING")
    assert Experiment.objects.get(pk=key).complete_count == 0
    tracker.log(run, "validation_accuracy", 0.8, first=1)
    tracker.end(run)
    experiment = Experiment.objects.get(pk=key)
    assert (experiment.complete_count, experiment.best_value) == (1, 0.8)


def test_what_is_logged_after_the_end_counts(tracker: Tracker) -> None:
    key = tracker.experiment()
    run = tracker.run(key)
    tracker.log(run, "validation_accuracy", 0.5)
    tracker.end(run)
    tracker.log(run, "validation_accuracy", 0.9, first=1)
    assert tracker.read(run)["info"]["status"] == "FINISHED"
    assert tracker.metrics(run) == {"validation_accuracy": 0.9}
    assert Experiment.objects.get(pk=key).best_value == 0.9


def test_a_run_that_was_given_up_for_lost_goes_on_when_it_logs_again(tracker: Tracker) -> None:
    run = tracker.run(tracker.experiment())
    Trial.objects.update(heartbeat_at=cast.START)
    assert run_ends.fail_silent() == [trial_of(run).pk]
    assert tracker.read(run)["info"]["status"] == "FAILED"
    tracker.log(run, "validation_accuracy", 0.5)
    assert tracker.read(run)["info"]["status"] == "RUNNING"


def test_a_deleted_run_is_left_out_and_comes_back_under_its_number(tracker: Tracker) -> None:
    key = tracker.experiment()
    runs = [tracker.run(key, run_name=name) for name in ("good", "bad")]
    for run, value in zip(runs, (0.8, 0.9), strict=True):
        tracker.log(run, "validation_accuracy", value)
        tracker.end(run)
    tracker.post("runs/delete", run_id=runs[1])
    assert tracker.found(key) == ["good"]
    assert tracker.found(key, run_view_type="DELETED_ONLY") == ["bad"]
    assert sorted(tracker.found(key, run_view_type="ALL")) == ["bad", "good"]
    experiment = Experiment.objects.get(pk=key)
    assert (experiment.trial_count, experiment.best_value) == (1, 0.8)
    _, _, message = tracker.refused("runs/set-tag", run_id=runs[1], key="a", value="b")
    assert f"The run {runs[1]} must be in the 'active' state" in message
    tracker.post("runs/restore", run_id=runs[1])
    experiment.refresh_from_db()
    assert (experiment.trial_count, experiment.best_value) == (2, 0.9)
    assert trial_of(runs[1]).number == 1


def test_runs_that_differ_in_seeds_alone_are_of_one_configuration(tracker: Tracker) -> None:
    key = tracker.experiment()
    for seed, rate in (("1", "0.1"), ("2", "0.1"), ("1", "0.2")):
        run = tracker.run(key)
        tracker.param(run, random_state=seed, split_seed="7", lr=rate)
        tracker.end(run)
        params = {param["key"]: param["value"] for param in tracker.read(run)["data"]["params"]}
        assert params == {"random_state": seed, "split_seed": "7", "lr": rate}
    trials = Trial.objects.order_by("number")
    assert [trial.train_seed for trial in trials] == [1, 2, 1]
    assert {trial.split_seed for trial in trials} == {7}
    first, second, third = (trial.configuration_id for trial in trials)
    assert first == second != third
    assert json.loads(Configuration.objects.get(pk=first).document)["parameters"] == {"lr": 0.1}


def test_an_experiment_may_say_which_parameters_are_seeds(tracker: Tracker) -> None:
    key = tracker.experiment(tags=[{"key": "verdict.train_seed", "value": "fold, seed"}])
    run = tracker.run(key)
    tracker.param(run, fold="4", random_state="5")
    trial = trial_of(run)
    assert trial.train_seed == 4 and json.loads(trial.parameters) == {"random_state": 5}


def test_a_nested_run_knows_its_parent(tracker: Tracker) -> None:
    key = tracker.experiment()
    parent = tracker.run(key)
    child = tracker.run(key, tags=[{"key": "mlflow.parentRunId", "value": parent}])
    assert trial_of(child).parent == trial_of(parent)
    stranger = tracker.run(key, tags=[{"key": "mlflow.parentRunId", "value": "7"}])
    assert trial_of(stranger).parent is None


def test_datasets_are_kept_shown_and_searched(tracker: Tracker) -> None:
    key = tracker.experiment()
    run = tracker.run(key, run_name="with data")
    tracker.run(key, run_name="without")
    dataset = {"name": "digits", "digest": "abc", "source_type": "local", "source": "{}"}
    told = {"dataset": dataset, "tags": [{"key": "mlflow.data.context", "value": "training"}]}
    tracker.post("runs/log-inputs", run_id=run, datasets=[told])
    tracker.post("runs/log-inputs", run_id=run, datasets=[told])
    assert tracker.read(run)["inputs"]["dataset_inputs"] == [told]
    for text in ("dataset.name = 'digits'", "datasets.digest LIKE 'ab%'",
                 "dataset.context IN ('training', 'evaluation')"):  # fmt: skip
        assert tracker.found(key, text) == ["with data"]
    tracker.end(run)
    configuration = trial_of(run).configuration
    assert configuration is not None
    assert json.loads(configuration.document)["data"] == {"digits": "abc"}


def test_datasets_of_experiments_are_listed_once_for_whoever_may_see_them(
    tracker: Tracker,
) -> None:
    key = tracker.experiment()
    dataset = {"name": "digits", "digest": "abc", "source_type": "local", "source": "{}"}
    tags = [{"key": "mlflow.data.context", "value": "training"}]
    for _ in range(2):
        run = tracker.run(key)
        tracker.post("runs/log-inputs", run_id=run, datasets=[{"dataset": dataset, "tags": tags}])
    found = tracker.post("experiments/search-datasets", experiment_ids=[key])
    summary = {"experiment_id": key, "name": "digits", "digest": "abc", "context": "training"}
    assert found == {"dataset_summaries": [summary]}
    assert Tracker("dan", "").post("experiments/search-datasets", experiment_ids=[key]) == {
        "dataset_summaries": []
    }
    for named, words in (([], "at least one experiment_id"), (["1"] * 21, "more than 20")):
        refused = tracker.refused("experiments/search-datasets", experiment_ids=named)
        assert refused[:2] == (400, "INVALID_PARAMETER_VALUE") and words in refused[2]
    assert "parameter 'datasets'" in tracker.refused("runs/log-inputs", run_id=run)[2]


def test_histories_of_several_runs_come_in_the_order_of_their_ids(tracker: Tracker) -> None:
    key = tracker.experiment()
    runs = sorted(tracker.run(key) for _ in range(2))
    for run in runs:
        tracker.log(run, "loss", 3, 2, 1)
    ask = {"method": "GET", "metric_key": "loss"}
    found = tracker.get("metrics/get-history-bulk", run_id=runs[::-1], metric_key="loss")
    assert [(metric["run_id"], metric["value"]) for metric in found["metrics"]] == [
        (run, value) for run in runs for value in (3, 2, 1)
    ]
    again = [{"key": "loss", "value": 0, "timestamp": START + 9, "step": step} for step in (0, 1)]
    tracker.post("runs/log-batch", run_id=runs[1], metrics=again)
    of_steps = tracker.get("metrics/get-history-bulk-interval", run_ids=runs[1], metric_key="loss")
    assert [(metric["step"], metric["value"]) for metric in of_steps["metrics"]] == [
        (0, 3), (0, 0), (1, 2), (1, 0), (2, 1),
    ]  # fmt: skip
    one = tracker.get("metrics/get-history-bulk", run_id=runs[0], metric_key="loss")
    assert one["metrics"] == found["metrics"][:3]
    few = tracker.get("metrics/get-history-bulk", run_id=runs, metric_key="loss", max_results=4)[
        "metrics"
    ]
    assert few == found["metrics"][:4]
    for fields, words in (
        (ask, "at least one run_id"),
        ({**ask, "run_id": ["1"] * 101}, "more than 100 run_ids"),
        ({"method": "GET", "run_id": runs}, "must specify a metric_key"),
        ({**ask, "run_id": runs, "max_results": 0}, "at least 1"),
    ):
        status, code, message = tracker.refused("metrics/get-history-bulk", **fields)
        assert (status, code) == (400, "INVALID_PARAMETER_VALUE") and words in message
    stranger = Tracker("dan", "")
    assert stranger.refused("metrics/get-history-bulk", run_id=runs, **ask)[0] == 404


def test_test_scores_are_sealed_where_the_project_seals_them(tracker: Tracker) -> None:
    run = tracker.run(tracker.experiment())
    tracker.log(run, "test_accuracy", 0.7)
    assert tracker.metrics(run) == {}
    assert tracker.get("metrics/get-history", run_id=run, metric_key="test_accuracy") == {
        "metrics": []
    }
    assert SealedScore.objects.get().value == 0.7
    Project.objects.update(seals_test=False)
    run = tracker.run(tracker.experiment("open"))
    tracker.log(run, "test_accuracy", 0.7)
    assert tracker.metrics(run) == {"test_accuracy": 0.7}
    assert len(tracker.get("metrics/get-history", run_id=run, metric_key="test_accuracy")) == 1


@pytest.fixture
def searched(tracker: Tracker) -> tuple[Tracker, str]:
    """Three runs: low, high and none, which logged nothing."""
    key = tracker.experiment()
    for name, rate, loss in (("low", "0.1", 0.2), ("high", "1e-05", 0.8)):
        run = tracker.run(key, run_name=name, start_time=START)
        tracker.param(run, **{"lr": rate, "opt": "adam" if name == "low" else "SGD_x"})
        tracker.log(run, "val loss", loss)
        tracker.log(run, "bad", "NaN" if name == "low" else "Infinity")
        tracker.post("runs/set-tag", run_id=run, key="mlflow.x.y", value=f"50% {name}")
        tracker.end(run, "FINISHED" if name == "low" else "KILLED")
    tracker.run(key, run_name="none", start_time=START + 5)
    return tracker, key


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("metrics.`val loss` < 0.3", ["low"]),
        ("metric.\"val loss\" >= 0.2 and params.opt = 'adam'", ["low"]),
        ("metrics.`val loss` != 0.2", ["high"]),
        ("metrics.bad > 1e300", ["high"]),
        ("metrics.`val loss` IS NULL", ["none"]),
        ("params.lr = '1e-05'", ["high"]),
        ("params.lr = '0.00001'", []),
        ("parameters.lr != '0.1'", ["high"]),
        ("params.opt LIKE 'SGD_x'", ["high"]),
        ("params.opt LIKE 'sgd%'", []),
        ("params.opt ILIKE 'sgd%'", ["high"]),
        ("params.opt LIKE '*'", []),
        ("params.opt IN ('adam', 'other')", ["low"]),
        ("params.opt NOT IN ('adam')", ["high"]),
        ("params.none IS NOT NULL", []),
        ("tags.mlflow.x.y = '50% low'", ["low"]),
        ("tags.`mlflow.x.y` LIKE '50\\%%'", []),
        ("attributes.status = 'KILLED'", ["high"]),
        ("status IN ('RUNNING', 'FINISHED')", ["low", "none"]),
        ("status != 'RUNNING'", ["high", "low"]),
        ("run_name LIKE '%o%'", ["low", "none"]),
        (f"attributes.start_time > {START}", ["none"]),
        (f"start_time = {START}", ["high", "low"]),
        ("end_time IS NULL", ["none"]),
        ("run_id IN ('x', '0')", []),
        ("params.opt = 'adam' or (params.opt = 'SGD_x' and metrics.`val loss` < 0.5)", ["low"]),
        ("params.opt = ''' OR 1=1 --'", []),
        ("tags.`a'; DROP TABLE experiments_trial; --` = 'x'", []),
        ("", ["high", "low", "none"]),
    ],
)
def test_runs_are_searched_in_the_filter_language(
    searched: tuple[Tracker, str], text: str, names: list[str]
) -> None:
    tracker, key = searched
    assert sorted(tracker.found(key, text)) == names


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (["metrics.`val loss` ASC"], ["low", "high", "none"]),
        (["metrics.`val loss` DESC"], ["high", "low", "none"]),
        (["metrics.bad ASC"], ["high", "none", "low"]),
        (["params.lr"], ["high", "low", "none"]),
        (["attributes.start_time ASC", "run_name DESC"], ["low", "high", "none"]),
        (["tags.`mlflow.x.y` DESC"], ["low", "high", "none"]),
    ],
)
def test_runs_are_ordered_and_those_without_the_field_come_last(
    searched: tuple[Tracker, str], order: list[str], names: list[str]
) -> None:
    tracker, key = searched
    assert tracker.found(key, order_by=order) == names


@pytest.mark.parametrize(
    "text",
    [
        "metrics.loss = 'x'", "params.lr > 3", "foo.bar = 1", "metrics.", "metrics.x >", "a", "=",
        "attributes.nothing = 'x'", "status > 'A'", "run_id LIKE '%'", "params.a = 'x' AND",
        "params.a = 'x' params.b = 'y'", "((((", "tags.a IN ()", "tags.a IN ('x'",
        "dataset.x = 'y'",
        "tags.a LIKE '" + "%a" * 30 + "'", "(" * 500, "metrics.a > 1e", "'", "`", "\\",
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_read_is_refused_with_a_sentence(
    tracker: Tracker, text: str
) -> None:
    key = tracker.experiment()
    status, code, message = tracker.refused("runs/search", experiment_ids=[key], filter=text)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE") and len(message) > 15


@pytest.mark.parametrize(
    "text",
    [
        "params.a IN ({})", "params.a NOT IN ({})", "tags.a IN ({})", "status IN ({})",
        "run_id IN ({})", "dataset.name IN ({})",
    ],
)  # fmt: skip
def test_a_filter_of_as_many_values_as_are_taken_is_answered_and_one_of_more_refused(
    tracker: Tracker, text: str
) -> None:
    key = tracker.experiment()
    tracker.run(key, run_name="a")
    most = ["'x'"] * filter_language.MOST_VALUES
    assert tracker.found(key, text.format(",".join(most))) in ([], ["a"])
    status, code, message = tracker.refused(
        "runs/search", experiment_ids=[key], filter=text.format(",".join([*most, "'y'"]))
    )
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE") and "400 values" in message


@pytest.mark.parametrize("word", ["and", "or"])
@pytest.mark.parametrize("one", ["params.a = 'x'", "metrics.a IS NULL", "(params.a != 'x')"])
def test_the_comparisons_of_a_filter_are_counted(tracker: Tracker, one: str, word: str) -> None:
    key = tracker.experiment()
    text = f" {word} ".join([one] * filter_language.MOST_VALUES)
    assert tracker.found(key, text) in ([], [""])
    assert tracker.refused(
        "runs/search", experiment_ids=[key], filter=f"{text} {word} {one}"
    )[:2] == (400, "INVALID_PARAMETER_VALUE")  # fmt: skip


@pytest.mark.parametrize("call", ["runs/search", "logged-models/search"])
def test_a_search_names_no_more_experiments_than_are_taken(tracker: Tracker, call: str) -> None:
    tracker.post(call, experiment_ids=["1"] * MOST_EXPERIMENTS)
    status, _, message = tracker.refused(call, experiment_ids=["1"] * (MOST_EXPERIMENTS + 1))
    assert status == 400 and "at most 1000 experiments" in message


def test_a_search_comes_in_pages(searched: tuple[Tracker, str]) -> None:
    tracker, key = searched
    wanted = {"experiment_ids": [key], "max_results": 2, "order_by": ["run_name"]}
    first = tracker.post("runs/search", **wanted)
    rest = tracker.post("runs/search", **wanted, page_token=first["next_page_token"])
    names = [run["info"]["run_name"] for run in first["runs"] + rest["runs"]]
    assert names == ["high", "low", "none"] and "next_page_token" not in rest
    for token in ("x", base64.b64encode(b'{"offset": -1}').decode()):
        assert tracker.refused("runs/search", page_token=token)[0] == 400
    _, _, message = tracker.refused("runs/search", max_results=123456789)
    assert "Invalid value 123456789 for parameter 'max_results' supplied" in message


def test_experiments_are_searched_by_name_tag_and_time(tracker: Tracker) -> None:
    for name, value in (("a", "value"), ("ab", "vaLue"), ("Abc", "")):
        tracker.experiment(name, tags=[{"key": "key", "value": value}])

    def found(text: str, **more: Any) -> list[str]:
        rows = tracker.post("experiments/search", filter=text, **more)["experiments"]
        return [row["name"] for row in rows]

    assert found("name = 'a'") == ["a"]
    assert sorted(found("attribute.name LIKE 'a%'")) == ["a", "ab"]
    assert found("tags.key = 'value'") == ["a"]
    assert sorted(found("tag.key ILIKE '%alu%'")) == ["a", "ab"]
    assert found("creation_time > 0", order_by=["name DESC"]) == ["ab", "a", "Abc"]
    assert tracker.refused("experiments/search", filter="metrics.a > 1")[0] == 400


@pytest.mark.parametrize(
    ("call", "fields", "message"),
    [
        ("experiments/create", {}, "Missing value for required parameter 'name'"),
        ("experiments/create", {"name": 123}, "Invalid value 123 for parameter 'name'"),
        ("experiments/create", {"name": "x", "artifact_location": 9.0},
         "Invalid value 9.0 for parameter 'artifact_location'"),
        ("experiments/create", {"name": "x", "tags": "5"},
         'Invalid value "5" for parameter \'tags\''),
        ("experiments/create", {"name": "x" * 501}, "'name' exceeds the maximum length of 500"),
        ("runs/log-metric", {"run_id": 31, "key": "a", "value": 1, "timestamp": 1},
         "Invalid value 31 for parameter 'run_id' supplied"),
        ("runs/log-metric", {"run_id": None, "key": "a", "value": 1, "timestamp": 1},
         "Missing value for required parameter 'run_id'"),
        ("runs/log-metric", {"run_id": "r", "key": 31, "value": 1, "timestamp": 1},
         "Invalid value 31 for parameter 'key' supplied"),
        ("runs/log-metric", {"run_id": "r", "key": "a", "value": 1, "timestamp": 1, "step": "foo"},
         'Invalid value "foo" for parameter \'step\' supplied'),
        ("runs/log-metric", {"run_id": "r", "key": "a", "value": 1, "timestamp": "foo"},
         'Invalid value "foo" for parameter \'timestamp\' supplied'),
        ("runs/log-metric", {"run_id": "r", "value": 1, "timestamp": 1},
         "Missing value for required parameter 'key'"),
        ("runs/log-metric", {"run_id": "r", "key": "a", "value": 1, "timestamp": 2**63},
         "for parameter 'timestamp' supplied"),
        ("runs/log-metric", {"run_id": "r", "key": "../a", "value": 1, "timestamp": 1},
         "must not resolve to other names"),
        ("runs/log-parameter", {"run_id": "r", "key": "a", "value": "x" * 6001},
         "'Param value' exceeds the maximum length of 6000 characters"),
        ("runs/set-tag", {"run_id": "r", "key": "p", "value": 41},
         "Invalid value 41 for parameter 'value' supplied"),
        ("runs/log-batch", {"run_id": "r", "metrics": "foo"},
         'Invalid value "foo" for parameter \'metrics\' supplied'),
        ("runs/log-batch", {"run_id": "r", "metrics": [{"key": "mae", "value": 2.5}]},
         'Invalid value [{"key":"mae","value":2.5}] for parameter \'metrics\' supplied'),
        ("runs/log-batch",
         {"run_id": "r", "metrics": [{"key": "a", "value": 1, "timestamp": 1}] * 1001},
         "can contain at most 1000 metrics. Got 1001 metrics."),
        ("runs/log-batch", {"run_id": "r", "params": [{"key": "a", "value": "1"}] * 2},
         "Duplicate parameter keys have been submitted: ['a']"),
        ("runs/update", {"run_id": "r", "status": "DONE"}, "for parameter 'status' supplied"),
    ],
)  # fmt: skip
def test_wrong_fields_are_refused_in_the_words_that_clients_match_on(
    tracker: Tracker, call: str, fields: dict[str, Any], message: str
) -> None:
    status, code, told = tracker.refused(call, **fields)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE") and message in told


@pytest.mark.parametrize("key", ["9" * 5000, "\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_an_id_that_is_no_number_of_ours_is_not_found(tracker: Tracker, key: str) -> None:
    status, code, _ = tracker.refused("experiments/update", experiment_id=key, new_name="x")
    assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert tracker.post("logged-models/search", experiment_ids=[key]) == {"models": []}


def test_who_may_not_see_a_project_learns_nothing_of_it(tracker: Tracker) -> None:
    key = tracker.experiment()
    run = tracker.run(key)
    cast.project("speech")
    Membership.objects.filter(project__slug="speech").delete()
    Membership.objects.create(
        user=cast.person("dan"), project=Project.objects.get(slug="speech"), role="admin"
    )
    for dan in (Tracker("dan"), Tracker("dan", "speech"), Tracker("dan", "")):
        for call, fields in (
            ("experiments/get", {"experiment_id": key, "method": "GET"}),
            ("runs/get", {"run_id": run, "method": "GET"}),
            ("metrics/get-history", {"run_id": run, "metric_key": "a", "method": "GET"}),
            ("runs/log-metric", {"run_id": run, "key": "a", "value": 1, "timestamp": 1}),
            ("runs/log-batch", {"run_id": run}),
            ("runs/delete", {"run_id": run}),
            ("runs/create", {"experiment_id": key}),
            ("experiments/delete", {"experiment_id": key}),
            ("experiments/set-experiment-tag", {"experiment_id": key, "key": "a", "value": "b"}),
        ):
            assert dan.refused(call, **fields)[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    assert Tracker("dan", "").found(key) == []
    assert Tracker("dan", "speech").found(key) == []
    assert Tracker("dan", "").post("experiments/search")["experiments"] == []


def test_a_token_does_what_its_scope_and_its_owners_role_allow(tracker: Tracker) -> None:
    key = tracker.experiment()
    run = tracker.run(key)
    reader = Tracker(scopes=("read",))
    viewer = Tracker("ben", scopes=("read", "write"))
    assert reader.read(run) == viewer.read(run)
    point = {"run_id": run, "key": "a", "value": 1, "timestamp": 1}
    for other in (reader, viewer):
        assert other.refused("runs/log-metric", **point)[:2] == (403, "PERMISSION_DENIED")
        assert other.refused("runs/create", experiment_id=key)[0] == 403
        assert other.refused("experiments/create", name="x")[0] == 403
        assert other.refused("experiments/delete", experiment_id=key)[0] == 403


def test_a_token_may_be_the_password_of_any_user_name(tracker: Tracker) -> None:
    tracker.experiment()
    pair = base64.b64encode(f"whoever:{tracker.secret}".encode()).decode()
    for told, status in ((f"Basic {pair}", 200), ("Basic x", 401), ("", 401), ("Bearer x", 401)):
        answer = tracker.client.post(
            f"{tracker.base}experiments/search", "{}", "application/json",
            headers={"Authorization": told},
        )  # fmt: skip
        assert answer.status_code == status


def test_no_browser_is_asked_for_a_password_nor_heard_on_behalf_of_another_site(
    tracker: Tracker,
) -> None:
    files = tracker.base.replace("mlflow/", "mlflow-artifacts/artifacts")
    for method, path in (("POST", f"{tracker.base}experiments/search"), ("GET", files)):
        answer = tracker.client.generic(method, path, "{}", "text/plain")
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        headers = {"Authorization": f"Bearer {tracker.secret}", "Sec-Fetch-Site": "cross-site"}
        answer = tracker.client.generic(method, path, "{}", "text/plain", headers=headers)
        assert answer.status_code == 403
        assert json.loads(answer.content)["error_code"] == "PERMISSION_DENIED"
    assert ApiToken.objects.get().last_used_at is None


def test_what_is_not_offered_says_so(tracker: Tracker) -> None:
    for call in (
        "traces/search", "prompts/create", "gateway/routes", "webhooks", "label-schemas/create",
        "prompt-optimization/jobs", "review-queues/create", "workspaces",
    ):  # fmt: skip
        status, code, message = tracker.refused(call)
        assert (status, code) == (501, "NOT_IMPLEMENTED") and "not offered" in message
    assert tracker.refused("nothing/here")[:2] == (404, "ENDPOINT_NOT_FOUND")


def test_at_the_bare_address_the_names_first_part_is_the_project(tracker: Tracker) -> None:
    bare = Tracker(slug="")
    key = bare.experiment("digits/from lightning")
    assert Experiment.objects.get(pk=key).project.slug == "digits"
    named = bare.get("experiments/get-by-name", experiment_name="digits/from lightning")
    assert named["experiment"]["name"] == "digits/from lightning"
    assert tracker.get("experiments/get", experiment_id=key)["experiment"]["name"] == (
        "from lightning"
    )
    status, code, message = bare.refused("experiments/create", name="anything")
    assert (status, code) == (403, "PERMISSION_DENIED") and "tracking URI" in message


def test_at_the_bare_address_experiments_are_searched_and_renamed_as_they_are_shown(
    tracker: Tracker,
) -> None:
    cast.project("speech")
    bare = Tracker(slug="")
    key = bare.experiment("digits/foo")
    bare.experiment("digits/x: y")

    def found(text: str, **more: Any) -> list[str]:
        rows = bare.post("experiments/search", filter=text, **more)["experiments"]
        return [row["name"] for row in rows]

    assert found("name = 'digits/foo'") == ["digits/foo"] and found("name = 'foo'") == []
    assert found("name LIKE 'digits/x%'") == ["digits/x: y"]
    assert found("", order_by=["name"]) == ["digits/foo", "digits/x: y"]
    bare.post("experiments/update", experiment_id=key, new_name="digits/bar")
    assert Experiment.objects.get(pk=key).name == "bar"
    assert found("name = 'digits/bar'") == ["digits/bar"]
    status, _, message = bare.refused("experiments/update", experiment_id=key, new_name="speech/b")
    assert status == 400 and "digits/" in message
    bare.post("experiments/update", experiment_id=key, new_name="baz")
    assert found("name = 'digits/baz'") == ["digits/baz"]
    tracker.post("experiments/update", experiment_id=key, new_name="digits/bar")
    assert tracker.post("experiments/search", filter="name = 'digits/bar'")["experiments"]


def test_a_program_whose_default_experiment_another_makes_meanwhile_takes_that_one(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, create = [], services.create

    def late(**fields: Any) -> Experiment:
        made.append(create(**fields))
        return create(**fields)

    monkeypatch.setattr(services, "create", late)
    run = tracker.run("0")
    assert trial_of(run).study.experiment == made[0]


def test_a_program_that_names_no_project_gets_one_of_its_own() -> None:
    root = cast.person("root", is_superuser=True)
    bare = Tracker(root.get_username(), slug="")
    run = bare.run("0")
    project = Project.objects.get()
    assert (project.slug, project.official_metric, project.seals_test) == ("mlflow", "", False)
    bare.log(run, "test_accuracy", 0.5)
    bare.end(run)
    assert bare.metrics(run) == {"test_accuracy": 0.5}
    assert trial_of(run).study.experiment is not None
    browser = Client()
    browser.force_login(root)
    for page in ("/", "/projects/mlflow/", "/projects/mlflow/experiments/Default/",
                 "/projects/mlflow/experiments/Default/trials/0/"):  # fmt: skip
        assert browser.get(page).status_code == 200, page


def test_logging_asks_the_database_little_and_writes_a_row_for_each_request(
    tracker: Tracker,
) -> None:
    run = tracker.run(tracker.experiment())
    tracker.log(run, "loss", 1.0)
    point = {"run_id": run, "key": "loss", "value": 0.5, "timestamp": START, "step": 5}
    with CaptureQueriesContext(connection) as asked:
        tracker.post("runs/log-metric", **point)
    # Token and run are read; sign of life, latest value and flush are written in one message
    # where the database takes several statements in one.
    messages = [query["sql"] for query in asked if query["sql"].split()[0] not in _OF_TRANSACTIONS]
    assert len(messages) == (3 if connection.vendor == "postgresql" else 5), messages
    before = SeriesBatch.objects.count()
    tracker.log(run, "loss", *range(1000), first=6)
    assert SeriesBatch.objects.count() == before + 1
    assert LatestMetric.objects.count() == 1
