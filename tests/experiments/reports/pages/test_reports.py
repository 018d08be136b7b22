"""Reports in the browser: written, read with live charts, saved by two at once, restored."""

from __future__ import annotations

import html
import json
import re
from urllib.parse import urlencode

import pytest
from django.test import Client

from experiments.models import Project, ReportVersion, Trial
from experiments.reports.services import reports
from tests import cast

pytestmark = pytest.mark.django_db
R = "/projects/digits/reports/"


def client_of(name: str) -> Client:
    client = Client()
    client.force_login(cast.person(name))
    return client


@pytest.fixture
def report() -> int:
    cast.project()
    text = "# Why\n\nBecause.\n\nexperiments/label-smoothing/?tab=history\n\nEnd."
    return reports.create(access=cast.access("cleo"), title="Smoothing", text=text)


def embedded(client: Client, address: str) -> str:
    answer = client.get(f"{R}embedded/?{urlencode({'address': address})}")
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_addresses_become_the_charts_and_tables_of_their_pages(report: int) -> None:
    experiment = cast.finished_search(trials_per_arm=4)
    cast.decide(cast.repeated(experiment, looks=(4,)), "adopt", reason="It pays.")
    cast.finished_search(name="wider", trials_per_arm=2)
    trials = Trial.objects.filter(study__experiment=experiment, study__kind="search")
    ids = ",".join(str(trial.pk) for trial in trials[:2])
    client = client_of("ben")
    for address, says in {
        "experiments/label-smoothing/?tab=axes": "label-smoothing: Axes",
        "/projects/digits/experiments/label-smoothing/": "label-smoothing: Learning curves",
        "http://testserver/projects/digits/experiments/label-smoothing/trials/A0/": "Trial A0",
        "runs/?sort=score&group=arm": "Mean ± standard deviation",
        f"compare/?run={ids}": "Comparison of 2 runs",
        "runs/?panel=scatter:params.dropout,score": "validation_accuracy by dropout",
        "runs/?panel=bars:score&panel=parallel:": "Parallel coordinates",
        f"compare/?run={ids}&panel=bars:params.dropout": "dropout",
        "compare/?a=label-smoothing&b=wider": "The search spaces",
        "decisions/1/": "Reason: It pays.",
        f"studies/{cast.free_study().pk}/": "Progress",
    }.items():
        shown = embedded(client, address)
        assert says in shown, address
        assert "data-figure" in shown or "<table>" in shown, address
    table = embedded(client, "runs/?experiments=label-smoothing&rows=10#trials")
    assert "data-figure" not in table and table.count("<tr>") == 9


def test_what_a_report_cannot_embed_is_said_in_its_place(report: int) -> None:
    cast.project("speech")
    cast.finished_search(trials_per_arm=1)
    client = client_of("ben")
    for address, says in {
        "/projects/speech/experiments/label-smoothing/": "of another project",
        "experiments/nothing/": "has no experiment nothing",
        "experiments/label-smoothing/trials/A99/": "has no trial A99",
        "decisions/7/": "has no decision 7",
        "/projects/digits/members/": "is at this address",
        "runs/?filter=nonsense+%3D": "filter",
        "compare/?run=999999": "holds no run",
        "compare/?a=label-smoothing&b=label-smoothing": "names two experiments",
        "compare/?a=label-smoothing&b=nothing": "has no experiment",
    }.items():
        shown = embedded(client, address)
        assert says in shown and "data-figure" not in shown, (address, shown)


def test_the_page_fetches_its_charts_one_by_one(report: int) -> None:
    page = client_of("ben").get(f"{R}{report}/").content.decode()
    assert "<h2>Why</h2>" in page and "Because." in page and "End." in page
    places = re.findall(r'data-embedded="([^"]+)"', page)
    assert len(places) == 1 and "application/json" not in page
    cast.finished_search(trials_per_arm=2)
    part = client_of("ben").get(html.unescape(places[0])).content.decode()
    assert json.loads(re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', part)[0])


def test_the_second_of_two_saves_is_shown_both_texts_and_loses_none(report: int) -> None:
    ada, cleo = client_of("ada"), client_of("cleo")
    first = {"title": "Smoothing", "text": "Ada's text.", "version": "1"}
    assert ada.post(f"{R}{report}/edit/", first).status_code == 302
    mine = {"title": "Mine", "text": "Cleo's text.", "version": "1"}
    refused = cleo.post(f"{R}{report}/edit/", mine)
    page = html.unescape(refused.content.decode())
    assert refused.status_code == 409
    assert "Ada's text." in page and "Cleo's text." in page and "Nothing was overwritten" in page
    assert 'name="version" value="2"' in page
    assert cleo.post(f"{R}{report}/edit/", {**mine, "version": "2"}).status_code == 302
    texts = ReportVersion.objects.order_by("number").values_list("text", flat=True)
    assert list(texts)[1:] == ["Ada's text.", "Cleo's text."]


def test_an_earlier_version_is_read_and_restored_as_a_new_one(report: int) -> None:
    cleo = client_of("cleo")
    cleo.post(f"{R}{report}/edit/", {"title": "Other", "text": "Worse.", "version": "1"})
    assert "This is version 1 of 2" in cleo.get(f"{R}{report}/?version=1").content.decode()
    cleo.post(f"{R}{report}/restore/", {"version": "1"})
    page = cleo.get(f"{R}{report}/").content.decode()
    assert "Because." in page and "Version 3" in page
    history = cleo.get(f"{R}{report}/history/").content.decode()
    assert history.count('aria-label="Restore version') == 2
    assert cleo.get(f"{R}{report}/?version=9").status_code == 404


def test_the_preview_shows_what_is_typed_and_keeps_nothing(report: int) -> None:
    text = "**bold** <img src=x onerror=alert(1)>\n\n[x](javascript:alert(1))\n\nruns/"
    shown = client_of("cleo").post(f"{R}preview/", {"text": text}).content.decode()
    assert "<strong>bold</strong>" in shown and "data-embedded=" in shown
    assert "<img" not in shown and 'href="javascript' not in shown
    assert ReportVersion.objects.count() == 1


def test_what_cannot_be_saved_stays_in_the_editor_with_the_reason(report: int) -> None:
    cleo = client_of("cleo")
    for fields, says in (
        ({"title": " ", "text": "kept"}, "give the report a title"),
        ({"title": "T", "text": "kept" + "x" * 200_000}, "at most 200,000 characters"),
        ({"title": "T", "text": "kept\n\n" + "runs/\n\n" * 51}, "at most 50 addresses"),
    ):
        answer = cleo.post(f"{R}new/", fields)
        assert answer.status_code == 400
        assert says in answer.content.decode() and "kept" in answer.content.decode()


def test_in_an_archived_project_reports_are_read_and_not_written(report: int) -> None:
    Project.objects.update(archived_at=cast.START)
    ada = client_of("ada")
    assert "Because." in ada.get(f"{R}{report}/").content.decode()
    fields = {"title": "T", "text": "x", "version": "1"}
    for path in ("new/", f"{report}/edit/", f"{report}/freeze/", f"{report}/archive/"):
        assert ada.post(f"{R}{path}", fields).status_code == 403, path


def test_an_archived_report_leaves_the_list_and_comes_back(report: int) -> None:
    cleo = client_of("cleo")
    cleo.post(f"{R}{report}/archive/")
    assert ">Smoothing<" not in cleo.get(R).content.decode()
    assert ">Smoothing<" in cleo.get(f"{R}?archived=1&q=because").content.decode()
    cleo.post(f"{R}{report}/bring-back/")
    assert ">Smoothing<" in cleo.get(f"{R}?q=because").content.decode()
