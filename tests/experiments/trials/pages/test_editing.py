from __future__ import annotations

import pytest
from django.test import Client

from experiments.models import Experiment
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def experiment(client: Client) -> Experiment:
    cast.project()
    client.force_login(cast.person("ada"))
    return cast.finished_search(trials_per_arm=2)


def test_notes_show_as_markdown_and_tags_lead_to_the_list(
    client: Client, experiment: Experiment
) -> None:
    answer = client.post(
        cast.address(experiment, "edit/"),
        {"notes": "**Bold** <script>x</script>", "tags": "vision, june"},
        follow=True,
    )
    page = answer.content.decode()
    assert "<strong>Bold</strong>" in page and "<script>x" not in page
    assert "/projects/digits/?tag=vision" in page
    assert "label-smoothing" in client.get("/projects/digits/?tag=june").content.decode()
    assert "Nothing matches" in client.get("/projects/digits/?tag=none").content.decode()


def test_what_was_typed_comes_back_with_the_error(client: Client, experiment: Experiment) -> None:
    answer = client.post(
        cast.address(experiment, "edit/"), {"notes": "kept words", "tags": "x" * 61}
    )
    page = answer.content.decode()
    assert "kept words" in page and "at most 60 characters" in page


def test_archiving_hides_it_from_the_list_and_not_its_page(
    client: Client, experiment: Experiment
) -> None:
    answer = client.post(cast.address(experiment, "archive/"), follow=True)
    assert answer.status_code == 200 and "Archived" in answer.content.decode()
    page = client.get("/projects/digits/").content.decode()
    assert "1 archived" in page and cast.address(experiment) not in page
    assert cast.address(experiment) in client.get("/projects/digits/?archived=1").content.decode()
    client.post(cast.address(experiment, "bring-back/"))
    assert cast.address(experiment) in client.get("/projects/digits/").content.decode()


def test_a_new_name_is_a_new_address(client: Client, experiment: Experiment) -> None:
    answer = client.post(cast.address(experiment, "rename/"), {"name": "smoothing"}, follow=True)
    assert answer.redirect_chain == [("/projects/digits/experiments/smoothing/", 302)]
    assert client.get(cast.address(experiment)).status_code == 404
    refused = client.post(
        "/projects/digits/experiments/smoothing/rename/", {"name": "a/b"}, follow=True
    )
    assert "use letters" in refused.content.decode()


def test_deleting_asks_first_and_wants_the_name(client: Client, experiment: Experiment) -> None:
    address = cast.address(experiment, "delete/")
    assert "Type its name to confirm" in client.get(address).content.decode()
    assert "expected label-smoothing" in client.post(address, {"typed_name": "x"}).content.decode()
    answer = client.post(address, {"typed_name": experiment.name}, follow=True)
    assert answer.redirect_chain == [("/projects/digits/", 302)]
    assert not Experiment.objects.exists()


def test_a_cited_one_lists_what_cites_it(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ada"))
    cited = cast.decided("wider", "reject", "No.", gain=-0.002)
    page = client.get(cast.address(cited, "delete/")).content.decode()
    assert "/projects/digits/decisions/1/" in page and "It is cited" in page
    assert "Type its name" not in page
    client.post(cast.address(cited, "delete/"), {"typed_name": "wider"})
    assert Experiment.objects.filter(name="wider").exists()


def test_roles_and_methods_hold(client: Client, experiment: Experiment) -> None:
    client.force_login(cast.person("cleo"))
    typed = {"typed_name": experiment.name}
    assert client.post(cast.address(experiment, "delete/"), typed).status_code == 403
    assert "your role is editor" in client.get(cast.address(experiment, "edit/")).content.decode()
    client.force_login(cast.person("ben"))
    for act in ("archive/", "bring-back/"):
        assert client.post(cast.address(experiment, act)).status_code == 403
    assert client.post(cast.address(experiment, "rename/"), {"name": "x"}).status_code == 403
    assert client.post(cast.address(experiment, "edit/"), {"notes": ""}).status_code == 403
    page = client.get(cast.address(experiment)).content.decode()
    assert cast.address(experiment, "edit/") not in page
    client.force_login(cast.person("dan"))
    assert client.get(cast.address(experiment, "edit/")).status_code == 404
    client.force_login(cast.person("ada"))
    assert client.get(cast.address(experiment, "archive/")).status_code == 405


def test_forms_want_their_token(experiment: Experiment) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(cast.person("ada"))
    typed = {"typed_name": experiment.name}
    assert strict.post(cast.address(experiment, "delete/"), typed).status_code == 403
    assert Experiment.objects.exists()
