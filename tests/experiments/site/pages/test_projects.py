from __future__ import annotations

import re

import numpy as np
import pytest
from click.testing import CliRunner
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from experiments.management.experiment_commands import experiment_group
from experiments.models import Experiment
from experiments.team.services import tokens
from experiments.trials.lifecycle.queries.progress import progress
from experiments.web.formatting import time_range
from tests import cast

pytestmark = pytest.mark.django_db


def test_nobody_sees_anything_without_logging_in(client: Client) -> None:
    project = cast.project()
    experiment = cast.search()
    for address in ("/", f"/projects/{project.slug}/", cast.address(experiment)):
        answer = client.get(address)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/login/?next=")


def test_the_first_page_lists_own_projects_only(client: Client) -> None:
    cast.project()
    cast.project("other").memberships.all().delete()
    client.force_login(cast.person("ben"))
    text = client.get("/").content.decode()
    assert "Digits" in text and "Other" not in text


def test_somebody_without_projects_reads_what_to_do(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("dan"))
    assert "No projects yet" in client.get("/").content.decode()


@pytest.mark.parametrize(
    "rest", ["", "members/", "decisions/", "experiments/new/", "decisions/1/"]
)
def test_a_stranger_gets_no_hint_that_a_project_exists(client: Client, rest: str) -> None:
    cast.project()
    client.force_login(cast.person("dan"))
    pages = []
    for slug in ("digits", "no-such"):
        answer = client.get(f"/projects/{slug}/{rest}")
        assert answer.status_code == 404
        text = re.sub(r'value="\w{64}"', "", answer.content.decode())  # a token that differs
        pages.append(text.replace(slug, ""))
    assert pages[0] == pages[1]


def test_an_empty_project_invites_the_first_question(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    assert "Create your first experiment" in client.get("/projects/digits/").content.decode()


def test_a_viewer_is_told_who_can_add_experiments(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    text = client.get("/projects/digits/").content.decode()
    assert "your role is viewer" in text
    assert "New experiment" not in text


def test_the_champion_stands_with_its_score_and_lineage(client: Client) -> None:
    cast.project()
    cast.decided("wider", "adopt", "It pays.")
    client.force_login(cast.person("ben"))
    text = client.get("/projects/digits/").content.decode()
    assert "mean ± SD of 10 fresh seeds" in text and "figure-lineage" in text
    assert "standard deviation over 10 seeds" in text
    assert "adopted" in text


def test_a_search_that_finds_nothing_says_so(client: Client) -> None:
    cast.project()
    cast.search()
    client.force_login(cast.person("ada"))
    text = client.get("/projects/digits/?q=zebra").content.decode()
    assert "Nothing matches" in text


def test_a_broken_address_is_no_error(client: Client) -> None:
    cast.project()
    cast.search()
    client.force_login(cast.person("ada"))
    for query in ("page=x", "page=-1", "page=999999999999", "state=none", "order='"):
        assert client.get(f"/projects/digits/?{query}").status_code == 200


def test_the_page_costs_the_same_at_ten_and_at_forty_experiments(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    cast.project()
    first = cast.search("first")
    same = ("project_id", "goal", "official_metric", "direction", "sampler", "created_by_id")
    fields = {name: getattr(first, name) for name in same}
    client.force_login(cast.person("ada"))
    client.get("/projects/digits/")  # checks the decision log, of which a process keeps the end
    for start, end in ((1, 10), (10, 40)):
        Experiment.objects.bulk_create(
            Experiment(name=f"e{n}", **fields) for n in range(start, end)
        )
        with django_assert_num_queries(17):
            client.get("/projects/digits/")


def test_every_page_the_api_and_the_command_line_tell_the_same_time_left(client: Client) -> None:
    cast.project()
    experiment = cast.running_search(done=10, trials_per_arm=12, recent=True)
    now = progress(experiment.pk)
    left = now.time_left
    assert left is not None and left.low < left.high
    words = time_range(left.low, left.high)
    client.force_login(cast.person("ada"))
    for address in ("/", "/projects/digits/"):
        assert f"{words} left" in client.get(address).content.decode()
    page = client.get(cast.address(experiment)).content.decode()
    assert f"<dt>time left</dt><dd>{words}</dd>" in page
    for line in (("list",), ("show", f"digits/{experiment.name}")):
        assert words in CliRunner().invoke(experiment_group, line, standalone_mode=False).output
    _, secret = tokens.create(
        user=cast.person("ada"), project=None, name="reads", scopes=("read",)
    )
    bearer = {"Authorization": f"Bearer {secret}"}
    listed = Client().get("/api/v1/projects/digits/experiments", headers=bearer).json()
    one = Client().get(f"/api/v1/projects/digits/experiments/{experiment.name}", headers=bearer)
    told = {"low": left.low, "high": left.high}
    assert one.json()["time_left"] == listed["experiments"][0]["time_left"] == told


def test_names_cannot_bring_markup_along(client: Client) -> None:
    cast.project()
    Experiment.objects.filter(pk=cast.search().pk).update(
        name="x", goal="<script>alert(1)</script>", notes="<img src=x onerror=alert(1)>"
    )
    client.force_login(cast.person("ada"))
    for address in ("/projects/digits/", "/projects/digits/experiments/x/"):
        text = client.get(address).content.decode()
        assert "<script>alert" not in text and "<img" not in text


def test_members_and_what_they_may_do_are_listed(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    text = client.get("/projects/digits/members/").content.decode()
    assert "ada" in text and ">you<" in text and "ask ada" in text


def test_the_first_page_shows_what_is_under_way_and_moves(client: Client) -> None:
    cast.project()
    experiment = cast.running_search(done=5)
    client.force_login(cast.person("ben"))
    answer = client.get("/")
    text = answer.content.decode()
    assert f"{experiment.name}</a>" in text and "10 of 48 trials" in text
    cursor = answer.context["cursor"]
    assert client.get(f"/under-way/?since={cursor}").status_code == 204
    study = experiment.studies.first()
    assert study is not None
    cast.finished_trial(study, 40, np.random.default_rng(1))
    news = client.get(f"/under-way/?since={cursor}").json()
    assert "11 of 48 trials" in news["parts"]["projects"] and news["again"]
    cast.end(experiment)
    news = client.get(f"/under-way/?since={news['since']}").json()
    assert not news["again"]


def test_a_failed_search_is_red_in_every_list(client: Client) -> None:
    cast.project()
    cast.failing_search()
    client.force_login(cast.person("ben"))
    chip = '<span class="chip bad">failed'
    for address in ("/", "/projects/digits/", "/projects/digits/?state=failed"):
        assert chip in client.get(address).content.decode(), address
    cast.search("another")
    assert "another" not in client.get("/projects/digits/?state=failed").content.decode()


def test_home_begins_with_the_inbox_and_its_buttons_go_by_role(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    cast.repeated(experiment, looks=(4,), done=4)
    button = f'<a class="btn small" href="{cast.address(experiment, "decide/")}"'
    client.force_login(cast.person("ada"))
    text = client.get("/").content.decode()
    assert button in text and "1 decision is due" in text and "4 seed pairs complete" in text
    client.force_login(cast.person("ben"))
    text = client.get("/").content.decode()
    assert button not in text and "waits for an approver" in text


def test_home_draws_the_champions_so_far_with_their_spread(client: Client) -> None:
    cast.project()
    cast.decided("wider", "adopt", "It pays.")
    cast.decide(cast.repeated(cast.finished_search("deeper"), looks=(10,)), "adopt")
    client.force_login(cast.person("ben"))
    text = client.get("/").content.decode()
    assert text.count('<svg class="spark"') == 1 and text.count('r="3.5"') == 1
    assert "Champions so far: 0.97" in text
    assert "ada, " in text, "who decided"
