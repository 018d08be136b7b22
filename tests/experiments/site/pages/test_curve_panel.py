from __future__ import annotations

import copy
import json
import re
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from django.test import Client

from experiments.models import Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.series.queries.curves import MOST_POINTS
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def made_search(module_db: None) -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=6)


@pytest.fixture
def search(made_search: Experiment) -> Experiment:
    return copy.deepcopy(made_search)


@pytest.fixture
def viewer(client: Client, search: Experiment) -> Client:
    client.force_login(cast.person("ben"))
    return client


def traces(client: Client, experiment: Experiment, **query: str) -> list[dict[str, Any]]:
    text = client.get(cast.address(experiment, "charts/"), query).content.decode()
    found = re.search(
        r'<script type="application/json" id="figure-curves">(.*?)</script>', text, re.S
    )
    data: list[dict[str, Any]] = json.loads(found[1])["data"] if found else []
    return data


def drawn(data: list[dict[str, Any]]) -> set[int]:
    return {trace["meta"]["trial"] for trace in data if "trial" in trace["meta"]}


def ranked(experiment: Experiment, **arm: int) -> list[int]:
    rows = Trial.objects.filter(study__experiment=experiment, value__isnull=False, **arm)
    return list(rows.order_by("-value", "number").values_list("pk", flat=True))


def test_the_best_trials_are_drawn_as_many_as_the_address_says(
    viewer: Client, search: Experiment
) -> None:
    assert drawn(traces(viewer, search)) == set(ranked(search)[:3])
    assert drawn(traces(viewer, search, trials="best-10")) == set(ranked(search)[:10])


def test_an_arm_is_drawn_with_its_pruned_and_failed_trials_marked(
    viewer: Client, search: Experiment
) -> None:
    arm = search.studies.get(arm_index=1)
    pruned, failed = arm.trials.order_by("number")[:2]
    Trial.objects.filter(pk=pruned.pk).update(state=TrialState.PRUNED)
    Trial.objects.filter(pk=failed.pk).update(state=TrialState.FAILED, value=None)
    data = traces(viewer, search, trials="arm-1", metric="loss")
    assert drawn(data) == set(arm.trials.values_list("pk", flat=True))
    marks = {(e["meta"]["trial"], e["meta"]["mark"]) for e in data if "mark" in e["meta"]}
    assert {(pruned.pk, "pruned"), (failed.pk, "failed")} <= marks
    symbols = {e["meta"]["mark"]: e["marker"]["symbol"] for e in data if "mark" in e["meta"]}
    assert len(set(symbols.values())) == 3


def test_trials_that_were_ticked_are_drawn(viewer: Client, search: Experiment) -> None:
    two = ranked(search)[4:6]
    assert drawn(traces(viewer, search, trials=",".join(map(str, two)))) == set(two)


@pytest.mark.parametrize("asked", ["best-0", "best-x", "arm-9", "arm--1", "seeds-", "nonsense"])
def test_an_address_that_says_nothing_known_draws_the_best(
    viewer: Client, search: Experiment, asked: str
) -> None:
    assert drawn(traces(viewer, search, trials=asked)) == set(ranked(search)[:3])


def test_seeds_are_drawn_as_a_mean_with_its_band_over_single_lines(
    viewer: Client, search: Experiment
) -> None:
    cast.repeated(search, looks=(3, 6), done=3)
    data = traces(viewer, search, trials="seeds", metric="accuracy")
    means = [trace for trace in data if "mean" in trace["meta"] and trace.get("name")]
    assert {trace["name"] for trace in means} == {"candidate, mean", "baseline, mean"}
    assert all(set(trace["customdata"]) == {3} for trace in means)
    assert sum("trial" in trace["meta"] for trace in data) == 6
    assert len([trace for trace in data if trace.get("fill") == "tonexty"]) == 2
    single = {trace["line"]["color"] for trace in data if "trial" in trace["meta"]}
    assert single == {trace["line"]["color"] for trace in means}


def test_seeds_are_not_shown_between_looks(viewer: Client, search: Experiment) -> None:
    replication = cast.repeated(search, looks=(3, 6), done=3)
    one = Trial.objects.replicates_of(replication).first()
    assert one is not None
    Trial.objects.filter(pk=one.pk).update(state=TrialState.RUNNING)
    query = {"trials": "seeds"}
    text = viewer.get(cast.address(search, "charts/"), query).content.decode()
    assert "looking earlier would bias the verdict" in text
    assert "figure-curves" not in text


def test_the_epochs_that_a_program_logged_are_an_axis(viewer: Client, search: Experiment) -> None:
    trial = Trial.objects.get(pk=ranked(search)[0])
    cast.log(trial.pk, {"epoch": np.array([0.0, 3.0])}, first_batch=60, first_step=1, batches=1)
    text = viewer.get(cast.address(search, "charts/"), {"trials": str(trial.pk)}).content.decode()
    assert '<option value="epoch">' in text
    line = next(e for e in traces(viewer, search, trials=str(trial.pk)) if "line" in e)
    assert line["meta"]["epochs"][:2] == [0.0, 3.0]
    assert '<option value="epoch">' not in viewer.get(
        cast.address(search, "charts/"), {"trials": str(ranked(search)[1])}
    ).content.decode()  # fmt: skip


def test_what_is_drawn_can_be_downloaded(viewer: Client, search: Experiment) -> None:
    text = viewer.get(cast.address(search, "charts/"), {"metric": "loss"}).content.decode()
    links = re.findall(r'href="([^"]*series\.\w+\?[^"]*)"', text)
    queries = [parse_qs(link.partition("?")[2].replace("&amp;", "&")) for link in links]
    ids = {str(trial_id) for trial_id in ranked(search)[:3]}
    assert all(set(query["trials"][0].split(",")) == ids for query in queries)
    assert all(set(e["metric"]) == {"train_loss", "validation_loss"} for e in queries)
    assert [query.get("points") for query in queries] == [None, None, ["600"]]
    for link in links:
        answer = viewer.get(link.replace("&amp;", "&"))
        assert answer.status_code == 200 and answer.getvalue()


def test_a_closer_look_brings_the_points_that_were_left_out(
    viewer: Client, search: Experiment
) -> None:
    trial = Trial.objects.get(pk=ranked(search)[0])
    values = np.random.default_rng(0).normal(size=5000)
    cast.log(trial.pk, {"validation_noise": values}, first_batch=60, first_step=100)
    data = traces(viewer, search, trials=str(trial.pk), metric="noise")
    assert len(data[0]["x"]) <= MOST_POINTS
    address = cast.address(search, "curves/")
    query = {"trials": str(trial.pk), "metric": "validation_noise", "from": "200", "to": "399"}
    closer = viewer.get(address, query).json()
    (line,) = (trace for trace in closer["traces"][0]["figure"] if "line" in trace)
    assert line["x"] == list(range(200, 400))
    assert line["y"] == pytest.approx(values[100:300], rel=1e-5)
    assert closer["words"] == "All 200 points shown"
    name = f"{'AB'[trial.study.arm_index]}{trial.number}"
    of_one = viewer.get(address, {**query, "trials": "", "of": name}).json()
    assert of_one == closer


def test_a_closer_look_shows_no_test_scores_and_nothing_to_strangers(
    viewer: Client, search: Experiment
) -> None:
    trial = ranked(search)[0]
    cast.log(trial, {"test_accuracy": np.ones(3)}, first_batch=60, batches=1)
    address = cast.address(search, "curves/")
    query = {"trials": str(trial), "metric": "test_accuracy"}
    assert viewer.get(address, query).json()["traces"][0]["figure"] == []
    viewer.force_login(cast.person("dan"))
    assert viewer.get(address, query).status_code == 404


def test_a_trials_page_shows_what_it_took_of_its_machine(
    viewer: Client, search: Experiment
) -> None:
    trial = Trial.objects.get(pk=ranked(search)[0])
    taken = {"system/cpu_percent": np.full(5, 90.0), "system/gpu0_memory_mb": np.full(5, 800.0)}
    cast.log(trial.pk, taken, first_batch=60, batches=1)
    name = f"{'AB'[trial.study.arm_index]}{trial.number}"
    text = viewer.get(cast.address(search, f"trials/{name}/")).content.decode()
    assert text.count("data-beside-curves") == 2
    assert "CPU, %" in text and "GPU 0 memory, MiB" in text


def test_a_trials_page_keeps_what_an_earlier_attempt_had_shown(
    viewer: Client, search: Experiment
) -> None:
    trial = Trial.objects.get(pk=ranked(search)[0])
    Trial.objects.filter(pk=trial.pk).update(attempt=2)
    cast.log(trial.pk, {"validation_loss": np.array([0.5, 0.4])}, attempt=2, first_step=1)
    name = f"{'AB'[trial.study.arm_index]}{trial.number}"
    text = viewer.get(cast.address(search, f"trials/{name}/?metric=loss")).content.decode()
    found = re.search(r'id="figure-curves">(.*?)</script>', text, re.S)
    assert found is not None
    lines = {e["name"]: e for e in json.loads(found[1])["data"] if e["showlegend"]}
    assert lines[name]["x"] == [1, 2]
    assert len(lines["attempt 1, taken over"]["x"]) == cast.EPOCHS
