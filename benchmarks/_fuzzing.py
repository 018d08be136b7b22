"""Send damaged requests to the application in this process, and look at what they leave behind.

A request may be refused or do what it says. It may not raise, answer 5xx, answer an API error in
another shape, change anything although it was refused, or leave records that contradict each
other.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection, models, transaction
from django.test import Client

from benchmarks import _fuzz_requests as requests
from benchmarks._fuzz_requests import FORM, Request
from experiments.models import Artifact, Decision, Experiment, Project, Replication, Trial
from experiments.models.trial import StudyKind, TrialState
from experiments.team.queries.access import get_project
from experiments.team.services import invitations, tokens, webhooks

EPISODE = 25  # requests before all that they wrote is forgotten
ERROR = {"ok", "error", "errors", "status"}
MLFLOW_ERROR = {"error_code", "message"}
# What a refused request may well touch: when a token was used, sessions, guesses of passwords.
_NOT_COUNTED = ("ApiToken", "CountedAttempt")


@dataclass(slots=True)
class Outcome:
    """How requests were answered, and what went wrong with its request."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: dict[str, str] = field(default_factory=dict)  # by kind, with one request each
    sent: int = 0

    def note(self, what: str, request: Any) -> None:
        self.wrong.setdefault(what, repr(request)[:1500])

    def add(self, other: Outcome) -> None:
        self.statuses.update(other.statuses)
        self.wrong = {**other.wrong, **self.wrong}
        self.sent += other.sent


def attack(
    base: Sequence[Request], *, user: User, count: int, rng: np.random.Generator
) -> Outcome:
    """Send `count` damaged copies of the requests; the caller holds an open transaction."""
    pages, programs = Client(raise_request_exception=True), Client(raise_request_exception=True)
    pages.force_login(user)
    _, secret = tokens.create(
        user=user, project=None, name="fuzz", scopes=("read", "write", "decide")
    )
    outcome = Outcome()
    logging.disable(logging.CRITICAL)
    try:
        while outcome.sent < count:
            saved = transaction.savepoint()
            for _ in range(min(EPISODE, count - outcome.sent)):
                request = base[int(rng.integers(len(base)))]
                client = programs if "/api/" in request.path else pages
                _send(request.sent(rng), client, secret, outcome)
            transaction.savepoint_rollback(saved)
    finally:
        logging.disable(logging.NOTSET)
    return outcome


def _send(
    sent: tuple[str, str, bytes, dict[str, str]], client: Client, secret: str, outcome: Outcome
) -> None:
    method, address, body, headers = sent
    is_api = "/api/" in address
    if is_api:
        headers = {**headers, "Authorization": f"Bearer {secret}"}
    before = counts()
    outcome.sent += 1
    inside = transaction.savepoint()
    try:
        answer: Any = client.generic(
            method,
            address,
            body,
            content_type="application/json" if is_api else FORM,
            headers=headers,
        )
        content = b"".join(answer) if answer.streaming else answer.content
    except Exception as error:  # whatever it is, that would have been a 500
        transaction.savepoint_rollback(inside)
        outcome.statuses[500] += 1
        outcome.note(f"{type(error).__name__}: {error!s:.200} {_where(error)}", sent)
        return
    transaction.savepoint_commit(inside)
    outcome.statuses[answer.status_code] += 1
    if answer.status_code >= 500:
        outcome.note(f"answered {answer.status_code}", sent)
    if answer.status_code >= 400:
        if counts() != before:
            outcome.note(f"refused with {answer.status_code}, but rows changed", sent)
        door = "/api/2.0/mlflow" in address
        shaped = door or address.startswith("/api/")
        if shaped and not _is_an_error(content, answer.status_code, mlflow=door):
            outcome.note("an error of another shape", sent)
    elif method not in ("GET", "HEAD"):
        for contradiction in contradictions():
            outcome.note(contradiction, sent)


def _where(error: BaseException) -> str:
    """The last line of ours that the error went through."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if "/experiments/" in code.co_filename or "/config/" in code.co_filename:
            place = f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _is_an_error(content: bytes, status: int, *, mlflow: bool) -> bool:
    try:
        told = json.loads(content)
    except ValueError:
        return False
    if mlflow and isinstance(told, dict) and set(told) == MLFLOW_ERROR:
        return True
    return isinstance(told, dict) and set(told) == ERROR and told["status"] == status


def counts() -> list[Any]:
    """Rows of each table, and what a refused request might have changed about an experiment."""
    tables = [
        model._meta.db_table
        for model in apps.get_app_config("experiments").get_models()
        if model.__name__ not in _NOT_COUNTED
    ]
    selects = ", ".join(f'(SELECT count(*) FROM "{table}")' for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {selects}")
        found: list[Any] = list(cursor.fetchone() or ())
    chief = ("pk", "name", "state", "budget", "parallel", "priority", "notes", "archived_at")
    return [*found, *Experiment.objects.order_by("pk").values_list(*chief)]


def contradictions() -> list[str]:
    """What records say that cannot be true together."""
    search = models.Q(studies__kind=StudyKind.SEARCH)
    finished = models.Q(
        studies__trials__state__in=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)
    )
    found = [
        f"{name} counts {held} trials, has {there}"
        for name, held, there in Experiment.objects.annotate(
            there=models.Count("studies__trials", filter=search & finished, distinct=True)
        ).values_list("name", "trial_count", "there")
        if held != there
    ]
    if Experiment.objects.filter(studies__isnull=True).exists():
        found.append("an experiment without a study")
    if Replication.objects.filter(studies__isnull=True, purpose="verdict").exists():
        found.append("a replication without studies")
    waiting = Trial.objects.filter(state=TrialState.WAITING, study__kind=StudyKind.REPLICATION)
    if waiting.filter(pair__isnull=True, study__replication__isnull=True).exists():
        found.append("a replicate of nothing")
    chain = list(Decision.objects.order_by("sequence").values_list("previous_hash", "hash"))
    if any(one[1] != other[0] for one, other in pairwise(chain)):
        found.append("the log of decisions is broken")
    return found


def prepared() -> tuple[list[Request], User]:
    """Requests that work on what the cast has built, and who sends them."""
    import yaml

    from experiments.models import Finding
    from experiments.verdict.evidence import evidence
    from tests import cast

    cast.project()
    cast.decided("d", "adopt", "It pays.")
    searched = cast.finished_search("s", trials_per_arm=4)
    cast.some_findings(searched)
    replication = cast.repeated(searched)
    running = cast.running_search("r", done=2)
    other = cast.finished_search("u", trials_per_arm=4)
    text = cast.LABEL_SMOOTHING.format(name="new-one", goal=cast.GOAL, trials=4)
    complete = Trial.objects.filter(study__experiment=other, state=TrialState.COMPLETE)
    best = list(complete.select_related("study").order_by("-value")[:2])
    trial = Trial.objects.filter(study__experiment=running, state=TrialState.RUNNING)[0]
    made = {
        "replication": replication.pk,
        "state": evidence.evaluate(replication).state,
        "finding": Finding.objects.filter(experiment=searched).values_list("pk", flat=True)[0],
        "trial": "A1",
        "running": f"A{trial.number}",
        "candidate": best[0].pk,
        "other": best[1].pk,
        "candidate_name": _name(best[0]),
        "other_name": _name(best[1]),
        "run": _outside_run(),
        **_tracked_run(running.project),
        **_messages(searched),
    }
    document = yaml.safe_load(text)
    return [
        *requests.forms(text, made),
        *requests.bodies(text, document, made),
        *requests.tracked(made),
        *requests.addresses(made),
    ], cast.person("ada")


def _messages(experiment: Experiment) -> dict[str, Any]:
    """A webhook with a delivery, an open invitation, and a file of a trial."""
    project, user = experiment.project, User.objects.get(username="ada")
    hook, _ = webhooks.create(
        access=get_project(user, project.slug), kind="json", address="https://hooks.example.org/",
        events=["decided"],
    )  # fmt: skip
    invitation = invitations.create(access=get_project(user, project.slug), role="viewer")
    trial = Trial.objects.filter(study__experiment=experiment, number=1)[0]
    file = Artifact.objects.create(
        trial=trial, kind="file", name="a.txt", path="none/a.txt", size=1, sha256="0" * 64
    )
    return {
        "webhook": hook.pk,
        "delivery": webhooks.send_test(
            access=get_project(user, project.slug), webhook_id=hook.pk
        ).pk,
        "invitation": invitations.token_of(invitation.pk),
        "file": file.pk,
    }


def _tracked_run(project: Project) -> dict[str, str]:
    """A run that an MLflow client began."""
    owner = User.objects.get(username="ada")
    _, secret = tokens.create(user=owner, project=project, name="mlflow", scopes=("write",))
    door = f"/projects/{project.slug}/api/2.0/mlflow"

    def call(path: str, body: dict[str, Any]) -> Any:
        answer = Client().post(
            f"{door}/{path}",
            body,
            "application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )
        return json.loads(answer.content)

    experiment = call("experiments/create", {"name": "tracked"})["experiment_id"]
    run = call("runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    return {"tracked_experiment": experiment, "tracked_run": run}


def _name(trial: Trial) -> str:
    return f"{'AB'[trial.study.arm_index]}{trial.number}"


def _outside_run() -> int:
    from experiments.trials.lifecycle.services import runs
    from tests import cast

    owner = cast.person("ada")
    new = runs.NewRun(experiment="outside", params={"lr": 0.1})
    project = Experiment.objects.filter(name="s")[0].project
    return runs.create(access=get_project(owner, project.slug), new=new).run_id
