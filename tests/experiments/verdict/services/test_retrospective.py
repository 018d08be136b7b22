"""A verdict over runs that existed before anybody asked for it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from experiments.decisions.services import decisions
from experiments.errors import Conflict, NotOpenYet, VerdictError
from experiments.models import Decision, Experiment, Replication, Trial
from experiments.verdict.evidence.evidence import Evidence, evaluate
from experiments.verdict.queries.configuration_runs import repeated_configurations, repeated_tags
from experiments.verdict.services import outside_replicates, replications, retrospective
from tests import cast
from tests.experiments.tracking.api.test_runs import Program
from tests.experiments.verdict.api.test_replicates_from_outside import NAME, log, ran

pytestmark = pytest.mark.django_db
NOISE = (0.0, 0.001, 0.003, 0.002)


@pytest.fixture(scope="module")
def made_program(module_db: None) -> Program:
    cast.project()
    made = Program()
    for seed, noise in enumerate(NOISE):
        ran(made, 0.5, 0.85 + noise, rate=0.1, seed=seed)
        ran(made, 0.5, 0.80 + noise * 1.5, rate=0.2, seed=seed)
    return made


@pytest.fixture
def program(made_program: Program) -> Program:
    return copy.deepcopy(made_program)


def compare(candidate: int = 0, baseline: int = 1, **more: Any) -> Replication:
    experiment = Experiment.objects.get(name=NAME)
    found = repeated_configurations(experiment)
    return retrospective.compare(
        access=cast.access("cleo", experiment),
        experiment=experiment,
        candidate=found[candidate].id,
        baseline=found[baseline].id,
        **more,
    )


def read(replication: Replication) -> Evidence:
    return evaluate(Replication.objects.get(pk=replication.pk))


def decide(replication: Replication, choice: str, **more: Any) -> Decision:
    return decisions.record(
        access=cast.access("ada", replication.experiment),
        experiment=replication.experiment,
        choice=choice,
        reason="seen",
        replication=replication,
        state=read(replication).state,
        **more,
    )


def test_runs_under_common_seeds_are_compared_as_pairs_by_the_rules_of_the_verdict(
    program: Program,
) -> None:
    evidence = read(compare())
    verdict = evidence.verdict
    assert verdict is not None and verdict.paired and verdict.pairs == len(NOISE)
    assert verdict.outcome == "adopt"
    assert verdict.sentence.startswith("Retrospective, on this split, adopt: ")
    assert "fresh" not in verdict.sentence
    assert verdict.notes[0].startswith("Retrospective: the runs existed")
    assert evidence.document()["retrospective"] is True
    assert evidence.selection is None  # the run that won the search is one of those compared


def test_runs_without_common_seeds_are_two_samples_of_any_sizes(program: Program) -> None:
    for seed in range(50, 55):
        ran(program, 0.5, 0.7 + seed / 10_000, rate=0.3, seed=seed)
    verdict = read(compare(0, 2)).verdict
    assert verdict is not None and not verdict.paired
    assert (verdict.candidate_runs, verdict.baseline_runs) == (len(NOISE), 5)
    assert "4 candidate runs and 5 baseline runs" in verdict.sentence


def test_a_run_without_a_counterpart_is_left_out_of_the_pairs_and_counted(
    program: Program,
) -> None:
    ran(program, 0.5, 0.99, rate=0.1, seed=77)
    made = compare()
    assert made.picked_runs is not None and made.picked_runs.left_out == 1
    assert read(made).document()["pairs"] == len(NOISE)


def test_a_run_that_is_gone_takes_its_pair_along_and_shifts_no_other(program: Program) -> None:
    made = compare()
    assert made.picked_runs is not None
    gone = made.picked_runs.candidate[1]
    Replication.objects.filter(candidate_trial=gone).update(candidate_trial=None)
    Trial.objects.filter(pk=gone).delete()
    evidence = read(made)
    assert [run.pair for run in evidence.runs["candidate"]] == [0, 2, 3]
    assert [run.train_seed for run in evidence.runs["candidate"]] == [0, 2, 3]
    assert evidence.outcome == ""


def test_it_is_adopted_only_as_an_override(program: Program) -> None:
    made = compare()
    with pytest.raises(Conflict, match="retrospective"):
        decide(made, "adopt")
    assert not Decision.objects.exists()
    decision = decide(made, "adopt", override=True)
    assert decision.overrides_verdict and decision.override == "on a retrospective verdict"
    assert '"retrospective": true' in decision.evidence


def test_a_declared_replication_replaces_it_and_is_not_replaced_by_it(program: Program) -> None:
    compare()
    experiment = Experiment.objects.get(name=NAME)
    candidate, baseline = Trial.objects.order_by("pk")[:2]
    replications.declare(
        access=cast.access("cleo", experiment),
        experiment=experiment,
        candidate_trial=candidate,
        baseline_trial=baseline,
        looks=(3,),
    )
    with pytest.raises(Conflict, match="is open"):
        compare()


def test_nothing_is_run_for_it(program: Program) -> None:
    made = compare()
    access = cast.access("cleo", made.experiment)
    with pytest.raises(Conflict, match="existed before"):
        replications.add_extra_look(access=access, replication=made, pairs=5)
    with pytest.raises(Conflict, match="existed before"):
        replications.repeat_failed(access=access, replication=made)
    wanted = outside_replicates.ReplicateRequest(NAME, made.pk, "candidate")
    with pytest.raises(Conflict, match="existed before"):
        outside_replicates.claim(access=access, wanted=wanted)


def test_too_few_runs_one_configuration_twice_and_workers_experiments_are_refused(
    program: Program,
) -> None:
    run_id = program.create(params={"learning_rate": 0.4, "layers": 3}, train_seed=1)
    log(program, run_id, 0.6)
    lonely = Trial.objects.get(pk=run_id).configuration_id
    experiment = Experiment.objects.get(name=NAME)
    one = repeated_configurations(experiment)[0].id
    access = cast.access("cleo", experiment)

    def against(baseline: int) -> None:
        retrospective.compare(
            access=access, experiment=experiment, candidate=one, baseline=baseline
        )

    with pytest.raises(VerdictError, match="3 to 1000 ended runs"):
        against(lonely or 0)
    with pytest.raises(VerdictError, match="same configuration"):
        against(one)
    searched = cast.search()
    with pytest.raises(NotOpenYet, match="repeat candidate and baseline"):
        retrospective.compare(access=access, experiment=searched, candidate=one, baseline=one + 1)


@pytest.fixture
def tagged(program: Program) -> Experiment:
    """Runs of two configurations, tagged; a run that failed to end carries a tag as well."""
    for trial in Trial.objects.all():
        side = "new" if json.loads(trial.parameters)["learning_rate"] == 0.1 else "old"
        Trial.objects.filter(pk=trial.pk).update(
            user_attributes=json.dumps({"side": side, "pad": " "})
        )
    return Experiment.objects.get(name=NAME)


def by_tags(experiment: Experiment, candidate: str, baseline: str) -> Replication:
    return retrospective.compare(
        access=cast.access("cleo", experiment),
        experiment=experiment,
        candidate=candidate,
        baseline=baseline,
    )


def test_runs_of_two_tags_are_compared_by_the_same_rules(tagged: Experiment) -> None:
    assert [(found.tag, found.runs) for found in repeated_tags(tagged)] == [
        ("side=new", 4), ("side=old", 4),
    ]  # fmt: skip
    made = by_tags(tagged, "side=new", "side = old")
    assert made.picked_runs == compare().picked_runs
    verdict = read(made).verdict
    assert verdict is not None and verdict.paired and verdict.pairs == len(NOISE)
    assert verdict.sentence.startswith("Retrospective, on this split, adopt: ")


def test_tags_that_are_no_two_configurations_are_refused(
    program: Program, tagged: Experiment
) -> None:
    def refused(candidate: str, baseline: str) -> str:
        with pytest.raises(VerdictError) as error:
            by_tags(tagged, candidate, baseline)
        return " ".join((error.value.message, *map(str, error.value.problems)))

    assert "same tag" in refused("side=new", "side=new")
    assert "this tag has 0" in refused("side=new", "side=lost")
    Trial.objects.update(user_attributes=json.dumps({"side": "new", "all": "", "twice": "x"}))
    assert "run 0 carries both tags" in refused("side=new", "all")
    assert "has 2 configurations" not in refused("side=new", "twice")  # both come first
    for seed in range(20, 23):
        ran(program, 0.5, 0.9, rate=0.1, seed=seed)
    fresh = Trial.objects.filter(train_seed__gte=20)
    fresh.update(user_attributes=json.dumps({"later": ""}))
    assert "its runs have 2 configurations" in refused("side=new", "later")
    Trial.objects.filter(parameters__contains="0.2").update(user_attributes="{}")
    assert "have the same configuration" in refused("side=new", "later")


def test_the_page_and_the_api_take_tags(
    program: Program, tagged: Experiment, client: Client
) -> None:
    client.force_login(cast.person("ada"))
    page = reverse("seeds", args=["digits", NAME])
    assert "side=old · 4 runs" in client.get(page).content.decode()
    body = {"tags": "1", "candidate": "side=new", "baseline": "side=old"}
    client.post(reverse("seeds_existing", args=["digits", NAME]), body)
    assert "Retrospective, on this split, adopt" in client.get(page).content.decode()
    status, answer = program.post(
        f"/api/v1/projects/digits/experiments/{NAME}/repetitions",
        {"candidate": "side=old", "baseline": "side=new", "retrospective": True, "tags": True},
    )
    assert status == 201 and answer["replication"]["retrospective"] is True, answer


def test_the_seeds_page_offers_it_and_labels_what_it_says(
    program: Program, client: Client
) -> None:
    client.force_login(cast.person("ada"))
    page = reverse("seeds", args=["digits", NAME])
    assert "Compare runs that exist" in client.get(page).content.decode()
    found = repeated_configurations(Experiment.objects.get(name=NAME))
    body = {"candidate": found[0].id, "baseline": found[1].id}
    client.post(reverse("seeds_existing", args=["digits", NAME]), body)
    shown = client.get(page).content.decode()
    assert "Runs that existed before they were compared" in shown
    assert "Retrospective, on this split, adopt" in shown
    assert (
        '<td class="n">3</td><td class="n">\N{EN DASH}</td>' in shown
    )  # training seed 3, no split seed
    assert "each dot one run" in shown and "each dot one fresh seed" not in shown
    assert "Repeat over fresh seeds" in shown or "Declare it" in shown  # which replaces it
    decide_page = client.get(reverse("decide", args=["digits", NAME])).content.decode()
    assert ">retrospective</span>" in decide_page
    assert "Adopt on runs that existed before they were compared" in decide_page


def test_a_program_asks_for_it_over_the_api(program: Program) -> None:
    first, second = (str(trial.number) for trial in Trial.objects.order_by("pk")[:2])
    status, answer = program.post(
        f"/api/v1/projects/digits/experiments/{NAME}/repetitions",
        {"candidate": first, "baseline": second, "retrospective": True},
    )
    assert status == 201, answer
    assert answer["replication"]["retrospective"] is True
