from __future__ import annotations

import json

import pytest
from django.test import Client

from experiments.decisions.queries import baseline_evidence
from experiments.decisions.queries import champion as champion_queries
from experiments.decisions.services import baselines, decisions
from experiments.design import configuration
from experiments.errors import Conflict, InvalidExperiment, NotAllowed, NotOpenYet, VerdictError
from experiments.models import (
    Decision,
    Environment,
    Experiment,
    Project,
    Replication,
    Study,
    Trial,
)
from experiments.models.trial import FailureKind, TrialState
from experiments.team.services import tokens
from experiments.trials.lifecycle.queries import trial_spec
from experiments.trials.lifecycle.services import experiment_code, experiments, queue
from experiments.verdict.decision_chain import first_previous_hash, sign, signed_fields
from experiments.verdict.evidence import evidence
from experiments.verdict.queries.chain_check import intact_log
from tests import cast

pytestmark = pytest.mark.django_db

FILE = """\
project: digits
experiment: baseline
goal: Where do we begin?
objective: workers.problems.digits:train
metrics:
  validation_accuracy: {official: true, direction: maximize, chance: 0.1}
search: {trials: 1, parallel: 2}
hyperparameters:
  learning_rate: {role: fixed, value: 0.001}
  hidden_units: {role: fixed, value: 64}
"""
KNOWN = {
    "objective": cast.OBJECTIVE,
    "parameters": {"learning_rate": 0.001, "hidden_units": 64},
    "scores": [0.94, 0.95, 0.945],
    "source": "wandb run 17, June",
    "reason": "In production since June.",
}


def started(text: str = FILE, *, seeds: int = 3, who: str = "cleo") -> Replication:
    project = Project.objects.filter(slug="digits").first() or cast.project()
    return baselines.start(access=cast.access(cast.person(who), project), text=text, seeds=seeds)


def finish(replication: Replication, *scores: float) -> None:
    runs = Trial.objects.filter(study__replication=replication).order_by("pair")
    for trial, score in zip(runs, scores, strict=True):
        Trial.objects.filter(pk=trial.pk).update(
            state=TrialState.COMPLETE, value=score, values=json.dumps([score])
        )


def recorded(*scores: float) -> Decision:
    replication = started()
    finish(replication, *(scores or (0.95, 0.951, 0.949)))
    return baselines.record(
        access=cast.access("ada", replication), replication=replication, reason="Simple and fast."
    )


def test_one_configuration_runs_over_fresh_seeds_and_nothing_is_searched() -> None:
    replication = started()
    runs = list(Trial.objects.all())
    assert len(runs) == 3 and {run.configuration_id for run in runs} == {replication.candidate_id}
    assert len({seed for run in runs for seed in (run.train_seed, run.split_seed)}) == 6
    assert replication.experiment.pk == Experiment.objects.get(state="finished", budget=0).pk
    parameters = json.loads(replication.candidate.document)["parameters"]
    assert parameters == {"learning_rate": 0.001, "hidden_units": 64}


def test_the_code_of_a_baseline_is_known_once_its_first_replicate_begins() -> None:
    replication = started()
    before = replication.candidate
    first = Trial.objects.order_by("pk")[0]
    assert trial_spec.read(first.pk).lacks_code
    for code in ("a" * 64, "b" * 64):  # a second replicate does not declare it anew
        experiment_code.complete_baseline(trial_id=first.pk, code=code)
    replication.refresh_from_db()
    document = json.loads(replication.candidate.document)
    assert document == json.loads(before.document) | {"code": "a" * 64}
    assert {run.configuration_id for run in Trial.objects.all()} == {replication.candidate_id}
    assert not trial_spec.read(first.pk).lacks_code


def test_a_worker_takes_its_seeds_and_only_those() -> None:
    replication = started(seeds=2)
    claims = [queue.claim(queue="cpu", worker_id=None) for _ in range(3)]
    studies = [claim and Study.objects.get(pk=claim.study_id).kind for claim in claims]
    assert studies == ["replication", "replication", None]
    fixed = {claim.configuration_id for claim in claims if claim}
    assert fixed == {replication.candidate_id}
    assert replication.experiment.studies.filter(kind="search").get().next_row == 0


def test_the_baseline_is_decision_0_and_the_champion_at_once() -> None:
    decision = recorded()
    assert (decision.sequence, decision.choice) == (0, "baseline")
    assert decision.previous_hash == first_previous_hash(decision.project_id)
    assert decision.hash == sign(signed_fields(Decision.objects.get()))
    found = champion_queries.champion(decision.project, intact_log(decision.project), "production")
    assert found == decision and found.candidate == decision.candidate
    document = json.loads(decision.evidence)
    assert [run["score"] for run in document["replicates"]["candidate"]] == [0.95, 0.951, 0.949]
    assert document["above_chance"]["status"] == "passed" and not document["entered_by_hand"]


def test_deployments_read_it_over_http(client: Client) -> None:
    decision = recorded()
    _, secret = tokens.create(user=cast.person("ben"), project=None, name="deploy")
    answer = client.get(
        "/api/v1/projects/digits/champion", headers={"Authorization": f"Bearer {secret}"}
    )
    told = answer.json()["decision"]
    assert (told["sequence"], told["choice"]) == (0, "baseline")
    assert told["hash"] == decision.hash
    assert "code" not in answer.json()["configuration"] and answer.json()["code"] == []


def test_deployments_read_the_digest_of_its_code_and_where_that_lies(client: Client) -> None:
    replication = started()
    first = Trial.objects.order_by("pk")[0]
    experiment_code.complete_baseline(trial_id=first.pk, code="a" * 64)
    replication.refresh_from_db()
    finish(replication, 0.95, 0.951, 0.949)
    packages = [{"name": "team", "digest": "a" * 64, "commit": "4f1c2e9", "folder": "src"}]
    place = json.dumps({"code": {"digest": "a" * 64, "packages": packages}})
    Trial.objects.update(environment=Environment.objects.create(digest="e", document=place))
    decision = baselines.record(
        access=cast.access("ada", replication), replication=replication, reason="Simple."
    )
    _, secret = tokens.create(user=cast.person("ben"), project=None, name="deploy")
    answer = client.get(
        "/api/v1/projects/digits/champion", headers={"Authorization": f"Bearer {secret}"}
    ).json()
    assert answer["configuration"]["code"] == "a" * 64
    assert (
        configuration.digest(configuration.canonical(**answer["configuration"]))
        == (answer["digest"])
    )
    (package,) = answer["code"]
    assert (package["commit"], package["folder"]) == ("4f1c2e9", "src")
    assert decision.candidate is not None and answer["digest"] == decision.candidate.digest


def test_the_next_decision_is_1_and_is_held_against_the_baseline() -> None:
    first = recorded()
    replication = cast.repeated(cast.finished_search(), done=10)
    assert replication.baseline == first.candidate and replication.against_champion
    gathered = evidence.evaluate(replication)
    second = decisions.record(
        access=cast.access("ada", replication.experiment),
        experiment=replication.experiment,
        choice="adopt",
        reason="It is better.",
        replication=replication,
        state=gathered.state,
    )
    assert (second.sequence, second.previous_hash) == (1, first.hash)


def test_a_baseline_at_chance_level_is_warned_of_but_can_be_entered() -> None:
    document = json.loads(recorded(0.09, 0.11, 0.10).evidence)
    assert document["above_chance"]["status"] == "fired"
    assert "hardly better than chance" in document["above_chance"]["title"]


def test_a_project_without_a_baseline_still_begins_with_decision_1() -> None:
    cast.project()
    cast.decided("wider", "reject", "No.", gain=-0.002)
    assert Decision.objects.get().sequence == 1
    later = recorded()
    assert (later.sequence, later.choice) == (2, "baseline")


def test_with_a_champion_there_is_no_second_beginning() -> None:
    recorded()
    again = FILE.replace("experiment: baseline", "experiment: again")
    with pytest.raises(Conflict, match="decision 0"):
        started(again)
    with pytest.raises(Conflict, match="decision 0"):
        baselines.enter_known(
            access=cast.access("ada", Project.objects.get()),
            **KNOWN,  # type: ignore[arg-type]
        )


def test_one_baseline_runs_at_a_time_and_another_may_follow_it() -> None:
    replication = started()
    again = FILE.replace("experiment: baseline", "experiment: again")
    with pytest.raises(Conflict, match="is running"):
        started(again)
    finish(replication, 0.1, 0.1, 0.1)
    assert started(again).experiment.name == "again"


def test_seeds_that_are_still_to_come_keep_the_log_closed() -> None:
    replication = started()
    with pytest.raises(NotOpenYet, match="no outcome yet"):
        baselines.record(
            access=cast.access("ada", replication), replication=replication, reason="Now."
        )


def test_what_never_trains_is_no_baseline() -> None:
    replication = started()
    Trial.objects.update(state=TrialState.FAILED, failure_kind=FailureKind.INFEASIBLE)
    assert baseline_evidence.evaluate(replication).complete
    with pytest.raises(NotOpenYet, match="does not train"):
        baselines.record(
            access=cast.access("ada", replication), replication=replication, reason="Now."
        )


def test_something_to_search_is_named() -> None:
    searched = FILE.replace("{role: fixed, value: 64}", "{role: nuisance, choices: [32, 64]}")
    with pytest.raises(InvalidExperiment) as raised:
        started(searched)
    assert [problem.where for problem in raised.value.problems] == ["hyperparameters.hidden_units"]
    assert not Experiment.objects.exists()


@pytest.mark.parametrize("seeds", [0, 1, 1001])
def test_a_number_of_seeds_that_cannot_be_is_refused(seeds: int) -> None:
    with pytest.raises(VerdictError) as raised:
        started(seeds=seeds)
    assert raised.value.problems[0].where == "seeds" and not Experiment.objects.exists()


def test_editors_run_a_baseline_and_approvers_enter_it() -> None:
    replication = started()
    finish(replication, 0.9, 0.91, 0.92)
    with pytest.raises(NotAllowed, match="approver"):
        baselines.record(
            access=cast.access("cleo", replication), replication=replication, reason="Now."
        )
    with pytest.raises(NotAllowed, match="editor"):
        started(FILE.replace("experiment: baseline", "experiment: b"), who="ben")


def test_a_model_from_before_is_entered_with_its_known_scores_and_says_so() -> None:
    project = cast.project()
    decision = baselines.enter_known(
        access=cast.access("ada", project),
        chance=0.1,
        **KNOWN,  # type: ignore[arg-type]
    )
    document = json.loads(decision.evidence)
    assert (decision.sequence, decision.experiment, decision.replication) == (0, None, None)
    assert document["entered_by_hand"] and document["source"] == "wandb run 17, June"
    assert document["above_chance"]["status"] == "passed"
    assert Decision.objects.crowning(project) == decision


def test_it_runs_again_beside_a_candidate() -> None:
    project = cast.project()
    known = baselines.enter_known(
        access=cast.access("ada", project),
        **KNOWN,  # type: ignore[arg-type]
    )
    replication = cast.repeated(cast.finished_search(), done=0)
    rows = Trial.objects.filter(study__replication=replication, configuration=known.candidate)
    assert rows.count() == 10


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"objective": "os:system"}, "objective"),
        ({"parameters": {}}, "parameters"),
        ({"parameters": {"rate": float("nan")}}, "parameters"),
        ({"parameters": {"rate": [1]}}, "parameters"),
        ({"scores": []}, "scores"),
        ({"scores": [float("inf")]}, "scores"),
        ({"source": " "}, "source"),
        ({"reason": " "}, "reason"),
        ({"chance": float("nan")}, "chance"),
    ],
)
def test_what_is_wrong_with_a_known_baseline_is_named(
    change: dict[str, object], where: str
) -> None:
    project = cast.project()
    with pytest.raises(VerdictError) as raised:
        baselines.enter_known(
            access=cast.access("ada", project),
            **(KNOWN | change),  # type: ignore[arg-type]
        )
    assert raised.value.problems[0].where == where and not Decision.objects.exists()


def test_a_finished_baseline_does_not_start_a_search_later() -> None:
    replication = started()
    finish(replication, 0.9, 0.91, 0.92)
    experiments.advance(replication.experiment_id)
    assert queue.claim(queue="cpu", worker_id=None) is None
