from __future__ import annotations

import datetime as dt
import gzip
import json
import math
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import Experiment, SealedScore, SeriesBatch, Trial
from experiments.models.trial import FailureKind, TrialState
from experiments.models.trial_encoding import decode
from experiments.team.services import tokens
from experiments.trials.lifecycle.services import experiments, queue, run_ends
from experiments.trials.series.queries import series
from tests import cast

pytestmark = pytest.mark.django_db
RUNS = "/api/v1/runs"


class Program:
    """An external program with a token."""

    def __init__(
        self, who: str = "cleo", scopes: tuple[str, ...] = ("write",), **more: Any
    ) -> None:
        self.client = Client()
        _, self.secret = tokens.create(
            user=cast.person(who), name="laptop", scopes=scopes, **({"project": None} | more)
        )

    def post(self, address: str, body: Any, **headers: str) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {self.secret}", **headers}
        answer = self.client.post(address, raw, content_type="application/json", headers=given)
        return answer.status_code, json.loads(answer.content)

    def get(self, address: str) -> tuple[int, Any]:
        answer = self.client.get(address, headers={"Authorization": f"Bearer {self.secret}"})
        return answer.status_code, json.loads(answer.content)

    def create(self, **more: Any) -> int:
        body = {"project": "digits", "experiment": "from a laptop", **more}
        status, answer = self.post(RUNS, body)
        assert status in (200, 201), answer
        run_id: int = answer["id"]
        return run_id

    def log(self, run_id: int, batch: int, *points: tuple[int, dict[str, Any]]) -> Any:
        calls = [{"step": step, "metrics": metrics} for step, metrics in points]
        status, answer = self.post(f"{RUNS}/{run_id}/points", {"batch": batch, "points": calls})
        assert status == 200, answer
        return answer

    def finish(self, run_id: int, **more: Any) -> Any:
        status, answer = self.post(f"{RUNS}/{run_id}/finish", more)
        assert status == 200, answer
        return answer


@pytest.fixture
def program() -> Program:
    cast.project()
    return Program()


def test_a_run_from_anywhere_is_recorded_from_its_start_to_its_score(program: Program) -> None:
    run_id = program.create(
        params={"learning_rate": 0.01, "layers": 3, "optimizer": "adam", "nesterov": True},
        train_seed=11,
        split_seed=12,
        goal="Does it run on my laptop?",
        tags=["laptop"],
        commit="4f1c2e9",
        data={"name": "digits", "version": "1"},
    )
    program.log(run_id, 0, (1, {"train_loss": 0.5, "validation_accuracy": 0.8}))
    trial = Trial.objects.get()
    assert (trial.latest_value, trial.latest_step, trial.state) == (0.8, 1, TrialState.RUNNING)
    program.log(run_id, 1, (2, {"validation_accuracy": 0.9}), (3, {"validation_accuracy": 0.7}))
    assert program.finish(run_id) == {"state": "complete", "value": 0.9}
    trial.refresh_from_db()
    assert (trial.state, trial.value, trial.best_step) == (TrialState.COMPLETE, 0.9, 2)
    assert (trial.train_seed, trial.split_seed, trial.evaluations) == (11, 12, 3)
    assert json.loads(trial.parameters)["optimizer"] == "adam"
    assert trial.configuration is not None
    assert json.loads(trial.configuration.document)["commit"] == "4f1c2e9"
    experiment = Experiment.objects.get()
    assert (experiment.goal, experiment.objective) == ("Does it run on my laptop?", "")
    assert (experiment.state, experiment.complete_count) == ("finished", 1)
    assert (experiment.best_value, experiment.best_trial_id) == (0.9, trial.pk)
    curves = series.read([trial.pk])[trial.pk]
    assert curves["validation_accuracy"].values.tolist() == [0.8, 0.9, 0.7]
    assert SeriesBatch.objects.count() == 1  # joined when the run ended


def test_an_experiment_may_consist_of_such_runs_alone_and_no_worker_touches_them(
    program: Program,
) -> None:
    first, second = program.create(), program.create()
    assert queue.claim(queue="cpu", worker_id=None) is None
    assert queue.claimable("cpu") == 0
    assert queue.reap(stale_after=dt.timedelta(seconds=-1)) == []
    program.log(first, 0, (1, {"validation_accuracy": 0.5}))
    program.finish(first)
    experiment = Experiment.objects.get()
    assert (experiment.state, experiment.trial_count) == ("running", 1)
    program.finish(second, state="failed", reason="out of memory")
    experiment.refresh_from_db()
    assert (experiment.state, experiment.failed_count) == ("finished", 1)
    third = program.create()
    experiment.refresh_from_db()
    assert (experiment.state, experiment.finished_at) == ("running", None)
    assert Trial.objects.get(pk=third).number == 2


def test_the_same_batch_again_changes_nothing(program: Program) -> None:
    run_id = program.create()
    first = program.log(run_id, 0, (1, {"loss": 0.5, "test_accuracy": 0.25}))
    assert (first["stored"], first["late"], first["stop"]) == (True, False, False)
    program.log(run_id, 1, (2, {"test_accuracy": 0.75}))
    again = program.log(run_id, 0, (1, {"loss": 9.0, "test_accuracy": 0.1}))
    assert not again["stored"]
    assert series.read([run_id])[run_id]["loss"].values.tolist() == [0.5]
    assert SealedScore.objects.get().value == 0.75


def test_creating_again_with_the_same_key_makes_no_second_run(program: Program) -> None:
    assert program.create(key="a-1") == program.create(key="a-1") != program.create(key="a-2")
    assert Trial.objects.count() == 2
    assert Experiment.objects.get().budget == 2


def test_what_is_not_finite_goes_as_words_and_a_bad_value_ends_nothing(program: Program) -> None:
    run_id = program.create()
    answer = program.log(run_id, 0, (1, {"loss": "NaN", "norm": "-Infinity", "image": [1, 2]}))
    assert answer["points"] == 2
    assert [skipped["where"] for skipped in answer["skipped"]] == ["points.0.metrics.image"]
    curves = series.read([run_id])[run_id]
    assert math.isnan(curves["loss"].values[0])
    assert curves["norm"].values.tolist() == [-math.inf]


def test_test_scores_are_sealed_and_in_no_series(program: Program) -> None:
    run_id = program.create(metrics={"held_out": {"split": "test"}})
    program.log(run_id, 0, (1, {"test_accuracy": 0.125, "held_out": 0.25, "loss": 1.0}))
    assert list(series.read([run_id])[run_id]) == ["loss"]
    assert set(SealedScore.objects.values_list("name", "value")) == {
        ("test_accuracy", 0.125),
        ("held_out", 0.25),
    }
    assert "0.125" not in json.dumps(program.get(f"{RUNS}/{run_id}"))


def test_what_a_metric_was_declared_as_stands(program: Program) -> None:
    program.create(metrics={"cost": {"split": "validation", "kind": "loss"}})
    program.create(metrics={"cost": {"split": "validation", "kind": "loss"}, "extra": None})
    status, answer = program.post(
        RUNS,
        {
            "project": "digits",
            "experiment": "from a laptop",
            "metrics": {"cost": {"split": "test"}},
        },
    )
    assert (status, answer["errors"][0]["where"]) == (409, "metrics.cost")


def test_gzip_is_accepted_and_a_bomb_is_refused(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = program.create()
    address, points = f"{RUNS}/{run_id}/points", [{"step": 1, "metrics": {"loss": 0.5}}]
    packed = gzip.compress(json.dumps({"batch": 0, "points": points}).encode())
    status, answer = program.post(address, packed, **{"Content-Encoding": "gzip"})
    assert (status, answer["stored"]) == (200, True)
    bomb = gzip.compress(b" " * (33 * 2**20))
    assert len(bomb) < 100_000
    for body, encoding, expected in (
        (bomb, "gzip", 413),
        (packed[:-5], "gzip", 400),
        (packed + packed, "gzip", 400),
        (b"no gzip", "gzip", 400),
        (packed, "br", 415),
        (b"x" * (3 * 2**20), "identity", 413),
    ):
        status, answer = program.post(address, body, **{"Content-Encoding": encoding})
        assert status == answer["status"] == expected, answer
        assert answer["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"5", b"[" * 200_000, b'{"batch": 0, "points": [{"ste']
)
def test_a_body_that_is_no_json_object_is_refused(program: Program, body: bytes) -> None:
    run_id = program.create()
    status, answer = program.post(f"{RUNS}/{run_id}/points", body)
    assert (status, answer["ok"]) == (400, False)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"batch": -1, "points": []}, "batch"),
        ({"points": [{"step": 1, "metrics": {}}]}, "batch"),
        ({"batch": 0, "points": {}}, "points"),
        ({"batch": 0, "points": [], "more": 1}, "more"),
        ({"batch": 0, "points": [{"step": "x", "metrics": {}}]}, "points.0.step"),
    ],
)
def test_bad_fields_are_named(program: Program, body: Any, where: str) -> None:
    run_id = program.create()
    status, answer = program.post(f"{RUNS}/{run_id}/points", body)
    assert (status, [error["where"] for error in answer["errors"]]) == (422, [where])


@pytest.mark.parametrize("value", [10**400, -(10**400), 2**1024])
def test_a_whole_number_beyond_all_doubles_is_refused_by_name(
    program: Program, value: int
) -> None:
    body = {"project": "digits", "experiment": "e", "params": {"lr": 0.1, "steps": value}}
    status, answer = program.post(RUNS, body)
    assert status == 422
    assert [error["where"] for error in answer["errors"]] == ["params.steps"]


@pytest.mark.parametrize("value", [2**53 + 1, 2**63, -(2**63), 10**300])
def test_a_whole_number_that_doubles_round_stays_exact(program: Program, value: int) -> None:
    run_id = program.create(params={"steps": value})
    assert decode(Trial.objects.get(pk=run_id).parameters)["steps"] == value


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"project": "nothing"}, 404),
        ({"experiment": "a/b"}, 422),
        ({"experiment": "new"}, 422),
        ({"params": {"x": [1]}}, 422),
        ({"train_seed": -1}, 422),
        ({"metrics": {"loss": {"split": "other"}}}, 422),
        ({"config_link": "javascript:alert(1)"}, 422),
        ({"key": "a b"}, 422),
    ],
)
def test_a_run_that_cannot_be_is_refused(
    program: Program, changes: dict[str, Any], status: int
) -> None:
    body = {"project": "digits", "experiment": "from a laptop", **changes}
    assert program.post(RUNS, body)[0] == status
    assert not Trial.objects.exists()


def test_only_an_editors_writing_token_of_the_project_may_log(program: Program) -> None:
    run_id = program.create()
    cast.project("fashion")
    body = {"project": "digits", "experiment": "from a laptop"}
    fashion = tokens.Project.objects.get(slug="fashion")
    for other, status in (
        (Program(scopes=("read",)), 403),
        (Program("dan"), 404),
        (Program("ben"), 403),
        (Program(project=fashion), 404),
    ):
        assert other.post(RUNS, body)[0] == status
        answered = other.post(f"{RUNS}/{run_id}/points", {"batch": 0, "points": []})[0]
        assert answered == status
        assert other.post(f"{RUNS}/{run_id}/finish", {})[0] == status
    nobody = Client().post(RUNS, json.dumps(body), content_type="application/json")
    assert nobody.status_code == 401


def test_a_trial_of_a_worker_takes_no_points_from_outside(program: Program) -> None:
    trial = Trial.objects.filter(study__experiment=cast.finished_search()).first()
    assert trial is not None
    assert program.post(f"{RUNS}/{trial.pk}/points", {"batch": 0, "points": []})[0] == 409
    body = {"project": "digits", "experiment": "label-smoothing"}
    assert program.post(RUNS, body)[0] == 409
    assert program.get(f"{RUNS}/{trial.pk}")[1]["state"] == "complete"
    for unknown in (10**9, 10**30):
        assert program.get(f"{RUNS}/{unknown}")[0] == 404


@pytest.mark.parametrize(
    ("logged", "told", "state", "kind"),
    [
        ([], {}, "complete", ""),  # without a score
        ([0.5], {"state": "terminated"}, "failed", FailureKind.LOST),
        (["NaN", "Infinity"], {}, "failed", FailureKind.INFEASIBLE),
        ([0.5], {"state": "pruned"}, "pruned", FailureKind.NONE),
        ([0.5], {"value": 0.75}, "complete", FailureKind.NONE),
        ([0.5], {"state": "failed", "reason": "out of memory"}, "failed", FailureKind.EXCEPTION),
    ],
)
def test_how_a_run_ends(
    program: Program, logged: list[Any], told: dict[str, Any], state: str, kind: str
) -> None:
    run_id = program.create()
    for step, value in enumerate(logged):
        program.log(run_id, step, (step, {"validation_accuracy": value}))
    answer = program.finish(run_id, **told)
    assert answer["state"] == state
    assert program.finish(run_id, **told)["state"] == state  # again, after an answer was lost
    trial = Trial.objects.get()
    assert trial.failure_kind == kind and trial.evaluations == max(len(logged), "value" in told)
    if "value" in told:
        assert (answer["value"], trial.best_step) == (0.75, None)
    if kind != FailureKind.NONE:
        assert trial.failure_reason


def test_a_run_that_has_ended_ends_no_other_way(program: Program) -> None:
    run_id = program.create()
    program.log(run_id, 0, (1, {"validation_accuracy": 0.5}))
    program.finish(run_id)
    status, answer = program.post(f"{RUNS}/{run_id}/finish", {"state": "failed"})
    assert (status, answer["ok"]) == (409, False)


def test_points_that_come_after_the_end_are_kept_and_marked(program: Program) -> None:
    run_id = program.create()
    program.log(run_id, 0, (1, {"validation_accuracy": 0.5}))
    program.finish(run_id)
    answer = program.log(run_id, 1, (2, {"validation_accuracy": 0.9, "test_accuracy": 0.9}))
    assert (answer["stored"], answer["late"]) == (True, True)
    assert series.read([run_id])[run_id]["validation_accuracy"].values.tolist() == [0.5]
    assert SeriesBatch.objects.filter(fenced=True).count() == 1
    assert not SealedScore.objects.exists()


def test_a_stopped_experiment_asks_its_programs_to_end_and_takes_no_new_runs(
    program: Program,
) -> None:
    run_id = program.create()
    experiments.stop(
        access=cast.access("ada", Experiment.objects.get()), experiment=Experiment.objects.get()
    )
    assert program.log(run_id, 0, (1, {"validation_accuracy": 0.5}))["stop"] is True
    status, _ = program.post(RUNS, {"project": "digits", "experiment": "from a laptop"})
    assert status == 409
    assert program.finish(run_id)["state"] == "complete"
    assert Experiment.objects.get().state == "stopped"


def test_a_program_that_is_not_heard_of_loses_its_run(program: Program) -> None:
    silent, alive = program.create(), program.create()
    hours = timezone.now() - dt.timedelta(hours=2)
    Trial.objects.update(heartbeat_at=hours)
    program.post(f"{RUNS}/{alive}/points", {})
    assert run_ends.fail_silent() == [silent]
    trial = Trial.objects.get(pk=silent)
    assert (trial.state, trial.failure_kind) == (TrialState.FAILED, FailureKind.LOST)
    assert Trial.objects.get(pk=alive).state == TrialState.RUNNING
    assert Experiment.objects.get().failed_count == 1


def test_the_pages_show_such_an_experiment(program: Program) -> None:
    run_id = program.create(params={"learning_rate": 0.01})
    program.log(run_id, 0, (1, {"train_loss": 0.5, "validation_accuracy": 0.8}))
    browser = Client()
    browser.force_login(cast.person("ben"))
    page = "/projects/digits/experiments/from%20a%20laptop/"
    for address in (page, f"{page}live/", f"{page}charts/?tab=axes", f"{page}trials/0/"):
        assert browser.get(address).status_code == 200, address
    program.finish(run_id)
    for address in ("/projects/digits/", page, f"{page}trials/0/", f"{page}seeds/"):
        assert browser.get(address).status_code == 200, address
