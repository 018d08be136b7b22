"""A project in the archive and back, sealed test scores, and the record of changes."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from experiments.errors import Conflict, NotAllowed, NotFound
from experiments.models import Project, Replication, Trial
from experiments.models.trial import TrialState
from experiments.site.queries.jump import places
from experiments.site.queries.projects import due_for, inbox_of, list_projects
from experiments.team.queries.access import archived_projects, get_project
from experiments.team.queries.changes import changes_of
from experiments.team.queries.tokens import project_slugs, tokens_for
from experiments.team.services import members, projects, tokens
from experiments.trials.lifecycle.queries.workers import list_queues
from experiments.trials.lifecycle.services import outside_experiments, queue, runs
from experiments.web.pagination import FIRST_PAGE
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def digits() -> Project:
    return cast.project()


def _said() -> list[tuple[str, str]]:
    return [(row.made_by, row.text) for row in changes_of(cast.access("ada")).rows]


def test_an_archived_project_leaves_lists_inbox_search_and_queue(digits: Project) -> None:
    done = cast.finished_search(trials_per_arm=2)
    cast.repeated(done, looks=(3,), done=3)
    cast.search("waiting", trials_per_arm=2)
    ada = cast.person("ada")
    assert inbox_of(ada, due_for(ada)).items
    assert [listed.depth for listed in list_queues()] == [4]
    projects.archive(access=cast.access("ada"))
    assert list_projects(ada).rows == []
    assert archived_projects(ada, FIRST_PAGE).rows == [("digits", digits.name)]
    assert places(ada, "waiting") == places(ada, "digits") == []
    assert project_slugs(ada) == ()
    assert queue.claim(queue="cpu", worker_id=None) is None
    assert list_queues() == ()
    projects.bring_back(access=cast.access("ada"))
    assert len(list_projects(ada).rows) == 1
    assert queue.claim(queue="cpu", worker_id=None) is not None


def test_nobody_edits_or_decides_in_an_archived_project(digits: Project, client: Client) -> None:
    done = cast.finished_search(trials_per_arm=2)
    projects.archive(access=cast.access("ada"))
    access = get_project(cast.person("ada"), "digits")
    assert not access.can_edit and not access.can_decide and access.can_administer
    with pytest.raises(NotAllowed, match="digits is archived; an admin can restore it"):
        runs.create(access=access, new=runs.NewRun(experiment="late"))
    client.force_login(cast.person("ada"))
    text = client.get(cast.address(done)).content.decode()
    assert "This project is archived" in text and "Bring it back" in text
    assert client.post(cast.address(done, "archive/")).status_code == 403
    assert client.post("/projects/digits/settings/bring-back/").status_code == 302
    assert "This project is archived" not in client.get(cast.address(done)).content.decode()


def test_a_run_of_an_archived_project_is_not_edited_once_it_has_ended(
    digits: Project, client: Client
) -> None:
    ended = runs.create(access=cast.access("cleo"), new=runs.NewRun(experiment="late")).run_id
    lasts = runs.create(access=cast.access("cleo"), new=runs.NewRun(experiment="late")).run_id
    for run in (ended, lasts):
        Trial.objects.filter(pk=run).update(run_id=uuid.UUID(int=run))
    Trial.objects.filter(pk=ended).update(state=TrialState.FAILED)
    _, secret = tokens.create(
        user=cast.person("cleo"), project=digits, name="x", scopes=["read", "write"]
    )
    projects.archive(access=cast.access("ada"))

    def ask(call: str, run: int, **fields: object) -> int:
        return client.post(
            f"/projects/digits/api/2.0/mlflow/runs/{call}",
            {"run_id": uuid.UUID(int=run).hex, **fields},
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        ).status_code

    point = {"key": "loss", "value": 1.0, "timestamp": 1, "step": 1}
    assert ask("log-metric", lasts, **point) == 200, "what runs ends as it would"
    assert ask("log-metric", ended, **point) == ask("set-tag", ended, key="a", value="b") == 403
    assert ask("delete", ended) == ask("update", ended, status="RUNNING") == 403


def test_mlflow_s_clients_meet_an_archived_project_s_experiments_as_deleted(
    digits: Project, client: Client
) -> None:
    run = runs.create(access=cast.access("cleo"), new=runs.NewRun(experiment="late")).run_id
    Trial.objects.filter(pk=run).update(run_id=uuid.UUID(int=run))
    _, secret = tokens.create(user=cast.person("cleo"), project=None, name="x", scopes=["read"])

    def ask(call: str, **fields: object) -> Any:
        answer = client.post(
            f"/api/2.0/mlflow/{call}",
            fields,
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )
        assert answer.status_code == 200
        return answer.json()

    def found(view: str) -> list[str]:
        experiments = ask("experiments/search", max_results=10, view_type=view)["experiments"]
        ids = [str(Trial.objects.get(pk=run).study.experiment_id)]
        answer = ask("runs/search", experiment_ids=ids, run_view_type=view)
        stages = [experiment["lifecycle_stage"] for experiment in experiments]
        return stages + [row["info"]["lifecycle_stage"] for row in answer.get("runs", [])]

    assert (found("ACTIVE_ONLY"), found("DELETED_ONLY")) == (["active", "active"], [])
    projects.archive(access=cast.access("ada"))
    assert (found("ACTIVE_ONLY"), found("DELETED_ONLY")) == (["active"], ["deleted"]), "it runs"
    Trial.objects.filter(pk=run).update(state=TrialState.FAILED)
    assert (found("ACTIVE_ONLY"), found("DELETED_ONLY")) == ([], ["deleted", "deleted"])
    assert found("ALL") == ["deleted", "deleted"]


def test_deployments_go_on_reading_an_archived_project(digits: Project, client: Client) -> None:
    cast.decided("wider", "adopt", "Twice the width pays.")
    _, secret = tokens.create(user=cast.person("ada"), project=digits, name="deploy")
    bearer = {"Authorization": f"Bearer {secret}"}
    before = client.get("/api/v1/projects/digits/champion", headers=bearer)
    projects.archive(access=cast.access("ada"))
    assert before.status_code == 200
    for address in ("champion", "decisions", "decisions/1"):
        answer = client.get(f"/api/v1/projects/digits/{address}", headers=bearer)
        assert answer.status_code == 200, address
    after = client.get("/api/v1/projects/digits/champion", headers=bearer)
    assert after.json() == before.json()
    assert Replication.objects.exists()


@pytest.mark.parametrize("who", ["ben", "cleo"])
def test_only_admins_archive_bring_back_and_seal(digits: Project, who: str) -> None:
    for act in (projects.archive, projects.bring_back, projects.seal):
        with pytest.raises(NotAllowed):
            act(access=cast.access(who))
    with pytest.raises(Conflict, match="not archived"):
        projects.bring_back(access=cast.access("ada"))


def test_an_open_project_can_be_sealed_but_not_opened_again(digits: Project) -> None:
    Project.objects.update(seals_test=False)
    before = runs.create(access=cast.access("cleo"), new=runs.NewRun(experiment="before"))
    projects.seal(access=cast.access("ada"))
    after = runs.create(access=cast.access("cleo"), new=runs.NewRun(experiment="after"))
    documents = {
        experiment.name: experiment.document
        for experiment in outside_experiments.Experiment.objects.all()
    }
    assert before.run_id != after.run_id
    assert "seals_test" in documents["before"] and "seals_test" not in documents["after"]
    with pytest.raises(Conflict, match="sealed already"):
        projects.seal(access=cast.access("ada"))


def test_changes_say_who_changed_what(digits: Project) -> None:
    ada = cast.access("ada")
    projects.change(
        access=ada, name="Ten digits", margin=0.002, smallest_gain=ada.smallest_gain,
        targets=[*ada.targets, "staging"], reviews="adopts",
    )  # fmt: skip
    members.change_role(access=ada, username="ben", role="editor")
    members.remove(access=ada, username="ben")
    projects.archive(access=ada)
    assert _said() == [
        ("ada", "archived the project"),
        ("ada", "removed ben, editor"),
        ("ada", "made ben editor, viewer before"),
        ("ada", "changed the reviews from none to adopts"),
        ("ada", f"changed the margin from {ada.margin} to 0.002"),
        ("ada", f"changed the name from {ada.name} to Ten digits"),
        ("ada", "changed the targets from production to production, staging"),
    ]


def test_what_was_refused_is_not_noted(digits: Project) -> None:
    with pytest.raises(Conflict, match="only admin"):
        members.remove(access=cast.access("ada"), username="ada")
    assert _said() == []


def test_an_admin_sees_and_revokes_tokens_of_the_project(digits: Project, client: Client) -> None:
    cast.project("speech")
    mine, _ = tokens.create(user=cast.person("ben"), project=digits, name="ben's script")
    every, _ = tokens.create(user=cast.person("cleo"), project=None, name="all of cleo's")
    tokens.create(user=cast.person("dan"), project=None, name="a stranger's")
    seen = tokens_for(cast.access("ada")).rows
    assert [(token.owner, token.name, token.project) for token in seen] == [
        ("cleo", "all of cleo's", ""),
        ("ben", "ben's script", "digits"),
    ]
    client.force_login(cast.person("ada"))
    page = client.get("/projects/digits/tokens/").content.decode()
    assert "ben&#x27;s script" in page and "only cleo can revoke it" in page
    with pytest.raises(NotFound):
        tokens.revoke_in(access=cast.access("ada"), token_id=every.pk)
    assert client.post(f"/projects/digits/tokens/{mine.pk}/revoke/").status_code == 302
    assert [token.name for token in tokens_for(cast.access("ada")).rows] == ["all of cleo's"]
    assert _said() == [("ada", "revoked the token ben's script of ben")]
