from __future__ import annotations

from typing import Any

import pytest
import yaml
from django.contrib.auth.models import Permission

from experiments.models import Experiment, Project
from tests import cast
from tests.experiments.asking_programs import HERE, Program

pytestmark = pytest.mark.django_db
ALL = f"{HERE}/experiments"
TEXT = cast.LABEL_SMOOTHING.format(name="from-a-script", goal=cast.GOAL, trials=4)


@pytest.fixture
def program() -> Program:
    cast.project()
    return Program("cleo", ("read", "write"))


def _counts() -> tuple[int, int]:
    return Project.objects.count(), Experiment.objects.count()


def test_an_experiment_is_made_from_its_yaml_and_reads_back_with_it(program: Program) -> None:
    status, made = program.post(ALL, {"text": TEXT})
    assert status == 201, made
    assert made["name"] == "from-a-script" and made["file"] == TEXT
    assert [arm["label"] for arm in made["arms"]] == [
        "label_smoothing = 0",
        "label_smoothing = 0.1",
    ]
    assert program.get(f"{ALL}/from-a-script")["budget"] == 8
    assert [row["name"] for row in program.get(f"{ALL}?q=script")["experiments"]] == [
        "from-a-script"
    ]


def test_an_experiment_is_made_from_the_same_file_as_json(program: Program) -> None:
    status, made = program.post(ALL, {"file": yaml.safe_load(TEXT)})
    assert status == 201, made
    assert made["goal"] == cast.GOAL and made["budget"] == 8


def test_every_error_of_a_file_is_told_with_its_key(program: Program) -> None:
    wrong = yaml.safe_load(TEXT) | {"search": {"sampler": "magic", "trials": -1}}
    status, answer = program.post(ALL, {"file": wrong})
    assert status == 400
    assert {error["where"] for error in answer["errors"]} == {"search.sampler", "search.trials"}
    assert not Experiment.objects.exists()


def test_a_file_of_another_project_is_refused_here(program: Program) -> None:
    cast.project("speech")
    status, answer = program.post(f"{ALL}", {"text": TEXT.replace("digits", "speech", 1)})
    assert status == 400 and answer["errors"][0]["where"] == "project"


def test_a_check_says_what_would_run_and_creates_nothing(program: Program) -> None:
    status, told = program.post(f"{HERE}/check-experiment", {"text": TEXT})
    assert status == 200 and told["ok"]
    assert told["design"][0] == "2 arms of 4 trials, 8 in all, 2 at once."
    assert told["considerations"]
    assert not Experiment.objects.exists()


def test_a_search_is_paused_resumed_stopped_archived_and_brought_back(program: Program) -> None:
    cast.search("s")
    for action, state in (
        ("pause", "paused"),
        ("resume", "running"),
        ("stop", "stopped"),
        ("archive", "stopped"),
        ("bring-back", "stopped"),
    ):
        body = {"reason": "seen enough"} if action == "stop" else None
        status, told = program.post(f"{ALL}/s/{action}", body)
        assert (status, told) == (200, {"name": "s", "state": state})
    assert program.get(f"{ALL}/s")["stop_reason"] == "seen enough"
    status, told = program.post(f"{ALL}/s/stop", {})
    assert status == 409 and told["error"] == "s has ended already."


def test_notes_tags_and_name_change_and_the_file_does_not(program: Program) -> None:
    before = cast.search("s").source
    status, changed = program.ask("PATCH", f"{ALL}/s", {"notes": "Look at **B3**."})
    assert status == 200
    assert changed["notes"] == "Look at **B3**." and changed["tags"] == ["regularisation"]
    _, changed = program.ask("PATCH", f"{ALL}/s", {"tags": ["a", "b"]})
    assert changed["notes"] == "Look at **B3**." and changed["tags"] == ["a", "b"]
    assert program.post(f"{ALL}/s/rename", {"name": "t"}) == (
        200,
        {"name": "t", "state": "running"},
    )
    assert program.get(f"{ALL}/t")["file"] == before


def test_deleting_needs_an_admin_and_the_name_once_more(program: Program) -> None:
    cast.end(cast.search("s"))
    status, _ = program.ask("DELETE", f"{ALL}/s?confirm=s")
    assert status == 403
    admin = Program("ada")
    status, answer = admin.ask("DELETE", f"{ALL}/s")
    assert status == 400 and answer["errors"][0]["where"] == "typed_name"
    assert admin.ask("DELETE", f"{ALL}/s?confirm=s")[0] == 204
    assert admin.ask("GET", f"{ALL}/s")[0] == 404


def test_follow_ups_are_files_that_can_be_sent_back(program: Program) -> None:
    cast.finished_search("s")
    offered = program.get(f"{ALL}/s/follow-ups")["follow_ups"]
    assert {"extend", "narrow", "exploit", "clone"} <= {offer["kind"] for offer in offered}
    assert all(bool(offer["text"]) != bool(offer["refused"]) for offer in offered)
    clone = program.get(f"{ALL}/s/follow-ups/clone")
    status, made = program.post(ALL, {"text": clone["text"]})
    assert status == 201, made
    assert made["name"] == clone["name"] and made["extends"] == "s"
    status, answer = program.ask("GET", f"{ALL}/s/follow-ups/magic")
    assert status == 400 and "magic" in answer["errors"][0]["message"]


def test_a_token_that_may_only_read_changes_nothing(program: Program) -> None:
    cast.search("s")
    reader = Program("ada", ("read",))
    for method, address, body in (
        ("POST", ALL, {"text": TEXT}),
        ("POST", f"{ALL}/s/stop", {}),
        ("PATCH", f"{ALL}/s", {"notes": "x"}),
        ("DELETE", f"{ALL}/s?confirm=s", None),
        ("POST", f"{ALL}/s/trials", {"parameters": {}}),
    ):
        status, answer = reader.ask(method, address, body)
        assert status == 403 and "scope write" in answer["error"]
    assert Experiment.objects.get().state == "running"


def test_a_viewer_with_a_writing_token_is_refused_by_the_role(program: Program) -> None:
    cast.search("s")
    status, answer = Program("ben").post(f"{ALL}/s/stop", {})
    assert status == 403 and "your role is viewer" in answer["error"]


def test_somebody_outside_finds_neither_project_nor_experiment(program: Program) -> None:
    cast.search("s")
    for address in (HERE, ALL, f"{ALL}/s", f"{ALL}/s/findings", f"{HERE}/members"):
        assert Program("dan").ask("GET", address)[0] == 404


def test_a_token_of_one_project_opens_no_other(program: Program) -> None:
    other = cast.project("speech")
    bound = Program("ada", project=other)
    assert bound.ask("GET", HERE)[0] == 404
    assert [project["slug"] for project in bound.get("/api/v1/projects")["projects"]] == ["speech"]
    status, _ = bound.post("/api/v1/projects", {})
    assert status == 403


def test_a_project_is_made_by_who_may(program: Program) -> None:
    new: dict[str, Any] = {
        "slug": "speech",
        "name": "Speech",
        "official_metric": "wer",
        "direction": "minimize",
    }
    before = _counts()
    status, _ = program.post("/api/v1/projects", new)
    assert status == 403 and _counts() == before
    cast.person("cleo").user_permissions.add(Permission.objects.get(codename="add_project"))
    status, made = program.post("/api/v1/projects", new)
    assert status == 201 and made["role"] == "admin" and made["champion"] is None
    status, answer = program.post("/api/v1/projects", new)
    assert status == 409 and answer["errors"][0]["where"] == "slug"
