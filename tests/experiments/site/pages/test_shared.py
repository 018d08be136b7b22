"""Read-only links: what a stranger reads through one, and what nobody does."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest
from django.test import Client

from experiments.decisions.services import sharing
from experiments.errors import Conflict, NotAllowed, NotFound, VerdictError
from experiments.models import Decision, Experiment, SealedScore, SeriesBatch, SharedLink
from experiments.trials.panels.search_charts import TABS
from experiments.verdict.services import replications
from tests import cast

pytestmark = pytest.mark.django_db
SEALED = ("0.31415", "0.3142 ", "0.3142<")  # as written in sentences and tables


@pytest.fixture(scope="module")
def made_experiment(module_db: None) -> Experiment:
    """Searched, repeated, its test scores opened and then adopted; another one beside it."""
    cast.project()
    cast.finished_search("other-secret-question", trials_per_arm=2)
    made = cast.finished_search("wider", trials_per_arm=4)
    replication = cast.repeated(made, looks=(10,))
    SealedScore.objects.update(value=0.31415926)  # which nothing else is by chance
    replications.open_test(access=cast.access("cleo", made), replication=replication)
    cast.decide(replication, "adopt", "It pays.")
    return made


@pytest.fixture
def experiment(made_experiment: Experiment) -> Experiment:
    return copy.deepcopy(made_experiment)


def _address(**what: object) -> str:
    _, secret = sharing.create(access=cast.access("ada", "digits"), **what)  # type: ignore[arg-type]
    return f"/shared/{secret}/"


def test_a_stranger_without_a_session_reads_the_experiment(experiment: Experiment) -> None:
    answer = Client().get(_address(experiment="wider"))
    text = answer.content.decode()
    assert answer.status_code == 200
    assert experiment.goal in text and "Best trials" in text and "figure-curves" in text
    assert not answer.cookies, "no session begins"
    assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in answer.headers["Cache-Control"]
    assert 'name="robots" content="noindex' in text


@pytest.mark.parametrize(
    "query", ["", *(f"?tab={tab}" for tab in TABS), "?trials=seeds", "?metric=test_accuracy"]
)
def test_no_panel_tells_a_test_score_or_another_experiment(
    experiment: Experiment, query: str
) -> None:
    answer = Client().get(_address(experiment="wider") + query)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "test_accuracy" not in text and "other-secret-question" not in text
    assert not any(sealed in text for sealed in SEALED)


def test_test_scores_stay_out_where_the_project_seals_none(experiment: Experiment) -> None:
    trial = Experiment.objects.get(pk=experiment.pk).best_trial
    assert trial is not None
    document = experiment.document.replace('"metrics"', '"seals_test": false, "metrics"', 1)
    Experiment.objects.filter(pk=experiment.pk).update(document=document)
    SeriesBatch.objects.filter(trial=trial).delete()
    names = ("validation_accuracy", "test_accuracy")
    cast.log(trial.pk, {name: np.array([0.9111, 0.9222]) for name in names})
    for query in ("", "?metric=test_accuracy", f"?trials={trial.pk}"):
        text = Client().get(_address(experiment="wider") + query).content.decode()
        assert "test_accuracy" not in text and "validation_accuracy" in text


def test_a_shared_decision_shows_its_reasons_and_no_test_score(experiment: Experiment) -> None:
    made = Decision.objects.get()
    assert '"test": {' in made.evidence, "they were opened before"
    text = Client().get(_address(decision=1)).content.decode()
    assert "It pays." in text and "The evidence says adopt" in text
    assert "test_accuracy" not in text and "Test scores" not in text
    assert "gain on validation, on test" not in text
    assert not any(sealed in text for sealed in SEALED)
    client = Client()
    client.force_login(cast.person("ben"))
    text = client.get("/projects/digits/decisions/1/").content.decode()
    assert any(sealed in text for sealed in SEALED), "members read what was opened"


def test_the_page_asks_for_nothing_but_files_of_the_server(experiment: Experiment) -> None:
    for address in (_address(experiment="wider"), _address(decision=1)):
        text = Client().get(address).content.decode()
        asked = re.findall(r'(?:href|src|action|data-[a-z-]+)="([/?#][^"]*)"', text)
        inside = [link for link in asked if link.startswith("/") and "/static/" not in link]
        assert not inside, "no poll address, no page of the project, no form"
        assert "csrfmiddlewaretoken" not in text and "data-live" not in text


def test_only_the_digest_is_stored_and_a_revoked_link_shows_nothing(
    experiment: Experiment,
) -> None:
    address = _address(experiment="wider")
    link, secret = SharedLink.objects.get(), address.split("/")[2]
    assert secret not in str(SharedLink.objects.values()) and len(link.digest) == 64
    sharing.revoke(access=cast.access("ada", "digits"), link_id=link.pk)
    for gone in (address, f"/shared/{secret[:-1]}/", f"/shared/{link.digest}/"):
        answer = Client().get(gone)
        text = answer.content.decode()
        assert answer.status_code == 404 and "wider" not in text and "Digits" not in text
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"


def test_a_link_is_no_token_and_writes_nothing(experiment: Experiment) -> None:
    address = _address(experiment="wider")
    secret = address.split("/")[2]
    client = Client()
    for method in ("post", "put", "patch", "delete"):
        assert getattr(client, method)(address).status_code == 405
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/projects/digits", headers=headers).status_code == 401
    assert client.get("/projects/digits/", headers=headers).status_code == 302
    client.get(address)
    assert client.get("/projects/digits/experiments/wider/").status_code == 302


def test_admins_alone_make_and_revoke_links_of_their_own_project(experiment: Experiment) -> None:
    _address(experiment="wider")
    link = SharedLink.objects.get()
    for who in ("ben", "cleo"):
        with pytest.raises(NotAllowed):
            sharing.create(access=cast.access(who, "digits"), experiment="wider")
        with pytest.raises(NotAllowed):
            sharing.revoke(access=cast.access(who, "digits"), link_id=link.pk)
    cast.project("speech")
    elsewhere = cast.access("ada", "speech")
    for what in ({"experiment": "wider"}, {"decision": 1}):
        with pytest.raises(NotFound):
            sharing.create(access=elsewhere, **what)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        sharing.revoke(access=elsewhere, link_id=link.pk)
    with pytest.raises(VerdictError, match="one thing"):
        sharing.create(access=cast.access("ada", "digits"))


def test_an_experiment_scored_on_the_test_split_is_not_shared(experiment: Experiment) -> None:
    address = _address(experiment="wider")
    Experiment.objects.update(official_metric="test_accuracy")
    with pytest.raises(Conflict, match="is a test score"):
        _address(experiment="wider")
    assert Client().get(address).status_code == 404


def test_a_test_score_is_known_by_its_declaration_too(experiment: Experiment) -> None:
    address = _address(decision=1)
    document = json.loads(Experiment.objects.get(name="wider").document)
    document["metrics"]["validation_accuracy"]["split"] = "test"
    Experiment.objects.filter(name="wider").update(document=json.dumps(document))
    with pytest.raises(Conflict, match="is a test score"):
        _address(experiment="wider")
    assert Client().get(address).status_code == 404


def test_the_page_of_links_shows_an_address_once(client: Client, experiment: Experiment) -> None:
    client.force_login(cast.person("ada"))
    text = client.post("/projects/digits/sharing/", {"decision": "1"}).content.decode()
    (address,) = re.findall(r"/shared/[\w-]+/", text)
    assert Client().get(address).status_code == 200
    text = client.get("/projects/digits/sharing/").content.decode()
    assert not re.findall(r"/shared/[\w-]{20,}/", text) and "Decision 1" in text
    link = SharedLink.objects.get()
    text = client.post(f"/projects/digits/sharing/{link.pk}/revoke/", follow=True).content.decode()
    assert "revoked" in text and Client().get(address).status_code == 404
    answer = client.post("/projects/digits/sharing/", {"experiment": "no such"})
    assert answer.status_code == 400 and "has no experiment no such" in answer.content.decode()


def test_an_admin_shares_and_revokes_on_the_page_itself(experiment: Experiment) -> None:
    client = Client()
    client.force_login(cast.person("ada"))
    sharing_page, page = "/projects/digits/sharing/", cast.address(experiment)
    assert ">Share</summary>" in client.get(page).content.decode()
    asked = {"in_place": "1", "experiment": experiment.name, "decision": ""}
    shown = client.post(sharing_page, asked, follow=True)
    assert shown.redirect_chain == [(page, 302)]
    found = re.search(r"/shared/[\w-]+/", shown.content.decode())
    assert found and Client().get(found[0]).status_code == 200
    later = client.get(page).content.decode()
    assert found[0] not in later, "shown once"
    link = SharedLink.objects.get()
    assert f"{link.prefix}…" in later
    back = client.post(f"{sharing_page}{link.pk}/revoke/", asked)
    assert back.headers["Location"] == page
    assert Client().get(found[0]).status_code == 404
    assert f"{link.prefix}…" not in client.get(page).content.decode()
    of_decision = {"in_place": "1", "experiment": "", "decision": "1"}
    shown = client.post(sharing_page, of_decision, follow=True)
    assert shown.redirect_chain == [("/projects/digits/decisions/1/", 302)]
    assert re.search(r"/shared/[\w-]+/", shown.content.decode())


@pytest.mark.parametrize("who", ["ben", "cleo"])
def test_only_admins_see_links_on_the_page(experiment: Experiment, who: str) -> None:
    sharing.create(access=cast.access("ada"), experiment=experiment.name)
    client = Client()
    client.force_login(cast.person(who))
    for page in (cast.address(experiment), "/projects/digits/decisions/1/"):
        text = client.get(page).content.decode()
        assert ">Share</summary>" not in text and SharedLink.objects.get().prefix not in text
    refused = client.post("/projects/digits/sharing/", {"in_place": "1", "decision": "1"})
    assert refused.status_code == 403


@pytest.mark.parametrize("of", [{"experiment": "a/b"}, {"decision": "7"}, {}])
def test_a_form_about_nothing_that_there_is_answers_404(
    experiment: Experiment, client: Client, of: dict[str, str]
) -> None:
    client.force_login(cast.person("ada"))
    answer = client.post("/projects/digits/sharing/", {"in_place": "1", **of})
    assert answer.status_code == 404
