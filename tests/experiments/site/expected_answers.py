"""Who gets what from each address: the table behind `test_every_address`.

Six answers a line: nobody, an outsider, viewer, editor, approver, admin. Methods that a row does
not name answer 405 to everybody.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """Answers by method; `ANY` stands for every method."""

    GET: str = ""
    POST: str = ""
    PATCH: str = ""
    PUT: str = ""
    DELETE: str = ""
    ANY: str = ""

    def expected(self, method: str, who: int) -> int:
        said = getattr(self, method) or self.ANY
        return int(said.split()[who]) if said else 405


READ = "302 404 200 200 200 200"
READ_API = "401 404 200 200 200 200"
EDIT = "302 404 403 302 302 302"
ADMINISTER = "302 404 403 403 403 302"
ADMINS_SEE = "302 404 403 403 403 200"
OWN = "302 200 200 200 200 200"

PAGES: dict[str, Row] = {
    "login/": Row(
        GET="200 302 302 302 302 302",
        POST="200 302 302 302 302 302",
        PUT="405 302 302 302 302 302",
        PATCH="405 302 302 302 302 302",
        DELETE="405 302 302 302 302 302",
    ),
    "logout/": Row(POST="302 302 302 302 302 302"),
    "account/": Row(GET=OWN, POST=OWN),
    "account/password/": Row(
        GET=OWN,
        POST=OWN,
        PUT="302 405 405 405 405 405",
        PATCH="302 405 405 405 405 405",
        DELETE="302 405 405 405 405 405",
    ),
    "password/": Row(GET="200 200 200 200 200 200", POST="200 200 200 200 200 200"),
    "password/sent/": Row(GET="200 200 200 200 200 200"),
    "password/<uidb64>/<token>/": Row(ANY="200 200 200 200 200 200"),
    "invitations/<str:token>/": Row(GET="200 200 200 200 200 200", POST="400 302 400 400 400 400"),
    "account/tokens/": Row(GET=OWN, POST=OWN),
    "account/tokens/<int:token>/revoke/": Row(POST="302 404 404 404 404 302"),
    "account/messages/": Row(GET=OWN),
    "account/messages/<slug:slug>/": Row(POST="302 404 302 302 302 302"),
    "open/experiments/<int:experiment>/": Row(GET="302 404 302 302 302 302"),
    "open/experiments/<int:experiment>/runs/<str:run>/": Row(GET="302 404 302 302 302 302"),
    "projects/<slug:slug>/first-run/live/": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/metric/": Row(POST=EDIT),
    "": Row(GET=OWN),
    "new-project/": Row(GET="302 403 403 403 403 403", POST="302 403 403 403 403 403"),
    "jump/": Row(GET=OWN),
    "docs/<slug:chapter>/": Row(GET=OWN),
    "workers/": Row(GET=OWN),
    "workers/live/": Row(GET=OWN),
    "under-way/": Row(GET=OWN),
    "projects/<slug:slug>/": Row(GET=READ),
    "projects/<slug:slug>/settings/": Row(GET=ADMINS_SEE, POST=ADMINS_SEE),
    "projects/<slug:slug>/settings/seal/": Row(POST=ADMINISTER),
    "projects/<slug:slug>/settings/archive/": Row(POST=ADMINISTER),
    "projects/<slug:slug>/settings/bring-back/": Row(POST=ADMINISTER),
    "projects/<slug:slug>/tokens/": Row(GET=ADMINS_SEE),
    "projects/<slug:slug>/tokens/<int:token>/revoke/": Row(POST=ADMINISTER),
    "projects/<slug:slug>/members/": Row(GET=READ),
    "projects/<slug:slug>/members/add/": Row(POST=ADMINISTER),
    "projects/<slug:slug>/members/invite/": Row(POST=ADMINISTER),
    "projects/<slug:slug>/members/role/": Row(POST=ADMINISTER),
    "projects/<slug:slug>/members/remove/": Row(POST=ADMINISTER),
    "projects/<slug:slug>/invitations/<int:invitation>/withdraw/": Row(POST=ADMINISTER),
    "shared/<str:secret>/": Row(GET="200 200 200 200 200 200"),
    "projects/<slug:slug>/sharing/": Row(GET=ADMINS_SEE, POST="302 404 403 403 403 400"),
    "projects/<slug:slug>/sharing/<int:link>/revoke/": Row(POST=ADMINISTER),
    "projects/<slug:slug>/webhooks/": Row(GET=ADMINS_SEE, POST=ADMINS_SEE),
    "projects/<slug:slug>/webhooks/<int:webhook>/secret/": Row(POST=ADMINS_SEE),
    "projects/<slug:slug>/webhooks/<int:webhook>/test/": Row(POST=ADMINISTER),
    "projects/<slug:slug>/webhooks/<int:webhook>/remove/": Row(POST=ADMINISTER),
    "projects/<slug:slug>/deliveries/<int:delivery>/again/": Row(POST=ADMINISTER),
    "projects/<slug:slug>/runs/": Row(GET=READ),
    "projects/<slug:slug>/runs/table/": Row(GET=READ),
    "projects/<slug:slug>/runs/charts/": Row(GET=READ),
    "projects/<slug:slug>/runs/live/": Row(GET=READ),
    "projects/<slug:slug>/runs/ids/": Row(GET=READ),
    "projects/<slug:slug>/runs/bulk/": Row(POST=EDIT),
    "projects/<slug:slug>/runs/<int:row>/edit/<str:field>/": Row(
        GET="302 404 403 200 200 200", POST="302 404 403 200 200 200"
    ),
    "projects/<slug:slug>/runs/export/": Row(POST="302 404 200 200 200 200"),
    "projects/<slug:slug>/runs/views/": Row(POST="302 404 302 302 302 302"),
    "projects/<slug:slug>/runs/views/<int:view>/delete/": Row(POST=EDIT),
    "projects/<slug:slug>/runs/views/<int:view>/default/": Row(POST=EDIT),
    "projects/<slug:slug>/import/": Row(GET="302 404 403 200 200 200"),
    "projects/<slug:slug>/import/file/": Row(PUT="302 404 403 422 422 422"),
    "projects/<slug:slug>/studies/": Row(GET=READ),
    "projects/<slug:slug>/studies/<int:study>/": Row(GET=READ),
    "projects/<slug:slug>/studies/<int:study>/charts/": Row(GET=READ),
    "projects/<slug:slug>/compare/": Row(GET=READ),
    "projects/<slug:slug>/compare/charts/": Row(GET=READ),
    "projects/<slug:slug>/compare/live/": Row(GET=READ),
    "projects/<slug:slug>/batch-sizes/": Row(GET=READ, POST="302 404 403 400 400 400"),
    "projects/<slug:slug>/batch-sizes/live/": Row(GET=READ),
    "projects/<slug:slug>/batch-sizes/<int:probe>/cancel/": Row(POST=EDIT),
    "projects/<slug:slug>/reports/": Row(GET=READ),
    "projects/<slug:slug>/reports/new/": Row(GET=READ, POST=EDIT),
    "projects/<slug:slug>/reports/preview/": Row(POST=READ),
    "projects/<slug:slug>/reports/embedded/": Row(GET=READ),
    "projects/<slug:slug>/reports/<int:report>/": Row(GET=READ),
    "projects/<slug:slug>/reports/<int:report>/edit/": Row(GET=READ, POST=EDIT),
    "projects/<slug:slug>/reports/<int:report>/history/": Row(GET=READ),
    "projects/<slug:slug>/reports/<int:report>/restore/": Row(POST=EDIT),
    "projects/<slug:slug>/reports/<int:report>/archive/": Row(POST=EDIT),
    "projects/<slug:slug>/reports/<int:report>/bring-back/": Row(POST=EDIT),
    "projects/<slug:slug>/reports/<int:report>/freeze/": Row(POST=EDIT),
    "projects/<slug:slug>/reports/frozen/<int:frozen>/": Row(GET=READ),
    "projects/<slug:slug>/reports/frozen/<int:frozen>/file/": Row(GET=READ),
    "projects/<slug:slug>/champions/": Row(GET=READ),
    "projects/<slug:slug>/champions/revert/": Row(POST="302 404 403 403 302 302"),
    "projects/<slug:slug>/baseline/": Row(GET=READ),
    "projects/<slug:slug>/baseline/start/": Row(POST="302 404 403 400 400 400"),
    "projects/<slug:slug>/baseline/record/": Row(POST="302 404 404 404 404 404"),
    "projects/<slug:slug>/baseline/repeat/": Row(POST="302 404 404 404 404 404"),
    "projects/<slug:slug>/baseline/enter/": Row(POST="302 404 403 403 400 400"),
    "projects/<slug:slug>/decisions/": Row(GET=READ),
    "projects/<slug:slug>/decisions.csv": Row(GET=READ),
    "projects/<slug:slug>/decisions.jsonl": Row(GET=READ),
    "projects/<slug:slug>/decisions/<int:sequence>/": Row(GET=READ),
    "projects/<slug:slug>/decisions/<int:sequence>.md": Row(GET=READ),
    "projects/<slug:slug>/findings/<int:finding>/dismiss/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/new/": Row(GET=READ, POST=EDIT),
    "projects/<slug:slug>/experiments/new/check/": Row(POST=READ),
    "projects/<slug:slug>/experiments/new/rows/": Row(POST=READ),
    "projects/<slug:slug>/experiments/new/try/<int:dry_run>/": Row(GET=READ),
    "projects/<slug:slug>/experiments/new/try/<int:dry_run>/live/": Row(GET=READ),
    "projects/<slug:slug>/experiments/new/try/<int:dry_run>/cancel/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/live/": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/charts/": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/curves/": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/trials.csv": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/series.<str:kind>": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/edges/probe/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/edges/cancel/": Row(
        POST="302 404 403 404 404 404"
    ),
    "projects/<slug:slug>/experiments/<str:name>/mute/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/stop/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/pause/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/resume/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/control/": Row(
        GET="302 404 403 200 200 200", POST="302 404 403 400 400 400"
    ),
    "projects/<slug:slug>/experiments/<str:name>/hand-back/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/retry-failed/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/trials/<str:trial>/cancel/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/edit/": Row(GET=READ, POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/rename/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/archive/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/bring-back/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/delete/": Row(GET=READ, POST=ADMINS_SEE),
    "projects/<slug:slug>/experiments/<str:name>/follow-ups/": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/add/": Row(GET="302 404 403 200 200 200"),
    "projects/<slug:slug>/experiments/<str:name>/add/configuration/": Row(
        POST="302 404 403 400 400 400"
    ),
    "projects/<slug:slug>/experiments/<str:name>/add/trials/": Row(POST="302 404 403 400 400 400"),
    "projects/<slug:slug>/experiments/<str:name>/add/grid/": Row(POST="302 404 403 400 400 400"),
    "projects/<slug:slug>/experiments/<str:name>/trials/<str:trial>/retry/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/trials/<str:trial>/media/<int:file>/": Row(
        GET=READ
    ),
    # The file of this test is no image.
    "projects/<slug:slug>/experiments/<str:name>/trials/<str:trial>/image/<int:file>/": Row(
        GET="302 404 404 404 404 404"
    ),
    "projects/<slug:slug>/experiments/<str:name>/trials/<str:trial>/files/<int:file>/": Row(
        GET=READ
    ),
    "projects/<slug:slug>/experiments/<str:name>/trials/<str:trial>/": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/trials/<str:trial>/live/": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/seeds/": Row(
        GET=READ, POST="302 404 403 200 200 200"
    ),
    "projects/<slug:slug>/experiments/<str:name>/seeds/live/": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/seeds/existing/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/seeds/power/": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/seeds/<int:replication>/extra/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/seeds/<int:replication>/continue/": Row(
        POST=EDIT
    ),
    "projects/<slug:slug>/experiments/<str:name>/seeds/<int:replication>/repeat/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/seeds/<int:replication>/open-test/": Row(
        POST=EDIT
    ),
    "projects/<slug:slug>/experiments/<str:name>/seeds/measure/<str:purpose>/": Row(POST=EDIT),
    "projects/<slug:slug>/experiments/<str:name>/decide/": Row(GET=READ),
    "projects/<slug:slug>/experiments/<str:name>/decide.md": Row(GET=READ),
    "projects/<slug:slug>/proposals/<int:proposal>/confirm/": Row(POST="302 404 403 403 302 302"),
    "projects/<slug:slug>/proposals/<int:proposal>/withdraw/": Row(POST="302 404 403 403 302 302"),
    "projects/<slug:slug>/experiments/<str:name>/decide/record/": Row(
        POST="302 404 403 403 302 302"
    ),
}

API: dict[str, Row] = {
    "api/<str:version>/mlflow/<path:call>": Row(GET=READ_API),
    "projects/<slug:slug>/api/<str:version>/mlflow/<path:call>": Row(GET=READ_API),
    "api/<str:version>/mlflow-artifacts/artifacts": Row(
        GET="401 404 404 404 404 404",
        PUT="401 404 404 404 404 404",
        DELETE="401 404 404 404 404 404",
    ),
    "api/<str:version>/mlflow-artifacts/artifacts/<path:path>": Row(
        GET=READ_API, PUT="401 404 403 200 200 200", DELETE="401 404 403 200 200 200"
    ),
    "projects/<slug:slug>/api/<str:version>/mlflow-artifacts/artifacts": Row(
        GET="401 404 404 404 404 404",
        PUT="401 404 404 404 404 404",
        DELETE="401 404 404 404 404 404",
    ),
    "projects/<slug:slug>/api/<str:version>/mlflow-artifacts/artifacts/<path:path>": Row(
        GET=READ_API, PUT="401 404 403 200 200 200", DELETE="401 404 403 200 200 200"
    ),
    "api/v1/openapi.json": Row(GET="401 200 200 200 200 200"),
    "api/v1/projects": Row(GET="401 200 200 200 200 200", POST="401 403 403 403 403 403"),
    "api/v1/projects/<slug>": Row(GET=READ_API),
    "api/v1/projects/<slug>/champions": Row(GET=READ_API),
    "api/v1/projects/<slug>/members": Row(GET=READ_API, POST="401 404 403 403 403 201"),
    "api/v1/projects/<slug>/members/<username>": Row(
        PATCH="401 404 403 403 403 200", DELETE="401 404 403 403 403 204"
    ),
    "api/v1/projects/<slug>/settings": Row(PUT="401 404 403 403 403 204"),
    # Sealed from the beginning, and not archived.
    "api/v1/projects/<slug>/seal": Row(POST="401 404 403 403 403 409"),
    "api/v1/projects/<slug>/archive": Row(POST="401 404 403 403 403 204"),
    "api/v1/projects/<slug>/bring-back": Row(POST="401 404 403 403 403 409"),
    "api/v1/projects/<slug>/changes": Row(GET="401 404 403 403 403 200"),
    "api/v1/projects/<slug>/tokens": Row(GET="401 404 403 403 403 200"),
    "api/v1/projects/<slug>/tokens/<int:project_token>": Row(DELETE="401 404 403 403 403 204"),
    "api/v1/projects/<slug>/champion": Row(GET=READ_API),
    "api/v1/projects/<slug>/champion/checkpoint": Row(GET="401 404 404 404 404 404"),
    "api/v1/projects/<slug>/decisions": Row(GET=READ_API),
    "api/v1/projects/<slug>/decisions/<int:sequence>": Row(GET=READ_API),
    "api/v1/projects/<slug>/experiments/<name>/decisions": Row(POST="401 404 403 403 409 409"),
    "api/v1/projects/<slug>/shared-links": Row(
        GET="401 404 403 403 403 200", POST="401 404 403 403 403 201"
    ),
    "api/v1/projects/<slug>/shared-links/<int:link>": Row(DELETE="401 404 403 403 403 204"),
    "api/v1/projects/<slug>/proposals": Row(GET=READ_API),
    # Its signature is none: nobody confirms it.
    "api/v1/projects/<slug>/proposals/<int:proposal>/confirm": Row(POST="401 404 403 403 409 409"),
    "api/v1/projects/<slug>/proposals/<int:proposal>/withdraw": Row(
        POST="401 404 403 403 204 204"
    ),
    "api/v1/projects/<slug>/revert": Row(POST="401 404 403 403 409 409"),
    "api/v1/projects/<slug>/baseline/record": Row(POST="401 404 404 404 404 404"),
    "api/v1/projects/<slug>/baseline": Row(GET=READ_API, POST="401 404 403 409 409 409"),
    "api/v1/projects/<slug>/baseline/repeat": Row(POST="401 404 404 404 404 404"),
    "api/v1/projects/<slug>/baseline/known": Row(POST="401 404 403 403 409 409"),
    "api/v1/projects/<slug>/experiments": Row(GET=READ_API, POST="401 404 403 201 201 201"),
    "api/v1/projects/<slug>/check-experiment": Row(POST=READ_API),
    "api/v1/projects/<slug>/experiments/<name>": Row(
        GET=READ_API, PATCH="401 404 403 200 200 200", DELETE="401 404 403 403 403 400"
    ),
    "api/v1/projects/<slug>/experiments/<name>/rename": Row(POST="401 404 403 200 200 200"),
    "api/v1/projects/<slug>/experiments/<name>/stop": Row(POST="401 404 403 409 409 409"),
    "api/v1/projects/<slug>/experiments/<name>/pause": Row(POST="401 404 403 409 409 409"),
    "api/v1/projects/<slug>/experiments/<name>/resume": Row(POST="401 404 403 409 409 409"),
    "api/v1/projects/<slug>/experiments/<name>/archive": Row(POST="401 404 403 200 200 200"),
    "api/v1/projects/<slug>/experiments/<name>/bring-back": Row(POST="401 404 403 409 409 409"),
    "api/v1/projects/<slug>/experiments/<name>/follow-ups": Row(GET=READ_API),
    "api/v1/projects/<slug>/experiments/<name>/follow-ups/<kind>": Row(
        GET="401 404 400 400 400 400"
    ),
    "api/v1/projects/<slug>/experiments/<name>/trials": Row(
        GET=READ_API, POST="401 404 403 400 400 400"
    ),
    "api/v1/projects/<slug>/experiments/<name>/trials.csv": Row(GET=READ_API),
    "api/v1/projects/<slug>/experiments/<name>/series.<kind>": Row(GET=READ_API),
    "api/v1/projects/<slug>/experiments/<name>/trials/<trial>": Row(GET=READ_API),
    "api/v1/projects/<slug>/experiments/<name>/trials/<trial>/series": Row(GET=READ_API),
    "api/v1/projects/<slug>/experiments/<name>/trials/<trial>/retry": Row(
        POST="401 404 403 409 409 409"
    ),
    "api/v1/projects/<slug>/experiments/<name>/budget": Row(POST="401 404 403 200 200 200"),
    "api/v1/projects/<slug>/experiments/<name>/grid": Row(POST="401 404 409 409 409 409"),
    "api/v1/projects/<slug>/experiments/<name>/limits": Row(PUT="401 404 403 200 200 200"),
    "api/v1/projects/<slug>/batch-sizes/<int:measurement>": Row(GET=READ_API),
    "api/v1/projects/<slug>/batch-sizes/<int:measurement>/cancel": Row(
        POST="401 404 403 204 204 204"
    ),
    # No worker runs beside this test.
    "api/v1/projects/<slug>/experiments/<name>/batch-size": Row(POST="401 404 403 409 409 409"),
    "api/v1/projects/<slug>/experiments/<name>/hand-back": Row(POST="401 404 403 409 409 409"),
    "api/v1/projects/<slug>/experiments/<name>/retry-failed": Row(POST="401 404 403 409 409 409"),
    "api/v1/projects/<slug>/experiments/<name>/trials/<trial>/cancel": Row(
        POST="401 404 403 409 409 409"
    ),
    "api/v1/projects/<slug>/experiments/<name>/findings": Row(GET=READ_API),
    "api/v1/projects/<slug>/findings/<int:finding>/dismiss": Row(POST="401 404 403 200 200 200"),
    "api/v1/projects/<slug>/experiments/<name>/edge-probes": Row(
        GET=READ_API, POST="401 404 403 409 409 409"
    ),
    "api/v1/projects/<slug>/experiments/<name>/edge-probes/cancel": Row(
        POST="401 404 403 404 404 404"
    ),
    "api/v1/projects/<slug>/experiments/<name>/mute": Row(POST="401 404 403 200 200 200"),
    "api/v1/projects/<slug>/experiments/<name>/repetitions": Row(
        GET=READ_API, POST="401 404 403 409 409 409"
    ),
    "api/v1/projects/<slug>/experiments/<name>/repetitions/<int:replication>": Row(GET=READ_API),
    "api/v1/projects/<slug>/experiments/<name>/repetitions/<int:replication>/continue": Row(
        POST="401 404 403 409 409 409"
    ),
    "api/v1/projects/<slug>/experiments/<name>/repetitions/<int:replication>/extra": Row(
        POST="401 404 403 409 409 409"
    ),
    "api/v1/projects/<slug>/experiments/<name>/repetitions/<int:replication>/repeat": Row(
        POST="401 404 403 200 200 200"
    ),
    "api/v1/projects/<slug>/experiments/<name>/repetitions/<int:replication>/open-test": Row(
        POST="401 404 403 200 200 200"
    ),
    "api/v1/projects/<slug>/experiments/<name>/variance": Row(POST="401 404 403 201 201 201"),
    "api/v1/runs": Row(POST="401 404 403 201 201 201"),
    "api/v1/runs/repetitions/<int:replication>": Row(GET=READ_API),
    "api/v1/runs/<int:run_id>": Row(GET=READ_API),
    "api/v1/runs/<int:run_id>/series.<kind>": Row(GET=READ_API),
    "api/v1/runs/<int:run_id>/points": Row(POST="401 404 403 409 409 409"),
    "api/v1/runs/<int:run_id>/finish": Row(POST="401 404 403 409 409 409"),
    "api/v1/runs/<int:run_id>/files": Row(GET=READ_API),
    "api/v1/runs/<int:run_id>/files/<path:file_name>": Row(
        GET=READ_API, PUT="401 404 403 409 409 409", DELETE="401 404 403 409 409 409"
    ),
    "api/v1/runs/<int:run_id>/uploads/<upload>": Row(GET=READ_API),
    "api/v1/runs/<int:run_id>/params": Row(POST="401 404 403 409 409 409"),
    "api/v1/runs/<int:run_id>/resume": Row(POST="401 404 403 409 409 409"),
    "api/v1/projects/<slug>/reports": Row(GET=READ_API, POST="401 404 403 201 201 201"),
    "api/v1/projects/<slug>/reports/<int:report>": Row(
        GET=READ_API, PUT="401 404 403 200 200 200"
    ),
    "api/v1/projects/<slug>/reports/<int:report>/versions": Row(GET=READ_API),
    "api/v1/projects/<slug>/reports/<int:report>/restore": Row(POST="401 404 403 200 200 200"),
    "api/v1/projects/<slug>/reports/<int:report>/archive": Row(POST="401 404 403 204 204 204"),
    "api/v1/projects/<slug>/reports/<int:report>/bring-back": Row(POST="401 404 403 204 204 204"),
    "api/v1/projects/<slug>/reports/<int:report>/frozen": Row(
        GET=READ_API, POST="401 404 403 201 201 201"
    ),
    "api/v1/projects/<slug>/reports/frozen/<int:frozen>": Row(GET=READ_API),
    "api/v1/projects/<slug>/webhooks": Row(
        GET="401 404 403 403 403 200", POST="401 404 403 403 403 201"
    ),
    "api/v1/projects/<slug>/webhooks/<int:webhook>": Row(
        PATCH="401 404 403 403 403 200", DELETE="401 404 403 403 403 204"
    ),
    "api/v1/projects/<slug>/webhooks/<int:webhook>/secret": Row(POST="401 404 403 403 403 200"),
    "api/v1/projects/<slug>/webhooks/<int:webhook>/test": Row(POST="401 404 403 403 403 202"),
    "api/v1/projects/<slug>/deliveries": Row(GET="401 404 403 403 403 200"),
    "api/v1/projects/<slug>/deliveries/<int:delivery>/again": Row(POST="401 404 403 403 403 200"),
    "api/v1/projects/<slug>/batch-sizes": Row(GET=READ_API),
    "api/v1/projects/<slug>/compare": Row(GET="401 404 400 400 400 400"),
    "api/v1/projects/<slug>/decisions.jsonl": Row(GET=READ_API),
    "api/v1/projects/<slug>/experiments/<name>/charts": Row(GET=READ_API),
    "api/v1/projects/<slug>/experiments/<name>/checklist": Row(GET=READ_API),
    "api/v1/projects/<slug>/experiments/<name>/schedule": Row(GET="401 404 400 400 400 400"),
    "api/v1/projects/<slug>/experiments/<name>/repetitions/<int:replication>/charts": Row(
        GET=READ_API
    ),
    "api/v1/projects/<slug>/experiments/<name>/trials/<trial>/charts": Row(GET=READ_API),
    "api/v1/projects/<slug>/experiments/<name>/trials/<trial>/files": Row(GET=READ_API),
    "api/v1/projects/<slug>/experiments/<name>/trials/<trial>/files/<int:file>": Row(GET=READ_API),
    "api/v1/workers": Row(GET="401 200 200 200 200 200"),
    "api/v1/account": Row(GET="401 200 200 200 200 200"),
    "api/v1/account/tokens": Row(GET="401 200 200 200 200 200"),
    "api/v1/account/tokens/<int:token>": Row(DELETE="401 404 404 404 404 204"),
    "api/v1/": Row(ANY="404 404 404 404 404 404"),
    "api/^": Row(ANY="404 404 404 404 404 404"),
}
