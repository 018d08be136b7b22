"""Name, note and tags of a run, edited where they stand."""

from __future__ import annotations

import html

import pytest
from django.test import Client

from experiments.models import Experiment, Trial
from experiments.models.trial_encoding import decode, encode
from tests import cast

pytestmark = pytest.mark.django_db
RUNS = "/projects/digits/runs/"


@pytest.fixture
def run() -> Trial:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    return Trial.objects.filter(study__experiment=experiment).earliest("pk")


def client(who: str = "cleo") -> Client:
    found = Client()
    found.force_login(cast.person(who))
    return found


def edit(run: Trial, field: str, text: str, before: str = "", **more: str) -> tuple[int, str]:
    query = more.pop("query", "")
    address = f"{RUNS}{run.pk}/edit/{field}/?{query}"
    answer = client().post(address, {"text": text, "before": before, **more})
    return answer.status_code, html.unescape(answer.content.decode())


def tags(run: Trial) -> dict[str, object]:
    return dict(decode(Trial.objects.get(pk=run.pk).user_attributes))


def test_a_saved_edit_answers_the_row_as_it_is_now(run: Trial) -> None:
    status, row = edit(run, "name", "  the   wide one ", query="col=name&col=note")
    assert status == 200 and row.startswith("<tr") and row.count("the wide one") >= 2
    assert edit(run, "note", "Looks\r\nodd.", query="col=note")[1].count("Looks\nodd.") > 0
    assert Trial.objects.get(pk=run.pk).run_name == "the wide one"
    assert tags(run) == {"mlflow.note.content": "Looks\nodd."}
    page = client().get(f"{RUNS}?experiments=label-smoothing").content.decode()
    assert 'data-col="note"' in page, "a table with notes shows them"


def test_tags_are_lines_and_those_that_were_there_keep_what_a_line_cannot_hold(
    run: Trial,
) -> None:
    odd = {"a: b": "c\nd: e", "mlflow.user": "ada", "gone": "1"}
    Trial.objects.filter(pk=run.pk).update(user_attributes=encode(odd))
    form = client().get(f"{RUNS}{run.pk}/edit/tags/").content.decode()
    assert "a: b: c d: e\ngone: 1</textarea>" in form
    before = "a: b: c d: e\ngone: 1"
    assert edit(run, "tags", "a: b: c d: e\r\nteam: vision\r\n\r\nkeep", before)[0] == 200
    assert tags(run) == {"mlflow.user": "ada", "a: b": "c\nd: e", "team": "vision", "keep": ""}


@pytest.mark.parametrize(
    ("field", "text", "status", "says"),
    [
        ("name", "n" * 501, 400, "at most 500 characters"),
        ("note", "n" * 20_001, 400, "at most 20,000 characters"),
        ("tags", "mlflow.user: me", 400, "kept for MLflow's clients"),
        ("tags", "a: 1\na: 2", 400, "a appears twice"),
        ("tags", ": 1", 400, "expected 1 to 250 characters"),
        ("colour", "red", 404, ""),
    ],
)
def test_what_cannot_be_kept_comes_back_in_the_form_with_the_reason(
    run: Trial, field: str, text: str, status: int, says: str
) -> None:
    got, form = edit(run, field, text)
    assert got == status and says in form
    if status == 400:
        assert form.startswith("<form") and text in form
    run.refresh_from_db()
    assert (run.run_name, run.user_attributes) == ("", "{}")


def test_an_edit_does_not_replace_what_somebody_else_wrote_meanwhile(run: Trial) -> None:
    edit(run, "note", "Ada's.")
    status, form = edit(run, "note", "Cleo's.", before="")
    assert status == 409 and "Somebody changed it meanwhile to “Ada's.”" in form
    assert 'name="before" value="Ada\'s."' in form and "Cleo's.</textarea>" in form
    assert edit(run, "note", "Cleo's.", before="Ada's.")[0] == 200
    assert tags(run)["mlflow.note.content"] == "Cleo's."


def test_only_an_editor_meets_a_way_to_edit_and_only_runs_of_the_project(run: Trial) -> None:
    page = client("ben").get(RUNS).content.decode()
    assert "data-edit=" not in page and "data-edits" not in page
    page = client("cleo").get(RUNS).content.decode()
    assert page.count('data-edit="name"') == 4
    cast.project("speech")
    elsewhere = client("root").post(f"/projects/speech/runs/{run.pk}/edit/name/", {"text": "x"})
    assert elsewhere.status_code == 404
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(cast.person("cleo"))
    assert forged.post(f"{RUNS}{run.pk}/edit/name/", {"text": "x"}).status_code == 403


def test_a_trials_page_shows_and_edits_them_without_a_script(run: Trial) -> None:
    experiment = run.study.experiment
    assert isinstance(experiment, Experiment)
    page = cast.address(experiment, "trials/A0/")
    assert 'id="notes"' in client().get(page).content.decode()
    assert 'id="notes"' not in client("ben").get(page).content.decode()
    fields = {"text": "**Best** of Monday", "before": "", "back": page}
    answer = client().post(f"{RUNS}{run.pk}/edit/note/", fields, follow=True)
    assert [str(message) for message in answer.context["messages"]] == ["Saved."]
    assert "<strong>Best</strong>" in answer.content.decode()
    assert "<strong>Best</strong>" in client("ben").get(page).content.decode()
