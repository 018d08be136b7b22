"""The test score stays sealed: no page, export or answer knows it before a counted opening."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from experiments.decisions.services import decisions
from experiments.models import Replication, SealedScore, Trial
from experiments.team.services import tokens
from experiments.trials.series.queries import series
from experiments.verdict.evidence import evidence
from experiments.verdict.services import replications
from tests import cast

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]

VALUE = 0.8765432101  # nothing else looks like it
NEEDLES = ("test_accuracy", "0.87654", "0.8765")


@pytest.fixture
def repeated() -> Replication:
    cast.project()
    replication = cast.repeated(cast.finished_search(), done=10)
    SealedScore.objects.update(value=VALUE)
    for trial in Trial.objects.all():
        SealedScore.objects.update_or_create(
            trial=trial, name="test_accuracy", defaults={"value": VALUE}
        )
    return replication


def _patterns(found: list[URLPattern | URLResolver], prefix: str = "") -> list[str]:
    routes = []
    for pattern in found:
        route = prefix + str(pattern.pattern).lstrip("^")
        if isinstance(pattern, URLResolver):
            routes += _patterns(pattern.url_patterns, route)
        else:
            routes.append(route)
    return routes


def _addresses(replication: Replication) -> list[str]:
    """Every address of the site, filled in with what there is."""
    experiment = replication.experiment
    trial = experiment.best_trial
    assert trial is not None
    filled = []
    for route in _patterns(get_resolver().url_patterns):
        route = route.replace("<slug:slug>", "digits").replace("<str:name>", experiment.name)
        route = route.replace("{slug}", "digits").replace("<slug>", "digits")
        for name in ("sequence", "finding", "token", "replication", "run_id"):
            for kind in ("int:", "str:", ""):
                route = route.replace(f"<{kind}{name}>", "1")
        route = route.replace("<str:trial>", f"{'AB'[trial.study.arm_index]}{trial.number}")
        if "<" not in route and "(" not in route and "\\" not in route:
            filled.append("/" + route)
    return sorted(set(filled))


def _everything(replication: Replication) -> dict[str, str]:
    """What each address answers, to a person who may see everything and to a program."""
    person = Client()
    person.force_login(cast.person("ada"))
    _, secret = tokens.create(user=cast.person("ada"), project=None, name="all")
    program = Client(headers={"Authorization": f"Bearer {secret}"})
    answers = {}
    for address in _addresses(replication):
        client = program if address.startswith("/api/") else person
        response = client.get(address)
        assert response.status_code < 500, address
        body = (
            b"".join(response.streaming_content)  # type: ignore[arg-type]
            if response.streaming
            else response.content
        )
        answers[address] = body.decode("utf-8", "replace")
    return answers


def test_before_the_opening_no_address_of_the_site_knows_it(repeated: Replication) -> None:
    gathered = evidence.evaluate(repeated)
    decisions.record(
        access=cast.access("ada", repeated.experiment),
        experiment=repeated.experiment,
        replication=repeated,
        choice="adopt",
        reason="Without a look at the test.",
        state=gathered.state,
    )
    answers = _everything(repeated)
    assert len(answers) > 20 and any("/decide/" in address for address in answers)
    assert any(address.startswith("/api/v1/projects/digits/champion") for address in answers)
    leaks = [
        address for address, text in answers.items() if any(needle in text for needle in NEEDLES)
    ]
    assert leaks == []


def test_it_is_in_no_series_and_in_no_trial(repeated: Replication) -> None:
    ids = list(Trial.objects.values_list("pk", flat=True))
    assert all("test_accuracy" not in names for names in series.read(ids).values())
    assert all(
        needle not in json.dumps(list(Trial.objects.values()), default=str) for needle in NEEDLES
    )


def test_each_opening_is_counted_and_frozen_into_the_decision(repeated: Replication) -> None:
    person = Client()
    person.force_login(cast.person("ada"))
    experiment = repeated.experiment
    page = f"/projects/digits/experiments/{experiment.name}/decide/"
    assert "0.8765" not in person.get(page).content.decode()
    for _ in range(2):
        person.post(
            f"/projects/digits/experiments/{experiment.name}/seeds/{repeated.pk}/open-test/"
        )
    assert "0.8765" in person.get(page).content.decode()
    gathered = evidence.evaluate(repeated)
    decision = decisions.record(
        access=cast.access("ada", experiment),
        experiment=experiment,
        replication=repeated,
        choice="adopt",
        reason="The test agrees.",
        state=gathered.state,
    )
    frozen = json.loads(decision.evidence)["test"]
    assert frozen["openings"] == 2 and frozen["candidate_mean"] == pytest.approx(VALUE)


def test_while_replicates_run_nobody_opens_it() -> None:
    cast.project()
    replication: Replication = cast.repeated(cast.finished_search(), done=4)
    person = Client()
    person.force_login(cast.person("ada"))
    name = replication.experiment.name
    person.post(f"/projects/digits/experiments/{name}/seeds/{replication.pk}/open-test/")
    assert not replication.test_openings.exists()
    with pytest.raises(Exception, match="open after the verdict"):
        replications.open_test(access=cast.access("ada", replication), replication=replication)
