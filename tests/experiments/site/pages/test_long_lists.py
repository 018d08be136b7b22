"""Pages of lists that have grown: a page of them is read and shown, by as many queries as ever."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.design.queries.experiments import get_experiment
from experiments.design.queries.finding_counts import FindingCounts, count_findings
from experiments.models import (
    ApiToken,
    Artifact,
    Decision,
    Experiment,
    ExperimentTag,
    Finding,
    Invitation,
    Membership,
    Project,
    RunsView,
    SharedLink,
    Trial,
    Webhook,
    Worker,
)
from experiments.site.queries import projects
from experiments.trials.findings.queries.findings import findings_of
from tests import cast

pytestmark = pytest.mark.django_db

P = "/projects/digits/"
PAGES = (
    "/",
    "/account/messages/",
    "/account/tokens/",
    "/workers/",
    f"{P}members/",
    f"{P}tokens/",
    f"{P}sharing/",
    f"{P}webhooks/",
    f"{P}experiments/label-smoothing/trials/A0/",
)


@pytest.fixture
def digits(client: Client) -> Project:
    project = cast.project()
    cast.finished_search(trials_per_arm=2)
    client.force_login(cast.person("ada"))
    return project


def _add(project: Project, numbers: range) -> None:
    """As many more of everything that lists show."""
    ada, now = cast.person("ada"), timezone.now()
    others = Project.objects.bulk_create(
        Project(slug=f"p{i:03}", name=f"P{i}", official_metric="m", direction="maximize")
        for i in numbers
    )
    Membership.objects.bulk_create(
        Membership(user=ada, project=one, role="admin") for one in others
    )
    people = User.objects.bulk_create(User(username=f"u{i:03}") for i in numbers)
    Membership.objects.bulk_create(
        Membership(user=one, project=project, role="viewer") for one in people
    )
    Invitation.objects.bulk_create(
        Invitation(project=project, role="viewer", invited_by=ada,
                   expires_at=now + dt.timedelta(days=1))
        for _ in numbers
    )  # fmt: skip
    ApiToken.objects.bulk_create(
        ApiToken(owner=ada, project=project, name=f"t{i}", prefix="v", digest=f"t{i}")
        for i in numbers
    )
    experiment = Experiment.objects.get(name="label-smoothing")
    SharedLink.objects.bulk_create(
        SharedLink(project=project, experiment=experiment, prefix="v", digest=f"l{i}",
                   created_by=ada)
        for i in numbers
    )  # fmt: skip
    Webhook.objects.bulk_create(
        Webhook(project=project, address=f"https://example.org/{i}", nonce="n", created_by=ada)
        for i in numbers
    )
    Worker.objects.bulk_create(
        Worker(name=f"w{i:03}", host="h", pid=i, queues="cpu", started_at=now, heartbeat_at=now)
        for i in numbers
    )
    trial = Trial.objects.filter(study__experiment=experiment, number=0).order_by("pk")[0]
    Artifact.objects.bulk_create(
        Artifact(trial=trial, kind="text", name=f"f{i:03}", path=f"{i}", size=1, sha256="0")
        for i in numbers
    )


def test_long_lists_are_shown_by_pages_and_cost_no_more_queries(
    digits: Project, client: Client
) -> None:
    _add(digits, range(60))
    first = _asked(client)
    _add(digits, range(60, 130))
    second = _asked(client)
    for address, (queries, size) in second.items():
        assert queries == first[address][0], f"{address}: queries grow with its list"
        assert size < 1.3 * first[address][1], f"{address}: its size grows with its list"


def _asked(client: Client) -> dict[str, tuple[int, int]]:
    """Queries and bytes of each page, once what it caches is there."""
    found = {}
    for address in PAGES:
        client.get(address)
        with CaptureQueriesContext(connection) as context:
            answer = client.get(address)
        assert answer.status_code == 200, address
        found[address] = (len(context), len(answer.content))
    return found


def test_every_member_is_on_some_page_and_found_by_name(digits: Project, client: Client) -> None:
    _add(digits, range(60))
    both = [client.get(f"{P}members/?page={n}").content.decode() for n in (1, 2)]
    assert all(f"<b>u{i:03}</b>" in both[0] + both[1] for i in range(60))
    assert "<b>ada</b>" in both[0], "admins stand first"
    found = client.get(f"{P}members/?q=u05").content.decode()
    assert found.count("<b>u05") == 10 and "<b>ada</b>" not in found


def test_a_list_s_pager_keeps_the_page_of_the_other_list(digits: Project, client: Client) -> None:
    _add(digits, range(60))
    page = client.get(f"{P}members/?page=2&invited=1").content.decode()
    assert 'href="?page=2&amp;invited=2"' in page and 'href="?page=1&amp;invited=1"' in page


def test_of_very_many_findings_the_gravest_are_listed_and_all_are_counted(
    digits: Project, client: Client
) -> None:
    experiment = Experiment.objects.get(name="label-smoothing")
    ada = cast.access("ada")
    Finding.objects.filter(experiment=experiment).delete()
    fired = {"version": 1, "status": "fired", "title": "It lies at an edge"}
    Finding.objects.bulk_create(
        Finding(experiment=experiment, rule="boundary", subject=f"p{i}", severity="notice",
                **fired)
        for i in range(520)
    )  # fmt: skip
    Finding.objects.create(
        experiment=experiment, rule="boundary", subject="last", severity="problem", **fired
    )
    trials = Trial.objects.filter(study__experiment=experiment)
    Finding.objects.bulk_create(
        Finding(experiment=experiment, trial=one, rule="boundary", severity="warning", **fired)
        for one in trials
    )
    found = findings_of(get_experiment(ada, experiment.name), 2)
    assert found.first[0].subject == "last", "the gravest, though the newest"
    expected = FindingCounts(problems=1, notices=520)
    assert found.counts == expected == count_findings([experiment.pk])[experiment.pk]
    page = client.get(f"{P}experiments/label-smoothing/").content.decode()
    assert page.count("It lies at an edge") < 70 and "others follow once these" in page


def test_a_project_s_menus_hold_the_tags_and_views_that_are_used(
    digits: Project, client: Client
) -> None:
    experiment = Experiment.objects.get(name="label-smoothing")
    ExperimentTag.objects.bulk_create(
        ExperimentTag(experiment=experiment, name=f"tag-{i:03}") for i in range(300)
    )
    RunsView.objects.bulk_create(RunsView(project=digits, name=f"v{i}") for i in range(100))
    RunsView.objects.create(project=digits, name="zz", is_default=True)
    assert client.get(P).content.decode().count("<option>tag-") <= 200
    runs = client.get(f"{P}runs/table/").content.decode()
    assert ">zz " in runs and runs.count("Delete the view") == 60


def test_the_inbox_says_how_many_it_does_not_list(
    digits: Project, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects, "MOST_DUE", 1)
    for name in ("one", "two"):
        cast.repeated(cast.finished_search(name, trials_per_arm=4), looks=(4,), done=4)
    page = client.get("/").content.decode()
    assert "2 decisions are due, the first 1 are listed" in page
    assert page.count('aria-label="Decide ') == 1


def test_the_chart_of_adoptions_holds_the_latest(
    digits: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects, "MOST_ADOPTS", 1)
    for name in ("one", "two"):
        cast.decided(name, "adopt", "It pays.")
    assert [one.experiment for one in projects.lineage(digits.pk)] == ["two"]
    assert Decision.objects.count() == 2


@pytest.mark.parametrize(
    ("sent_from", "shown"),
    [
        ("http://testserver/projects/digits/tokens/?page=2&q=x", "?page=2&q=x"),
        ("http://testserver/projects/digits/members/?page=2", ""),
        ("http://[no address", ""),
        ("", ""),
    ],
)
def test_a_button_of_a_list_leads_back_to_its_page(
    client: Client, digits: Project, sent_from: str, shown: str
) -> None:
    token = ApiToken.objects.create(
        owner=cast.person("ben"), project=digits, name="t", digest="d", prefix="p"
    )
    answer = client.post(
        f"{P}tokens/{token.pk}/revoke/", headers={"Referer": sent_from} if sent_from else {}
    )
    assert answer.headers["Location"] == f"{P}tokens/{shown}"
