"""Frozen copies: what they keep, as one file, behind a link, without test scores."""

from __future__ import annotations

import json
import re
from html import unescape

import numpy as np
import pytest
from django.test import Client

from experiments.decisions.services import sharing
from experiments.models import Experiment, FrozenReport, LatestMetric, Trial
from experiments.reports.services import reports
from tests import cast

pytestmark = pytest.mark.django_db
R = "/projects/digits/reports/"


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(cast.person("ben"))
    return client


@pytest.fixture
def experiment() -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=3)


def test_a_copy_keeps_text_figures_and_tables_as_they_were(
    client: Client, experiment: Experiment
) -> None:
    text = "Then.\n\nexperiments/label-smoothing/?tab=history\n\nruns/#trials"
    report, frozen = cast.frozen_report(text)
    before = [client.get(f"{R}frozen/{frozen}/?embedded={n}").content for n in (1, 2)]
    assert b"application/json" in before[0] and b"<table>" in before[1]
    writer = cast.access("cleo")
    reports.save(access=writer, report=report, title="Now", text="Now.", version=1)
    Experiment.objects.filter(pk=experiment.pk).update(best_value=0.1, goal="Other.")
    Trial.objects.filter(study__experiment=experiment).update(value=0.1)
    assert [client.get(f"{R}frozen/{frozen}/?embedded={n}").content for n in (1, 2)] == before
    page = client.get(f"{R}frozen/{frozen}/").content.decode()
    assert "Then." in page and "Now." not in page and "Frozen on" in page


def test_a_copy_that_was_changed_in_the_database_is_not_shown(
    client: Client, experiment: Experiment
) -> None:
    _, frozen = cast.frozen_report("Then.")
    FrozenReport.objects.update(digest="0" * 64)
    for path in ("", "file/", "?embedded=0"):
        answer = client.get(f"{R}frozen/{frozen}/{path}")
        assert answer.status_code == 409 and b"not what was frozen" in answer.content


def test_the_file_holds_everything_and_asks_for_nothing(
    client: Client, experiment: Experiment
) -> None:
    _, frozen = cast.frozen_report("# Why\n\nexperiments/label-smoothing/?tab=history")
    answer = client.get(f"{R}frozen/{frozen}/file/")
    file = answer.content.decode()
    assert 'filename="found-' in answer.headers["Content-Disposition"]
    assert "<h2>Why</h2>" in file and 'data-figure="figure-1-0"' in file
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", file)
    assert "default-src 'none'; script-src 'sha256-" in unescape(file)
    _, plain = cast.frozen_report("Only words.")
    assert len(client.get(f"{R}frozen/{plain}/file/").content) < 120_000


def test_a_link_shows_a_copy_and_nothing_else(experiment: Experiment) -> None:
    report, frozen = cast.frozen_report("Then.\n\nexperiments/label-smoothing/?tab=history")
    _, other = cast.frozen_report("Something else.")
    link, secret = sharing.create(access=cast.access("ada"), frozen_report=frozen)
    writer = cast.access("cleo")
    reports.save(access=writer, report=report, title="Now", text="Now.", version=1)
    stranger = Client()
    page = stranger.get(f"/shared/{secret}/").content.decode()
    assert "Then." in page and "Now." not in page and "/projects/" not in page
    assert f'data-embedded="/shared/{secret}/?embedded=1"' in page
    part = stranger.get(f"/shared/{secret}/?embedded=1").content.decode()
    assert "application/json" in part and "/projects/" not in part
    assert stranger.get(f"/shared/{secret}/?embedded=7").status_code == 404
    assert stranger.get(f"{R}frozen/{other}/").status_code == 302
    sharing.revoke(access=cast.access("ada"), link_id=link.pk)
    for path in ("", "?embedded=1"):
        assert stranger.get(f"/shared/{secret}/{path}").status_code == 404


@pytest.mark.parametrize("official", ["validation_accuracy", "test_accuracy"])
def test_no_test_score_is_in_a_report_even_where_the_project_seals_none(
    client: Client, experiment: Experiment, official: str
) -> None:
    document = json.loads(experiment.document) | {"seals_test": False}
    Experiment.objects.update(document=json.dumps(document), official_metric=official)
    trial = Trial.objects.filter(study__experiment=experiment).order_by("pk")[0]
    cast.log(trial.pk, {"test_accuracy": np.array([0.8765432])}, first_batch=90)
    LatestMetric.objects.update_or_create(
        trial=trial, name="test_accuracy", defaults={"value": 0.8765432, "step": 1, "time_ms": 0}
    )
    column = "runs/?experiments=label-smoothing&col=state&col=metrics.test_accuracy"
    text = "\n\n".join(
        (
            "experiments/label-smoothing/?metric=test_accuracy",
            "experiments/label-smoothing/trials/A0/?metric=test_accuracy",
            column,
            f"{column}&sort=metrics.test_accuracy",
            "runs/?experiments=label-smoothing&filter=metrics.test_accuracy+%3E+0.5",
            f"compare/?run={trial.pk}&all=1",
            f"{column}&panel=scatter:params.dropout,metrics.test_accuracy&panel=parallel:",
            f"compare/?run={trial.pk}&panel=bars:metrics.test_accuracy&panel=bars:score",
        )
    )
    assert "0.8765" in client.get(f"/projects/digits/{column}").content.decode()
    _, frozen = cast.frozen_report(text)
    parts = [client.get(f"{R}frozen/{frozen}/?embedded={n}").content.decode() for n in range(8)]
    assert not any("0.8765" in part for part in parts)
    assert "asks for a test score" in parts[3] and "asks for a test score" in parts[4]
    if official == "test_accuracy":
        assert "Its official metric is a test score" in parts[0] + parts[1]
