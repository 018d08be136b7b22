from __future__ import annotations

import pytest
from django.test import Client

from experiments.models import EdgeProbe, Experiment, Trial
from experiments.models.trial import StudyKind, TrialState
from experiments.trials.lifecycle.services import edge_probes
from tests import cast

pytestmark = pytest.mark.django_db

EDGE = "learning_rate:high"


@pytest.fixture
def experiment() -> Experiment:
    cast.project()
    return cast.searched_rates()


def as_(name: str) -> Client:
    client = Client()
    client.force_login(cast.person(name))
    return client


def shown(client: Client, experiment: Experiment) -> str:
    return client.get(cast.address(experiment)).content.decode()


def probe(client: Client, experiment: Experiment, *edges: str) -> str:
    answer = client.post(f"{cast.address(experiment)}edges/probe/", {"edge": edges}, follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_a_finding_at_an_edge_has_a_button_with_the_price(experiment: Experiment) -> None:
    page = shown(as_("cleo"), experiment)
    assert "Probe the edge</button>" in page
    assert "15 to 90 runs, time not known yet" in page
    assert "Probe every edge</button>" in page
    assert "Probe the edge" not in shown(as_("ben"), experiment), "a viewer has none"


def test_the_button_queues_the_runs_and_the_page_says_how_far_they_are(
    experiment: Experiment,
) -> None:
    page = probe(as_("cleo"), experiment, EDGE)
    assert "Probe started." in page
    assert "Probing 1 edge: 0 of 15 runs have ended." in page
    assert "Probe the edge</button>" not in page
    assert EdgeProbe.objects.get().asked_by == cast.person("cleo")


def test_every_edge_is_probed_by_one_button(experiment: Experiment) -> None:
    assert "Probe started." in probe(as_("cleo"), experiment)


def test_an_edge_that_cannot_be_probed_is_refused_on_the_page(experiment: Experiment) -> None:
    page = probe(as_("cleo"), experiment, "epochs:low")
    assert "These edges cannot be probed." in page
    assert not EdgeProbe.objects.exists()


def test_the_probe_can_be_cancelled(experiment: Experiment) -> None:
    client = as_("cleo")
    probe(client, experiment, EDGE)
    page = client.post(f"{cast.address(experiment)}edges/cancel/", follow=True).content.decode()
    assert "Probe cancelled." in page and "Probe the edge</button>" in page


def test_a_viewer_and_a_form_without_a_token_change_nothing(experiment: Experiment) -> None:
    for place in ("probe", "cancel"):
        path = f"{cast.address(experiment)}edges/{place}/"
        assert as_("ben").post(path, {"edge": EDGE}).status_code == 403
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(cast.person("cleo"))
        assert strict.post(path, {"edge": EDGE}).status_code == 403
    assert not EdgeProbe.objects.exists()


def test_a_run_of_a_probe_has_a_page_that_says_what_it_is(experiment: Experiment) -> None:
    edge_probes.ask(access=cast.access("cleo"), experiment=experiment, subjects=[EDGE])
    run = Trial.objects.filter(study__kind=StudyKind.PROBE, state=TrialState.WAITING)[0]
    path = f"{cast.address(experiment)}trials/s{run.study_id}-{run.number}/"
    page = as_("ben").get(path).content.decode()
    assert "a probe beyond an edge of the search space" in page
