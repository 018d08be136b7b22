from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from tests import cast

pytestmark = pytest.mark.django_db

ADDRESS = "/projects/digits/experiments/new/rows/"
GOOD = cast.LABEL_SMOOTHING.format(name="smooth", goal="Does it help?", trials=4)


@pytest.fixture
def cleo(client: Client) -> Client:
    cast.project()
    client.force_login(cast.person("cleo"))
    return client


def told(client: Client, text: str = GOOD, **edit: Any) -> dict[str, Any]:
    answer = client.post(ADDRESS, {"text": text, "edit": json.dumps(edit)})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_a_text_comes_back_with_its_rows(cleo: Client) -> None:
    found = told(cleo, GOOD.replace("\n", "\r\n"))
    assert found["text"] == GOOD
    assert [row["name"] for row in found["rows"]][:2] == ["label_smoothing", "learning_rate"]
    assert found["head"]["experiment"] == "smooth" and found["head"]["trials"] == "4"
    assert found["problems"] == found["head_problems"] == []
    assert found["conditions"] == ["label_smoothing: 0.0", "label_smoothing: 0.1"]


def test_an_edit_comes_back_as_text(cleo: Client) -> None:
    found = told(cleo, do="set", was="learning_rate", cells={"scale": "linear"})
    assert "log: true" in GOOD and "log: true" not in found["text"]
    assert found["rows"][1]["scale"] == "linear"


def test_a_problem_belongs_to_the_cell_of_its_row(cleo: Client) -> None:
    found = told(cleo, do="set", was="learning_rate", cells={"low": "1e-", "when": "nothing: 1"})
    assert {(problem["row"], problem["cell"]) for problem in found["problems"]} == {(1, "low")}
    wrong = told(cleo, GOOD.replace("log: true", "log: 3, bins: 3, type: odd"))
    cells = {problem["cell"]: problem["message"] for problem in wrong["problems"]}
    assert set(cells) == {"scale", "numbers", ""}
    assert cells[""].startswith("bins: unknown key")


def test_names_with_dots_keep_their_problems_apart(cleo: Client) -> None:
    text = GOOD.replace("  learning_rate:", "  learning_rate.low: {role: odd}\n  learning_rate:")
    found = told(cleo, text.replace("log: true", "log: 3"))
    names = [found["rows"][problem["row"]]["name"] for problem in found["problems"]]
    assert set(names) == {"learning_rate", "learning_rate.low"}


def test_a_name_that_is_taken_is_said_at_its_cell_and_by_the_check(cleo: Client) -> None:
    cast.search("smooth")
    (problem,) = told(cleo)["head_problems"]
    assert problem["cell"] == "experiment" and "is taken" in problem["message"]
    check = cleo.post("/projects/digits/experiments/new/check/", {"text": GOOD}).json()
    assert not check["ok"] and check["problems"][0]["where"] == "experiment"
    free = told(cleo, do="head", key="experiment", value="smooth-2")
    assert free["head_problems"] == []


def test_the_name_of_another_projects_experiment_is_free(cleo: Client) -> None:
    cast.project("other")
    assert told(cleo)["head_problems"] == []


def test_a_refused_edit_leaves_the_text_and_says_why(cleo: Client) -> None:
    found = told(cleo, do="set", was="dropout", cells={"name": "epochs"})
    assert found["text"] == GOOD
    assert found["refused_cells"][0]["cell"] == "name"
    assert "preset" in told(cleo, do="preset", name="gone")["refused"]


def test_a_text_that_cannot_be_read_says_where(cleo: Client) -> None:
    found = told(cleo, "a: [\n")
    assert "line" in found["unreadable"] and "rows" not in found
    assert found["text"] == "a: [\n"


@pytest.mark.parametrize(
    "edit", ["{", "[]", '{"do": "explode"}', '{"do": "set", "was": "dropout"}']
)
def test_what_is_no_edit_is_a_bad_request(cleo: Client, edit: str) -> None:
    answer = cleo.post(ADDRESS, {"text": GOOD, "edit": edit})
    assert answer.status_code == 400 and answer.json()["error"]


@pytest.mark.parametrize(
    "text", ["", "- 1", "hyperparameters: 3", "hyperparameters: [a]", "x" * 300_000]
)
def test_any_text_has_an_answer(cleo: Client, text: str) -> None:
    assert told(cleo, text)["text"][:10] == text[:10]
    told(cleo, text, do="add")


def test_forty_rows_with_long_names_come_back(cleo: Client) -> None:
    lines = [f"  {'n' * 190}{n}: {{role: nuisance, low: 1e-300, high: 1e300}}" for n in range(40)]
    text = GOOD.split("hyperparameters:")[0] + "hyperparameters:\n" + "\n".join(lines) + "\n"
    found = told(cleo, text, do="move", was="n" * 190 + "7", by=1)
    assert len(found["rows"]) == 40 and found["rows"][8]["name"].endswith("n7")


def test_the_page_has_the_rows_and_the_presets_from_the_start(cleo: Client) -> None:
    answer = cleo.get("/projects/digits/experiments/new/?example=label-smoothing")
    assert answer.context["form_state"]["rows"][0]["name"] == "label_smoothing"
    assert "Adam by budget" in answer.content.decode()


def test_who_may_not_see_the_project_gets_nothing(client: Client) -> None:
    cast.project()
    assert client.post(ADDRESS, {"text": GOOD}).status_code == 302
    client.force_login(cast.person("dan"))
    assert client.post(ADDRESS, {"text": GOOD}).status_code == 404


def test_a_fresh_row_is_unfinished_and_not_wrong(cleo: Client) -> None:
    found = told(cleo, do="add")
    fresh = [problem for problem in found["problems"] if problem["row"] == len(found["rows"]) - 1]
    assert fresh and all(problem["unfinished"] for problem in fresh)
    typed = told(cleo, found["text"], do="set", was="new_1", cells={"low": "1e-"})
    assert [problem["cell"] for problem in typed["problems"] if not problem["unfinished"]] == [
        "low"
    ]


def test_hyperparameters_are_picked_from_those_the_objective_declares(cleo: Client) -> None:
    assert told(cleo)["declared"] == []
    cast.offering_worker()
    declared = told(cleo)["declared"]
    assert "weight_decay" in declared and "learning_rate" not in declared, "those not there yet"
    found = told(cleo, do="add", name="weight_decay", default=99)
    assert "weight_decay:" in found["text"] and found["problems"] == []
    assert found["rows"][-1]["value"] == "0.0", "the default is the function's own"
    assert told(cleo, do="add", name="not_declared")["rows"][-1]["name"] == "new_1"
