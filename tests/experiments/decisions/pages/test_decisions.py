from __future__ import annotations

import csv
import io
import json

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from experiments.decisions.services import champions, decision_log
from experiments.models import Decision, Experiment, Trial
from tests import cast

pytestmark = pytest.mark.django_db


def read(client: Client, rest: str = "", name: str = "ben") -> str:
    client.force_login(cast.person(name))
    answer = client.get(f"/projects/digits/decisions{rest}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_empty_log_says_what_it_will_hold(client: Client) -> None:
    cast.project()
    assert "Nothing decided yet" in read(client, "/")


def test_the_log_is_searched_and_narrowed(client: Client) -> None:
    cast.project()
    cast.decided("wider", "adopt", "Twice the width pays.")
    cast.decided("drop", "reject", "Never again.", gain=-0.01)
    text = read(client, "/")
    assert "Twice the width pays." in text and "Never again." in text
    assert "Never again." not in read(client, "/?choice=adopt")
    assert "Twice the width" not in read(client, "/?q=never")
    assert "Nothing matches" in read(client, "/?q=zebra")


def test_a_decision_shows_only_what_was_frozen(client: Client) -> None:
    cast.project()
    experiment = cast.decided("wider", "adopt", "Twice the width pays.")
    before = read(client, "/1/")
    Trial.objects.filter(study__experiment=experiment).update(value=0.1, seconds=99999)
    cast.finding(experiment, title="A finding of later")
    after = read(client, "/1/")
    assert after.split("<main", 1)[1] == before.split("<main", 1)[1]
    assert "Twice the width pays." in after and "The evidence says adopt" in after
    assert "test_accuracy" not in after


def test_a_decision_without_seeds_is_never_called_a_verdict(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    client.force_login(cast.person("ada"))
    client.post(
        cast.address(experiment, "decide/record/"),
        {"choice": "dropped without seeds", "reason": "Not worth it."},
    )
    text = read(client, "/1/")
    assert "there is no verdict" in text and "evidence says" not in text


def test_a_decision_is_downloaded_as_markdown(client: Client) -> None:
    cast.project()
    cast.decided("wider", "adopt", "Twice the width pays.")
    client.force_login(cast.person("ben"))
    answer = client.get("/projects/digits/decisions/1.md")
    text = answer.content.decode()
    assert answer.headers["Content-Type"].startswith("text/markdown")
    for words in ("# Digits, decision 1: adopt", "Twice the width", "| pair |", "hash `"):
        assert words in text, words
    assert "The evidence says adopt" in text


def test_the_whole_log_is_exported_and_no_cell_is_a_formula(client: Client) -> None:
    cast.project()
    cast.decided("wider", "adopt", "=HYPERLINK(1)")
    client.force_login(cast.person("ben"))
    text = client.get("/projects/digits/decisions.csv").content.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0]["reason"] == "'=HYPERLINK(1)"
    assert rows[0]["choice"] == "adopt"
    assert float(rows[0]["gain"]) > 0


def test_the_log_is_narrowed_to_a_target(client: Client) -> None:
    of = cast.project(targets=["production", "staging"])
    cast.decided("wider", "adopt", "Twice the width pays.")
    assert "Twice the width" in read(client, "/?target=production")
    assert "Nothing matches" in read(client, "/?target=staging")
    assert of.targets == ["production", "staging"]


def test_the_whole_log_is_exported_as_json_lines_with_its_evidence(client: Client) -> None:
    cast.project()
    cast.decided("wider", "adopt", "Twice the width pays.")
    cast.decided("drop", "reject", "Never again.", gain=-0.01)
    client.force_login(cast.person("ben"))
    answer = client.get("/projects/digits/decisions.jsonl")
    lines = [json.loads(line) for line in answer.getvalue().decode().splitlines()]
    assert [line["sequence"] for line in lines] == [1, 2]
    assert lines[1]["previous_hash"] == lines[0]["hash"]
    assert lines[0]["evidence"]["verdict"]["outcome"] == "adopt"


def test_a_decision_against_the_verdict_is_marked_everywhere(client: Client) -> None:
    cast.project()
    cast.decided("wider", "reject", "It needs twice the memory.")
    assert Decision.objects.get().overrides_verdict
    assert "against the verdict" in read(client, "/")
    assert "against the verdict" in read(client, "/1/")
    assert "against the verdict" in read(client, "/1.md")
    [row] = csv.DictReader(io.StringIO(read(client, ".csv")))
    assert row["override"] == "against the verdict"
    line = client.get("/projects/digits/decisions.jsonl").getvalue()
    assert json.loads(line)["overrides_verdict"] is True


def test_a_revert_stands_in_the_log_with_the_evidence_it_rests_on(client: Client) -> None:
    project = cast.project()
    cast.decided("wider", "adopt", "Twice the width pays.")
    second = cast.finished_search("deeper", trials_per_arm=2)
    cast.decide(cast.repeated(second, looks=(10,)), "adopt", "Deeper is better.")
    champions.revert(
        access=cast.access("ada", project),
        target="production",
        to=1,
        current=2,
        reason="Latency doubled.",
    )
    assert "revert" in read(client, "/") and "Latency doubled." in read(client, "/?choice=revert")
    assert "Latency doubled." in read(client, "/3/") and "decision 3: revert" in read(
        client, "/3.md"
    )


def test_a_search_is_dropped_once(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    client.force_login(cast.person("ada"))
    told = {"choice": "dropped without seeds", "reason": "Not worth it."}
    address = cast.address(experiment, "decide/record/")
    client.post(address, told)
    again = client.post(address, told, follow=True).content.decode()
    assert "ada decided this already: dropped without seeds" in again
    assert Decision.objects.count() == 1 and Experiment.objects.count() == 1


def test_a_decision_that_was_not_made_is_not_found(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ada"))
    assert client.get("/projects/digits/decisions/7/").status_code == 404
    assert client.get("/projects/digits/decisions/7.md").status_code == 404


def test_the_log_costs_the_same_at_one_and_at_many(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    experiment = cast.finished_search(trials_per_arm=2)

    def add(count: int) -> None:
        for _ in range(count):
            decision_log.append(
                project=experiment.project,
                access=cast.access("ada"),
                experiment=experiment,
                choice="dropped without seeds",
                reason="again",
                target="production",
                evidence="{}",
                candidate=None,
            )

    add(10)
    client.get("/projects/digits/decisions/")  # walks the chain, which is then remembered
    with django_assert_num_queries(7):
        client.get("/projects/digits/decisions/")
    add(30)
    client.get("/projects/digits/decisions/")
    with django_assert_num_queries(7):
        client.get("/projects/digits/decisions/")
