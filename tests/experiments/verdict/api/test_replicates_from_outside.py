"""A verdict over runs that external programs log: declared, handed out, judged."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from experiments.errors import NotOpenYet
from experiments.models import Experiment, Replication, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import queue, run_ends
from experiments.verdict.evidence.evidence import Evidence, evaluate
from experiments.verdict.services import replications, variance
from tests import cast
from tests.experiments.tracking.api.test_runs import RUNS, Program

pytestmark = pytest.mark.django_db
NAME = "from a laptop"


def ran(program: Program, *accuracies: float, rate: float, seed: int = 1) -> int:
    run_id = program.create(params={"learning_rate": rate, "layers": 3}, train_seed=seed)
    log(program, run_id, *accuracies)
    return run_id


def log(program: Program, run_id: int, *accuracies: float, **ending: Any) -> None:
    points = [(step, {"validation_accuracy": value}) for step, value in enumerate(accuracies)]
    program.log(run_id, 0, *points)
    assert program.finish(run_id, **ending)["state"] == "complete"


@pytest.fixture(scope="module")
def made_program(module_db: None) -> Program:
    cast.project()
    made = Program()
    ran(made, 0.5, 0.9, rate=0.1, seed=1)
    ran(made, 0.5, 0.8, rate=0.2, seed=2)
    return made


@pytest.fixture
def program(made_program: Program) -> Program:
    return copy.deepcopy(made_program)


@pytest.fixture
def replication(program: Program) -> Replication:
    return declare()


def declare(looks: tuple[int, ...] = (3,), **more: Any) -> Replication:
    candidate, baseline = Trial.objects.order_by("pk")[:2]
    return replications.declare(
        access=cast.access("cleo", Experiment.objects.get(name=NAME)),
        experiment=Experiment.objects.get(name=NAME),
        candidate_trial=candidate,
        baseline_trial=baseline,
        looks=looks,
        **more,
    )


def take(program: Program, replication: Replication, side: str, **more: Any) -> tuple[int, Any]:
    body = {"project": "digits", "experiment": NAME, "replication": replication.pk, "side": side}
    return program.post(RUNS, body | more)


def taken(program: Program, replication: Replication, side: str, **more: Any) -> Any:
    status, answer = take(program, replication, side, **more)
    assert status == 201, answer
    return answer


def all_run(
    program: Program, replication: Replication, *, own_seeds: bool = False, gain: float = 0.05
) -> Evidence:
    for side, base in (("candidate", 0.8 + gain), ("baseline", 0.8)):
        for place, noise in enumerate((0.0, 0.001, 0.003)):
            seeds = {}
            if own_seeds:
                start = 100 if side == "candidate" else 200
                seeds = {"train_seed": start + place, "split_seed": start + 50 + place}
            made = taken(program, replication, side, **seeds)
            log(program, made["id"], base + noise * (2 if side == "baseline" else 1))
    return evaluate(Replication.objects.get(pk=replication.pk))


def test_a_program_is_handed_the_declared_seeds_and_parameters_pair_by_pair(
    program: Program, replication: Replication
) -> None:
    ours = [taken(program, replication, "candidate") for _ in range(3)]
    theirs = [taken(program, replication, "baseline") for _ in range(3)]
    assert [replicate["pair"] for replicate in ours] == [1, 2, 3]
    assert ours[0]["params"] == {"learning_rate": 0.1, "layers": 3}
    assert theirs[0]["params"] == {"learning_rate": 0.2, "layers": 3}
    seeds = [
        [(replicate["train_seed"], replicate["split_seed"]) for replicate in side]
        for side in (ours, theirs)
    ]
    assert seeds[0] == seeds[1]
    drawn = {seed for pair in seeds[0] for seed in pair}
    assert len(drawn) == 6 and not drawn & {1, 2}
    assert (ours[0]["official_metric"], ours[0]["side"]) == ("validation_accuracy", "candidate")


def test_replicates_from_outside_reach_a_paired_verdict_that_is_adopted(
    program: Program, replication: Replication
) -> None:
    evidence = all_run(program, replication)
    verdict = evidence.verdict
    assert verdict is not None
    assert (verdict.outcome, verdict.paired, verdict.finite_pairs) == ("adopt", True, 3)
    # Nobody said that the splits were varied.
    assert verdict.on_this_split and verdict.sentence.startswith("On this split")
    assert evidence.bounds == {"layers": 3}
    assert [parameter["name"] for parameter in evidence.varied] == ["learning_rate"]
    decision = cast.decide(evidence.replication, "adopt")
    assert decision.candidate == replication.candidate
    experiment = Experiment.objects.get()
    assert (experiment.trial_count, experiment.best_value) == (2, 0.9)  # of the search alone
    assert experiment.state == "finished"
    status, answer = take(program, replication, "candidate")
    assert status == 409 and "has been decided" in answer["error"]


def test_between_looks_nothing_is_judged_and_runs_made_before_never_count(
    program: Program, replication: Replication
) -> None:
    log(program, taken(program, replication, "candidate")["id"], 0.9)
    ran(program, 0.99, rate=0.1, seed=77)  # the candidate's parameters, but no replicate
    evidence = evaluate(replication)
    assert (evidence.verdict, evidence.open_runs) == (None, 5)
    assert [score for score in evidence.scores["candidate"] if score is not None] == [0.9]


def test_seeds_of_the_programs_own_make_the_sides_separate_samples(
    program: Program, replication: Replication
) -> None:
    verdict = all_run(program, replication, own_seeds=True).verdict
    assert verdict is not None
    assert (verdict.paired, verdict.outcome, verdict.pairs_won) == (False, "adopt", None)
    assert "share no seeds" in " ".join(verdict.notes)
    assert not verdict.on_this_split  # each named the split seed that it used


def test_common_seeds_of_the_programs_own_are_a_pair(
    program: Program, replication: Replication
) -> None:
    own = [{"train_seed": 100 + n, "split_seed": 200 + n} for n in range(3)]
    for seeds in own:
        log(program, taken(program, replication, "baseline", **seeds)["id"], 0.8)
    # In another order, and once without naming any: handed out is what the baseline ran with.
    found = [taken(program, replication, "candidate", **own[n]) for n in (2, 0)]
    found.append(taken(program, replication, "candidate"))
    assert [(replicate["pair"], replicate["train_seed"]) for replicate in found] == [
        (3, 102),
        (1, 100),
        (2, 101),
    ]
    for place, replicate in enumerate(found):
        log(program, replicate["id"], 0.85 + place / 1000)
    verdict = evaluate(replication).verdict
    assert verdict is not None and verdict.paired


@pytest.mark.parametrize(
    ("seeds", "field", "why"),
    [
        ({"train_seed": 2}, "train_seed", "chose the candidate"),
        ({"train_seed": 300}, "train_seed", "another replicate's"),
        ({"train_seed": 301, "split_seed": 400}, "split_seed", "another replicate's"),
    ],
)
def test_seeds_that_are_not_fresh_are_refused(
    program: Program, replication: Replication, seeds: dict[str, int], field: str, why: str
) -> None:
    taken(program, replication, "candidate", train_seed=300, split_seed=400)
    status, answer = take(program, replication, "candidate", **seeds)
    assert status == 409 and "fresh seeds" in answer["error"]
    assert [(error["where"], why in error["message"]) for error in answer["errors"]] == [
        (field, True)
    ]


def test_other_parameters_than_declared_are_refused_by_name(
    program: Program, replication: Replication
) -> None:
    status, answer = take(
        program, replication, "candidate", params={"learning_rate": 0.1, "layers": 4, "more": 1}
    )
    assert status == 409
    assert answer["errors"] == [
        {"where": "params.layers", "message": "expected 3, found 4"},
        {"where": "params.more", "message": "expected none, found 1"},
    ]
    taken(program, replication, "candidate", params={"layers": 3, "learning_rate": 0.1})


@pytest.mark.parametrize(
    ("more", "status", "why"),
    [
        ({"pair": 4}, 409, "All 3 replicates"),
        ({"pair": 1}, 409, "Replicate 1 of the candidate is taken"),
        ({"pair": 0}, 422, "pair"),
        ({"side": "both"}, 422, "side"),
        ({"replication": None}, 422, "replication"),
        ({"side": None}, 422, "side"),
        ({"metrics": {"x": {"kind": "loss"}}}, 422, "metrics"),
        ({"experiment": "another"}, 404, "no replication"),
        ({"replication": 2**62}, 404, "no replication"),
        ({"project": "faces"}, 404, "no project"),
    ],
)
def test_what_cannot_be_taken_says_why(
    program: Program, replication: Replication, more: dict[str, Any], status: int, why: str
) -> None:
    taken(program, replication, "candidate")
    body = {"project": "digits", "experiment": NAME, "side": "candidate"}
    found, answer = program.post(RUNS, body | {"replication": replication.pk} | more)
    assert found == status, answer
    assert why in str(answer)


def test_a_program_may_still_name_its_replication_by_the_former_word(
    program: Program, replication: Replication
) -> None:
    asked = {"project": "digits", "experiment": NAME, "side": "candidate"}
    status, made = program.post(RUNS, asked | {"repetition": replication.pk})
    assert status == 201 and made["pair"] == 1


def test_the_same_key_takes_the_same_replicate(program: Program, replication: Replication) -> None:
    first = taken(program, replication, "candidate", key="a")
    status, again = take(program, replication, "candidate", key="a")
    assert (status, again["id"], again["train_seed"]) == (200, first["id"], first["train_seed"])
    assert taken(program, replication, "candidate", key="b")["pair"] == 2


def test_an_accident_is_repeated_with_its_own_seeds_and_a_replicate_is_never_pruned(
    program: Program, replication: Replication
) -> None:
    first = taken(program, replication, "candidate", train_seed=300)
    status, answer = program.post(f"{RUNS}/{first['id']}/finish", {"state": "pruned"})
    assert status == 409 and "runs to its end" in answer["error"]
    program.finish(first["id"], state="failed", reason="out of memory")
    assert (
        replications.repeat_failed(
            access=cast.access("cleo", replication), replication=replication
        )
        == 1
    )
    status, answer = take(program, replication, "candidate", pair=1, train_seed=301)
    assert status == 409 and "its own seeds" in answer["error"]
    again = taken(program, replication, "candidate", pair=1)
    assert (again["train_seed"], again["split_seed"]) == (300, first["split_seed"])


def test_a_replicate_that_falls_silent_is_an_accident(
    program: Program, replication: Replication
) -> None:
    made = taken(program, replication, "candidate")
    Trial.objects.filter(pk=made["id"]).update(heartbeat_at=cast.START)
    Experiment.objects.update(stop_reason="all runs ended")
    assert run_ends.fail_silent() == [made["id"]]
    assert evaluate(replication).accidents == 1


def test_a_replicate_that_nobody_took_cannot_be_logged_to(
    program: Program, replication: Replication
) -> None:
    waiting = Trial.objects.filter(state=TrialState.WAITING)[0]
    for address in ("points", "finish"):
        status, answer = program.post(f"{RUNS}/{waiting.pk}/{address}", {})
        assert status == 409 and "is not claimed" in answer["error"]


def test_no_worker_claims_what_programs_outside_are_to_run(
    program: Program, replication: Replication
) -> None:
    assert queue.claimable("cpu") == 0
    assert queue.claim(queue="cpu", worker_id=None) is None
    with pytest.raises(NotOpenYet, match="cannot measure"):
        variance.measure(
            access=cast.access("cleo", replication.experiment),
            experiment=replication.experiment,
            purpose="training_seed",
        )


def test_workers_replicates_are_not_to_be_taken_by_programs() -> None:
    cast.project()
    replication = cast.repeated(cast.finished_search())
    status, answer = take(Program(), replication, "candidate", experiment="label-smoothing")
    assert status == 409 and "Workers run" in answer["error"]


def test_split_seeds_count_as_varied_when_the_program_says_so(
    program: Program, replication: Replication
) -> None:
    for side, score in (("candidate", 0.9), ("baseline", 0.8)):
        for place in range(3):
            made = taken(program, replication, side)
            value = score + place / (1000 if side == "baseline" else 900)
            log(program, made["id"], value, read_split_seed=True)
    verdict = evaluate(replication).verdict
    assert verdict is not None and verdict.paired and not verdict.on_this_split


def test_a_replication_is_read_without_scores_and_by_members_only(
    program: Program, replication: Replication
) -> None:
    made = taken(program, replication, "candidate")
    address = f"{RUNS}/repetitions/{replication.pk}"
    status, answer = program.get(address)
    assert status == 200
    assert (answer["pairs"], answer["looks"], answer["decided"]) == (3, [3], False)
    assert answer["baseline"] == {"learning_rate": 0.2, "layers": 3}
    states = {
        (replicate["side"], replicate["pair"]): replicate["state"]
        for replicate in answer["replicates"]
    }
    assert states["candidate", 1] == "running" and states["baseline", 1] == "waiting"
    runs_of = [replicate["run"] for replicate in answer["replicates"] if replicate["run"]]
    assert runs_of == [made["id"]]
    stranger = Program("dan")
    assert stranger.get(address)[0] == 404
    assert take(stranger, replication, "candidate")[0] == 404
    elsewhere = Program(project=cast.project("faces"))
    assert elsewhere.get(address)[0] == 404
    assert take(elsewhere, replication, "candidate")[0] == 404
    assert take(Program("ben"), replication, "candidate")[0] == 403
    assert take(Program(scopes=("read",)), replication, "candidate")[0] == 403


def test_a_champion_from_outside_bars_workers_with_the_reason(
    program: Program, replication: Replication
) -> None:
    all_run(program, replication)
    cast.decide(Replication.objects.get(), "adopt")
    searched = cast.finished_search()
    with pytest.raises(NotOpenYet, match="champion was logged by external programs"):
        replications.declare(
            access=cast.access("cleo", searched),
            experiment=searched,
            candidate_trial=Trial.objects.get(pk=searched.best_trial_id or 0),
        )


def test_tokens_of_another_project_do_not_reach_a_replicate(
    program: Program, replication: Replication
) -> None:
    made = taken(program, replication, "candidate")
    other = Program(project=cast.project("faces"))
    assert other.post(f"{RUNS}/{made['id']}/finish", {})[0] == 404
