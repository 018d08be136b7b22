"""Every operation of the API does as its own description promises: no 5xx, answers that match
their schema, one shape of errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.conf import settings as django_settings
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from ninja import Schema
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from experiments.decisions.services import sharing
from experiments.models import (
    Artifact,
    BatchSizeProbe,
    Decision,
    Experiment,
    Finding,
    Proposal,
    Replication,
    Trial,
)
from experiments.site.api.routes import api
from experiments.team.services import tokens, webhooks
from tests import cast
from tests.experiments.asking_programs import Program

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]
PROMISES = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# No run of the cast has left a checkpoint.
WITHOUT = {"GET /api/v1/projects/{slug}/champion/checkpoint"}
ERROR = {"ok", "error", "errors", "status"}
# What makes sense together: no generator finds two names of experiments.
QUERIES = {"/compare": {"a": "s", "b": "decided"}, "/schedule": {"looks": "5, 10"}}


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """The application runs inside the test's transaction, as with Django's client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def places() -> dict[str, Any]:
    """What path parameters are called where something is there."""
    project, ada = cast.project(), cast.person("ada")
    cast.decided("decided", "adopt", "It pays.")
    experiment = cast.finished_search("s", trials_per_arm=4)
    cast.some_findings(experiment)
    replication = cast.repeated(experiment)
    proposal = Proposal.objects.create(
        project=project,
        replication=replication,
        choice="reject",
        verdict="adopt",
        overrides_verdict=True,
        reason="No.",
        proposed_by=cast.person("eve"),
        proposed_at=cast.START,
    )
    hook, _ = webhooks.create(
        access=cast.access(ada, project),
        kind="json",
        address="https://hooks.example.org/x",
        events=["decided"],
    )
    trial = Trial.objects.filter(study__experiment=experiment, number=1)[0]
    kept = Artifact.objects.create(
        trial=trial, kind="file", name="a.txt", path="openapi/a.txt", size=1, sha256="0" * 64
    )
    place = django_settings.ARTIFACTS_DIR / kept.path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"a")
    Artifact.objects.create(
        trial_id=experiment.best_trial_id,
        kind="file",
        name="of the run.txt",
        path=kept.path,
        size=1,
        sha256="0" * 64,
    )
    probe = BatchSizeProbe.objects.create(project=project, state="waiting", objective="a:b")
    text = "Words.\n\nexperiments/s/?tab=history\n\nruns/\n\ndecisions/1/"
    report, frozen = cast.frozen_report(text)
    return {
        "slug": "digits",
        "name": "s",
        "report": report,
        "frozen": frozen,
        "trial": "A1",
        "run_id": experiment.best_trial_id,
        "finding": Finding.objects.filter(experiment=experiment).values_list("pk", flat=True)[0],
        "replication": replication.pk,
        "proposal": proposal.pk,
        "link": sharing.create(access=cast.access(ada, project), decision=1)[0].pk,
        "sequence": Decision.objects.values_list("sequence", flat=True)[0],
        "kind": "clone",
        "username": "ben",
        "token": Program("ada").token.pk,
        "project_token": tokens.create(user=ada, project=project, name="of it")[0].pk,
        "webhook": hook.pk,
        "delivery": webhooks.send_test(access=cast.access(ada, project), webhook_id=hook.pk).pk,
        "file": kept.pk,
        "file_name": "of the run.txt",
        "upload": "mine",
        "measurement": probe.pk,
    }


def test_no_two_schemas_of_the_api_share_a_name() -> None:
    import experiments.site.api.urls  # noqa: F401 (adds the routers)

    shapes: dict[str, Any] = {}
    models = [
        model
        for _, router in api._routers
        for view in router.path_operations.values()
        for operation in view.operations
        for model in operation.response_models.values()
        if isinstance(model, type) and issubclass(model, Schema)
    ]
    assert len(models) > 100
    for model in models:
        for name, shape in model.model_json_schema(mode="serialization").get("$defs", {}).items():
            assert shapes.setdefault(name, shape) == shape, name


def _operations() -> Iterator[Any]:
    import experiments.site.api.urls  # noqa: F401 (adds the routers)

    described = json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/v1/"), default=str))
    schema = schemathesis.openapi.from_dict(described)
    schema.app = get_wsgi_application()
    for found in schema.get_all_operations():
        yield found.ok()


@pytest.mark.parametrize("examples", [2, pytest.param(25, marks=pytest.mark.exhaustive)])
def test_every_operation_answers_as_its_description_promises(
    places: dict[str, Any], examples: int
) -> None:
    """So many `examples` of each kind of data for each operation."""
    secret = Program("ada").secret
    before = _counts()
    statuses: dict[str, set[int]] = {}
    broken: list[str] = []
    for operation in _operations():
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            seen = statuses.setdefault(operation.label, set())
            try:  # told together: each names its request
                _try(operation, mode, examples, places, secret, seen)
            except (
                Exception,
                BaseExceptionGroup,
            ) as error:
                broken.append(f"{operation.label} ({mode.value}): {_words(error)}")
    assert not broken, "\n\n".join(broken)
    assert _counts() == before
    assert len(statuses) > 50
    silent = [label for label, seen in statuses.items() if not seen]
    assert not silent, "never asked"
    untouched = [label for label, seen in statuses.items() if seen == {404}]
    assert not untouched, "only asked where nothing is"
    unanswered = [
        label
        for label, seen in statuses.items()
        if label.startswith("GET") and not seen & {200, 304} and label not in WITHOUT
    ]
    assert not unanswered, "reading always answers somewhere"


def _try(
    operation: Any,
    mode: GenerationMode,
    examples: int,
    places: dict[str, Any],
    secret: str,
    seen: set[int],
) -> None:
    @seed(9)
    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
        deadline=None,
    )
    @given(case=operation.as_strategy(generation_mode=mode), somewhere=st.integers(0, 3))
    def ask(case: Case, somewhere: int) -> None:
        # What is drawn goes with what was imported before; each operation is to find something
        # once, and each reading to succeed.
        reads = operation.label.startswith("GET")
        if somewhere or not (seen & {200, 304} if reads else seen - {404}):
            case.path_parameters |= {k: v for k, v in places.items() if k in case.path_parameters}
            if ".{kind}" in operation.label:
                case.path_parameters["kind"] = "csv"
            for ending, query in QUERIES.items():
                if operation.label.endswith(ending):
                    case.query = query
        with _forgotten():
            answer = case.call(headers={"Authorization": f"Bearer {secret}"})
            case.validate_response(answer, checks=PROMISES)
        seen.add(answer.status_code)
        if answer.status_code >= 400:
            told = answer.json()
            assert set(told) == ERROR and told["status"] == answer.status_code and told["error"]

    ask()


class _forgotten:
    """What one request wrote is rolled back, so that all find the same."""

    def __enter__(self) -> None:
        self._saved = transaction.savepoint()

    def __exit__(self, *error: object) -> None:
        transaction.savepoint_rollback(self._saved)


def _counts() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Experiment, Replication, Decision, Finding))


def _words(error: BaseException) -> str:
    inside = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    return "; ".join(f"{type(problem).__name__}: {problem!s:.1500}" for problem in inside)
