"""Attacks, each of which would succeed if its defence went.

Requests of webhooks to inner addresses are tried in `test_outgoing_addresses`.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.test import Client
from optuna.distributions import CategoricalDistribution, FloatDistribution

from experiments.decisions.services import sharing
from experiments.design.document import experiment_yaml
from experiments.design.document.experiment_file import as_document, parse
from experiments.errors import InvalidExperiment, Problem
from experiments.models import (
    Delivery,
    Event,
    Experiment,
    ExperimentTag,
    Finding,
    ObjectiveCheck,
    Project,
    Study,
    Trial,
    Webhook,
)
from experiments.models.trial import TrialState
from experiments.team.services import invitations, tokens
from experiments.trials.artifacts import storage
from experiments.trials.lifecycle.services import copied_studies, experiments
from experiments.trials.lifecycle.services.copied_studies import Original
from experiments.trials.lifecycle.services.trial_creation import TrialFields
from experiments.trials.panels import study_panels
from experiments.web.middleware import POLICY
from tests import cast
from tests.experiments.site.expected_answers import PAGES
from tests.experiments.site.test_every_address import path_of

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]

EVIL = "\"'><img src=x onerror=alert(1)></script><script>alert(1)</script>"
ACTS = re.compile(r"<img src=x|<script>alert|<a href=\"?javascript:", re.IGNORECASE)


@pytest.fixture
def evil() -> dict[str, str]:
    """A project in which everything that a person or a program names is an attack."""
    project = cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    ada = cast.person("ada")
    Project.objects.update(name=EVIL, official_metric=experiment.official_metric)
    trial = Trial.objects.filter(study__experiment=experiment).order_by("pk")[0]
    cast.log(
        trial.pk,
        {f"x{EVIL}": cast.curves(0.9, np.random.default_rng(0))["train_loss"]},
        first_batch=50,
    )
    finding = cast.finding(experiment, trial=trial)
    replication = cast.repeated(experiment, looks=(4,))
    cast.decide(replication, "adopt", reason=EVIL)
    hook = Webhook.objects.create(
        project=project, address=f"https://example.org/{EVIL}", nonce="n", created_by=ada
    )
    document = json.dumps({"text": EVIL, "path": "javascript:alert(1)"})
    event = Event.objects.create(project=project, kind="decided", key="1", document=document)
    delivery = Delivery.objects.create(
        event=event, webhook=hook, tries_left=0, due_at=cast.START, state="failed", answer=EVIL
    )
    ExperimentTag.objects.create(experiment=experiment, name=EVIL[:60])
    Experiment.objects.filter(pk=experiment.pk).update(
        name=EVIL.replace("/", "|"),
        goal=EVIL,
        notes=f"{EVIL}\n\n[x](javascript:alert(1))",
        stop_reason=EVIL,
    )
    Trial.objects.filter(study__experiment=experiment).update(log_tail=EVIL, failure_reason=EVIL)
    Finding.objects.filter(pk=finding.pk).update(
        dismiss_reason=EVIL, dismissed_by=ada, dismissed_at=cast.START
    )
    type(ada).objects.filter(pk=ada.pk).update(first_name=EVIL[:100], last_name=EVIL[:100])
    token, _ = tokens.create(user=ada, project=None, name=EVIL[:100])
    made = invitations.create(access=cast.access(ada, project), role="viewer")
    link, secret = sharing.create(access=cast.access(ada, project), decision=1)
    report, frozen = cast.frozen_report(
        f"{EVIL}\n\n[x](javascript:alert(1))\n\n/projects/digits/decisions/1/\n\nruns/?{EVIL[:3]}",
        title=EVIL,
    )
    file = cast.LABEL_SMOOTHING.format(name="another", goal="Is it?", trials=2)
    document = as_document(parse(file))
    series = {EVIL: [[1.0], [0.5]], "validation_accuracy": [[1.0], [0.5]]}
    found = {"log": EVIL, "reason": EVIL, "names": [EVIL], "series": series}
    dry_run = ObjectiveCheck.objects.create(
        project=Project.objects.get(slug="digits"),
        asked_by=cast.person("ada"),
        objective="a:b",
        state="failed",
        document=json.dumps({"text": EVIL, "file": document}),
        answer=json.dumps({**found, "parameters": {EVIL: EVIL}}),
    )
    return {
        "slug": "digits",
        "name": EVIL.replace("/", "|"),
        "trial": "A0",
        "kind": "csv",
        "purpose": "training_seed",
        "finding": str(finding.pk),
        "replication": str(replication.pk),
        "sequence": "1",
        "webhook": str(hook.pk),
        "delivery": str(delivery.pk),
        "invitation": str(made.pk),
        "token": str(token.pk),
        "row": str(trial.pk),
        "field": "note",
        "uidb64": "MQ",
        "invited": invitations.token_of(made.pk),
        "link": str(link.pk),
        "report": str(report),
        "frozen": str(frozen),
        "secret": secret,
        "dry_run": str(dry_run.pk),
        "study": str(evil_study()),
        "chapter": "imports",
    }


def evil_study() -> int:
    """A study of Optuna's in which everything that its program names is an attack."""
    distributions = {EVIL: CategoricalDistribution((EVIL, "b")), "x": FloatDistribution(0, 1)}
    params = {EVIL: EVIL, "x": 0.5}
    fields: TrialFields = {
        "state": TrialState.COMPLETE,
        "values": [1.0],
        "parameters": {
            name: (params[name], distribution) for name, distribution in distributions.items()
        },
        "reports": {0: 1.0},
    }
    other: TrialFields = {**fields, "parameters": {"x": (0.25, distributions["x"])}}
    copied = copied_studies.copy(
        Original(
            EVIL, ["minimize"], {EVIL: EVIL}, {"study:metric_names": [EVIL]}, [fields, other] * 6
        ),
        project="digits",
    )
    return Study.objects.get(name=copied.study).pk


def strings(value: Any) -> Iterator[str]:
    """Every text in a JSON document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield str(key)
            yield from strings(member)
    elif isinstance(value, list):
        for element in value:
            yield from strings(element)


def test_no_name_note_metric_log_or_reason_becomes_markup(evil: dict[str, str]) -> None:
    client = Client()
    client.force_login(cast.person("ada"))
    seen = 0
    for route, row in PAGES.items():
        if not row.GET.endswith("200") or "<int:file>" in route:
            continue
        answer = client.get(path_of(route, evil))
        assert answer.status_code in (200, 204), route  # 204: nothing new on a live page
        if answer.streaming or "html" not in answer.headers.get("Content-Type", ""):
            continue
        text = answer.content.decode()
        seen += "onerror" in text
        assert not ACTS.search(text), f"{route}: {ACTS.search(text)}"
        for block in re.findall(
            r'<script type="application/json"[^>]*>(.*?)</script>', text, re.S
        ):
            for label in strings(json.loads(block)):
                assert not ACTS.search(label), f"{route}: a chart would draw {label!r}"
    assert seen > 10, "the attack stood on the pages, as text"


def test_no_chart_of_a_study_becomes_markup() -> None:
    cast.project()
    client = Client()
    client.force_login(cast.person("ada"))
    study = evil_study()
    for tab in study_panels.TABS:
        text = client.get(f"/projects/digits/studies/{study}/?tab={tab}").content.decode()
        assert "onerror" in text
        assert not ACTS.search(text), tab
        for block in re.findall(
            r'<script type="application/json"[^>]*>(.*?)</script>', text, re.S
        ):
            assert not any(ACTS.search(label) for label in strings(json.loads(block))), tab


def test_news_for_open_pages_hold_no_markup_of_others(evil: dict[str, str]) -> None:
    client = Client()
    client.force_login(cast.person("ada"))
    for rest in ("live/", "charts/", "seeds/live/", "trials/A0/live/", "curves/"):
        path = path_of(f"projects/<slug:slug>/experiments/<str:name>/{rest}", evil)
        answer = client.get(path)
        if "json" in answer.headers.get("Content-Type", ""):
            for text in strings(answer.json()):
                assert not ACTS.search(text), rest


def test_a_link_that_acts_is_no_config_link() -> None:
    cast.project()
    text = cast.LABEL_SMOOTHING.format(name="x", goal="Is it?", trials=2)
    text = re.sub(r"config_link: .*", "config_link: 'javascript:alert(1)'", text)
    with pytest.raises(InvalidExperiment) as refused:
        experiments.create(access=cast.access("ada"), text=text)
    assert [problem.where for problem in refused.value.problems] == ["config_link"]


def test_every_form_needs_its_own_token() -> None:
    """Without one the answer is 403 before anything of the request is read."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.person("ada"))
    values = dict.fromkeys(
        ("finding", "replication", "webhook", "delivery", "invitation", "token", "sequence"), "1"
    )
    values |= {"slug": "digits", "name": "x", "trial": "A0", "purpose": "x", "uidb64": "MQ"}
    values |= dict.fromkeys(
        ("probe", "dry_run", "view", "proposal", "link", "study", "report", "frozen"), "1"
    )
    values |= {"secret": "x", "invited": "x", "row": "1", "field": "note"}
    open_to_all = []
    for route, row in PAGES.items():
        takes_forms = row.POST or row.ANY
        if takes_forms and client.post(path_of(route, values)).status_code != 403:
            open_to_all.append(route)
    assert not open_to_all


def test_a_session_opens_nothing_of_the_api() -> None:
    """Its requests need no form token, so a browser's cookies must not be enough."""
    cast.project()
    client = Client()
    client.force_login(cast.person("ada"))
    assert client.get("/api/v1/projects/digits/champion").status_code == 401
    assert client.post("/api/v1/runs", {}, "application/json").status_code == 401


def test_a_session_from_before_the_login_is_worth_nothing_after_it() -> None:
    cast.person("ada")
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32
    client.post("/login/", {"username": "ada", "password": "correct horse"})
    assert client.cookies[settings.SESSION_COOKIE_NAME].value != "a" * 32
    planted = Client()
    planted.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32
    assert planted.get("/").status_code == 302


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example/", "javascript:alert(1)", "/\\evil.example",
     "\t//evil.example", "http:///evil.example", "/%0d%0aSet-Cookie:x=1\r\nX: 1"],
)  # fmt: skip
def test_the_login_leads_nowhere_else(client: Client, target: str) -> None:
    cast.person("ada")
    fields = {"username": "ada", "password": "correct horse", "next": target}
    answer = client.post("/login/", fields)
    assert answer.status_code == 302
    leads = answer.headers["Location"]
    assert leads == "/" or (leads.startswith("/%0d") and "\r" not in leads)


def test_another_host_name_is_refused(client: Client) -> None:
    assert client.get("/login/", HTTP_HOST="evil.example").status_code == 400
    assert client.get("/login/", HTTP_X_FORWARDED_HOST="evil.example").status_code == 200


def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(client: Client) -> None:
    cast.person("ada")
    client.get("/login/")
    client.post("/login/", {"username": "ada", "password": "correct horse"})
    for name in ("sessionid", "device"):
        cookie = client.cookies[name]
        assert cookie["httponly"] and cookie["samesite"] == "Lax", name
    assert client.cookies["csrftoken"]["samesite"] == "Lax"


def test_every_answer_carries_the_policy_errors_too(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ben"))
    for path, status in (
        ("/", 200),
        ("/nothing/", 404),
        ("/projects/digits/settings/", 403),
        ("/api/v1/nothing", 404),
        ("/api/v1/projects/digits", 401),
    ):
        answer = client.get(path)
        assert answer.status_code == status
        assert answer.headers["Content-Security-Policy"] == POLICY, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"
    refused = client.get("/", HTTP_HOST="evil.example")
    assert refused.headers["Content-Security-Policy"] == POLICY


def test_a_file_name_brings_no_header_of_its_own(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=1)
    name = 'a"; filename="evil.html\r\nSet-Cookie: x=1\n.csv'
    Experiment.objects.filter(pk=experiment.pk).update(name=name)
    experiment.refresh_from_db()
    client.force_login(cast.person("ada"))
    for rest in ("trials.csv", "series.csv", "decide.md"):
        values = {"slug": "digits", "name": name}
        route = f"projects/<slug:slug>/experiments/<str:name>/{rest}"
        answer = client.get(path_of(route, values).replace("\r\n", "%0D%0A").replace("\n", "%0A"))
        if answer.status_code != 200:
            assert answer.status_code == 404
            continue
        header = answer.headers["Content-Disposition"]
        assert "\r" not in header and "\n" not in header
        assert 'filename="evil' not in header and "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("place", ["../secret_key", "/etc/passwd", "a/../../secret_key", ".."])
def test_no_path_leads_out_of_the_folder_of_artifacts(place: str) -> None:
    with pytest.raises(ValueError, match="does not lie in"):
        storage.local_path(place)


@pytest.mark.parametrize(
    "path",
    ["/static/../config/settings.py", "/static/%2e%2e/config/settings.py",
     "/projects/digits/experiments/..%2f..%2fetc/passwd", "/projects/../../etc/passwd",
     "/projects/digits/experiments/label-smoothing/series.../../x"],
)  # fmt: skip
def test_no_address_leads_to_a_file_of_the_server(client: Client, path: str) -> None:
    cast.project()
    cast.search()
    client.force_login(cast.person("ada"))
    assert client.get(path).status_code == 404


def program() -> dict[str, str]:
    _, secret = tokens.create(
        user=cast.person("cleo"), project=None, name="p", scopes=("read", "write")
    )
    return {"HTTP_AUTHORIZATION": f"Bearer {secret}"}


def test_a_body_that_unpacks_to_gigabytes_is_refused_early(client: Client) -> None:
    cast.project()
    bomb = gzip.compress(b'{"project": "' + b"a" * (40 * 2**20) + b'"}', compresslevel=9)
    twice = gzip.compress(gzip.compress(b"\0" * 2**20))
    headers = program() | {"HTTP_CONTENT_ENCODING": "gzip"}
    assert len(bomb) < 100_000
    for body, status in ((bomb, 413), (twice, 400), (bomb[:5000], 400)):
        answer = client.generic("POST", "/api/v1/runs", body, "application/json", **headers)
        assert answer.status_code == status and answer.json()["ok"] is False


def test_a_huge_body_is_refused_everywhere(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ada"))
    huge = "a" * (3 * 2**20)
    assert client.post("/projects/digits/experiments/new/", {"text": huge}).status_code == 400
    many = "&".join(f"a{number}=1" for number in range(2000))
    form = "application/x-www-form-urlencoded"
    assert client.generic("POST", "/account/tokens/", many, form).status_code == 400
    answer = client.generic("POST", "/api/v1/runs", huge, "application/json", **program())
    assert answer.status_code == 413 and "too large" in answer.json()["error"]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b, *b]",
        "a: !!python/object/apply:os.system ['touch /tmp/evil']",
        "a: !!python/name:os.system",
        "a: !!binary aGVsbG8=",
        "a: " + "[" * 5_000 + "]" * 5_000,
        "{" * 5_000,
        "- " * 5_000 + "a",
        "? " * 5_000,
        "a: &x {<<: *x}",
        "a: 1" + "0" * 100_000,
        "a: [" + "[]," * 60_000 + "]",
        "a:\n" + "- b\n" * 40_000,
    ],
    ids=[
        "aliases",
        "object",
        "name",
        "binary",
        "deep",
        "open",
        "lists",
        "keys",
        "self",
        "digits",
        "many",
        "rows",
    ],
)
def test_a_file_cannot_make_much_or_anything_out_of_little(text: str) -> None:
    problems: list[Problem] = []
    assert experiment_yaml.load(text, problems) is None
    assert problems


@pytest.mark.parametrize(
    "path",
    ["/?q=%00", "/projects/digits/?q=%00&tag=%00&state=%00", "/jump/?q=%00",
     "/projects/digits/experiments/a%00b/", "/projects/digits/decisions/?q=%00",
     "/api/v1/projects/%00", "/api/v1/projects/digits/champion?target=%00"],
)  # fmt: skip
def test_a_null_character_in_an_address_is_refused(client: Client, path: str) -> None:
    cast.project()
    client.force_login(cast.person("ada"))
    assert client.get(path, **program()).status_code == 400


def test_a_null_character_in_a_form_breaks_nothing(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("ada"))
    answer = client.post("/login/", {"username": "a\0", "password": "\0"})
    assert answer.status_code in (200, 302)
    fields = {"username": "a\0", "role": "viewer"}
    assert client.post("/projects/digits/members/role/", fields).status_code in (400, 404)
    assert client.post("/projects/digits/members/add/", fields).status_code == 400
    revert = {"target": "\0", "to": "1", "current": "1", "reason": "\0"}
    assert client.post("/projects/digits/champions/revert/", revert).status_code in (302, 400)
