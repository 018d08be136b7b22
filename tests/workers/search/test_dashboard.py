"""The real optuna-dashboard, on our storage."""

from __future__ import annotations

import io
import json
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import optuna_dashboard
import pytest

from experiments.models import Experiment
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import trials
from tests import cast
from workers.search.storage import VerdictStorage

pytestmark = pytest.mark.django_db


def ask(path: str, *, method: str = "GET", body: object = None, query: str = "") -> Any:
    """What a dashboard that was just started answers; its JSON, if it has a body."""
    text = b"" if body is None else json.dumps(body).encode()
    environment: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(text)),
        "wsgi.input": io.BytesIO(text),
    }
    setup_testing_defaults(environment)
    status: list[str] = []
    app = optuna_dashboard.wsgi(VerdictStorage())
    answer = b"".join(app(environment, lambda line, headers, *_: status.append(line)))
    assert status[0].startswith("2"), (status, answer[:300])
    return json.loads(answer) if answer else None


@pytest.fixture
def search() -> Experiment:
    """A search of ours with a finished and a running trial."""
    cast.project()
    search = cast.search("shown", trials_per_arm=2)
    study = search.studies.get(arm_index=0)
    done, _ = trials.create(
        study_id=study.pk,
        state=TrialState.RUNNING,
        parameters={"learning_rate": (0.01, cast.LEARNING_RATE)},
    )
    trials.report(trial_id=done, step=3, value=0.75)
    trials.finish(trial_id=done, state=TrialState.COMPLETE, values=[0.9])
    trials.create(study_id=study.pk, state=TrialState.RUNNING)
    return search


def test_the_dashboard_lists_our_searches_and_free_standing_studies(search: Experiment) -> None:
    optuna.create_study(storage=VerdictStorage(), study_name="free")
    names = {study["study_name"] for study in ask("/api/studies")["study_summaries"]}
    assert names == {"free", *search.studies.values_list("name", flat=True)}


def test_the_dashboard_shows_a_searchs_trials(search: Experiment) -> None:
    study = search.studies.get(arm_index=0)
    shown = ask(f"/api/studies/{study.pk}", query="after=0")
    assert shown["name"] == study.name and shown["directions"] == ["maximize"]
    done, running = shown["trials"]
    assert (done["state"], done["values"]) == ("Complete", [0.9])
    assert done["intermediate_values"] == [{"step": 3, "value": 0.75}]
    assert done["params"][0]["name"] == "learning_rate"
    assert running["state"] == "Running"
    assert [parameter["name"] for parameter in shown["union_search_space"]] == ["learning_rate"]


def test_the_dashboard_makes_studies_writes_notes_and_deletes(search: Experiment) -> None:
    made = ask(
        "/api/studies", method="POST", body={"study_name": "made", "directions": ["minimize"]}
    )
    study_id = made["study_summary"]["study_id"]
    ask(f"/api/studies/{study_id}/note", method="PUT", body={"body": "Looks good.", "version": 1})
    assert ask(f"/api/studies/{study_id}", query="after=0")["note"]["body"] == "Looks good."
    ask(f"/api/studies/{study_id}", method="DELETE")
    assert "made" not in {study["study_name"] for study in ask("/api/studies")["study_summaries"]}
