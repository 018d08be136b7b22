"""Every address x every method x everybody: the answer stands in a table, or the test fails.

A new address without a row fails `test_every_address_has_a_row`. Whoever may not see a project
meets 404, never 403: an answer that differs would tell that the project is there.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import URLResolver, get_resolver

from experiments.decisions.services import sharing
from experiments.design.document.experiment_file import as_document, parse
from experiments.models import (
    ApiToken,
    Artifact,
    BatchSizeProbe,
    Delivery,
    Event,
    Membership,
    ObjectiveCheck,
    Project,
    Proposal,
    RunsView,
    Trial,
    Webhook,
)
from experiments.team.services import invitations, tokens
from experiments.trials.lifecycle.services import runs, studies
from tests import cast
from tests.experiments.site.asked_of_addresses import DOCUMENTS, FILE, FORMS
from tests.experiments.site.expected_answers import API, PAGES, Row

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]

RUN = uuid.UUID(int=1)
PEOPLE = ("nobody", "outsider", "viewer", "editor", "approver", "admin")
NAMES = {"outsider": "dan", "viewer": "ben", "editor": "cleo", "approver": "fay", "admin": "ada"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Methods that an address does not have are tried by the first and the last of PEOPLE, and by
# everybody where a test asks for `every` combination.
ALSO_EVERY = pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.exhaustive)], ids=["", "every"]
)


def routes() -> dict[str, str]:
    """Every address of the resolver as it is written there, with its name."""
    return dict(_below(get_resolver(), ""))


def _below(resolver: URLResolver, before: str) -> Iterator[tuple[str, str]]:
    for pattern in resolver.url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _below(pattern, route)
        else:
            yield route, pattern.name or ""


def test_every_address_has_a_row() -> None:
    missing = [route for route in routes() if route not in PAGES and route not in API]
    assert not missing, "say in expected_answers.py who may do what there"


@pytest.fixture
def values() -> dict[str, str]:
    """What stands for each part of an address: things of the project `digits`."""
    digits = cast.project()
    Membership.objects.create(user=cast.person("fay"), project=digits, role="approver")
    speech = cast.project("speech")
    Membership.objects.create(user=cast.person("dan"), project=speech, role="admin")
    ada = cast.person("ada")
    experiment = cast.finished_search(trials_per_arm=2)
    finding = cast.finding(experiment)
    replication = cast.repeated(experiment, looks=(4,))
    cast.decide(replication, "adopt")
    proposal = Proposal.objects.create(
        project=digits,
        replication=replication,
        choice="reject",
        verdict="adopt",
        overrides_verdict=True,
        reason="No.",
        proposed_by=cast.person("root"),
        proposed_at=cast.START,
    )
    hook = Webhook.objects.create(
        project=digits, address="https://example.org/", nonce="n" * 40, created_by=ada
    )
    event = Event.objects.create(project=digits, kind="decided", key="decided 1")
    delivery = Delivery.objects.create(
        event=event, webhook=hook, tries_left=1, due_at=cast.START, state="failed"
    )
    invitation = invitations.create(access=cast.access(ada, digits), role="viewer")
    link, secret = sharing.create(access=cast.access(ada, digits), decision=1)
    report, frozen = cast.frozen_report(f"experiments/{experiment.name}/?tab=history")
    token, _ = tokens.create(user=ada, project=digits, name="ada's")
    trial = Trial.objects.filter(study__experiment=experiment).order_by("pk").first()
    assert trial is not None
    held = Artifact.objects.create(
        trial=trial, kind="file", name="a.txt", path="every/a.txt", size=1, sha256="0" * 64
    )
    place = settings.ARTIFACTS_DIR / held.path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"a")
    probe = BatchSizeProbe.objects.create(project=digits, state="waiting", objective="a:b")
    document = json.dumps({"text": FILE, "file": as_document(parse(FILE))})
    dry_run = ObjectiveCheck.objects.create(
        project=digits, asked_by=cast.person("cleo"), objective="a:b", document=document
    )
    outside = runs.create(access=cast.access("cleo"), new=runs.NewRun(experiment="outside"))
    Trial.objects.filter(pk=outside.run_id).update(run_id=RUN)
    Artifact.objects.create(
        trial_id=outside.run_id, kind="text", name="a.txt", path=held.path, size=1, sha256="1" * 64
    )
    of_outside = Trial.objects.get(pk=outside.run_id).study.experiment_id
    return {
        "slug": "digits",
        "version": "2.0",
        "path": f"{of_outside}/{RUN.hex}/artifacts/a.txt",
        "experiment": str(of_outside),
        "run": RUN.hex,
        "call": f"experiments/get?experiment_id={of_outside}",
        "file": str(held.pk),
        "file_name": held.name,
        "upload": "mine",
        "username": "fay",
        "name": experiment.name,
        "trial": "A0",
        "kind": "csv",
        "target": "production",
        "chapter": "imports",
        "purpose": "training_seed",
        "finding": str(finding.pk),
        "proposal": str(proposal.pk),
        "replication": str(replication.pk),
        "sequence": "1",
        "webhook": str(hook.pk),
        "delivery": str(delivery.pk),
        "invitation": str(invitation.pk),
        "token": str(token.pk),
        "project_token": str(token.pk),
        "run_id": str(trial.pk),
        "probe": str(probe.pk),
        "dry_run": str(dry_run.pk),
        "view": str(RunsView.objects.create(project=digits, name="all").pk),
        "study": str(studies.create(name="free", directions=["minimize"], project="digits")),
        "measurement": str(probe.pk),
        "row": str(trial.pk),
        "field": "note",
        "uidb64": "MQ",
        "invited": invitations.token_of(invitation.pk),
        "link": str(link.pk),
        "report": str(report),
        "frozen": str(frozen),
        "secret": secret,
    }


def path_of(route: str, values: dict[str, str]) -> str:
    """An address with something real in every place."""
    if route == "api/^":
        return "/api/nothing/here"
    filled = re.sub(r"invitations/<(?:str:)?token>", f"invitations/{values.get('invited')}", route)
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda part: values[part[1]], filled)


def methods(row: Row, who: str, every: bool) -> Iterator[tuple[str, int]]:
    """What to try at an address, with the status that the table expects."""
    for method in METHODS:
        expected = row.expected(method, PEOPLE.index(who))
        if every or expected != 405 or who in (PEOPLE[0], PEOPLE[-1]):
            yield method, expected


class _RollBack(Exception):
    """Whatever a request wrote is taken back."""


def answer(client: Client, method: str, route: str, values: dict[str, str], **headers: Any) -> int:
    """The status; nothing of what the request wrote stays."""
    status = 0
    path = path_of(route, values)
    try:
        with transaction.atomic():
            if method == "POST" and route in FORMS:
                sent = {
                    key: str(value).format(**values) if str(value).startswith("{") else value
                    for key, value in FORMS[route].items()
                }
                response = client.post(path, sent)
            else:
                document = DOCUMENTS.get(f"{method} {route}", {})
                response = client.generic(
                    method, path, json.dumps(document), "application/json", **headers
                )
            status = response.status_code
            raise _RollBack
    except _RollBack:
        return status


@ALSO_EVERY
@pytest.mark.parametrize("who", PEOPLE)
def test_every_page_answers_everybody_as_the_table_says(
    who: str, every: bool, values: dict[str, str]
) -> None:
    client = Client()
    if who != "nobody":
        client.force_login(cast.person(NAMES[who]))
    kept = {name: cookie.value for name, cookie in client.cookies.items()}
    wrong = []
    for route in routes():
        if route not in PAGES:
            continue
        for method, expected in methods(PAGES[route], who, every):
            client.cookies.clear()
            client.cookies.load(kept)
            got = answer(client, method, route, values)
            if got != expected:
                wrong.append(f"{method} {route}: {got}")
    assert not wrong, "\n".join(wrong)


@ALSO_EVERY
@pytest.mark.parametrize("who", PEOPLE)
def test_every_address_of_the_api_answers_everybody_as_the_table_says(
    who: str, every: bool, values: dict[str, str]
) -> None:
    client, headers = Client(), {}
    if who != "nobody":
        owner = cast.person(NAMES[who])
        _, secret = tokens.create(user=owner, project=None, name="all", scopes=tokens.SCOPES)
        headers = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
    wrong = []
    for route in routes():
        if route not in API:
            continue
        for method, expected in methods(API[route], who, every):
            got = answer(client, method, route, values, **headers)
            if got != expected:
                wrong.append(f"{method} {route}: {got}")
    assert not wrong, "\n".join(wrong)


def test_things_of_another_project_are_not_reached_through_ones_own(
    values: dict[str, str],
) -> None:
    """The outsider administers `speech`; ids and names of `digits` lead nowhere below it."""
    client = Client()
    dan = cast.person("dan")
    client.force_login(dan)
    _, secret = tokens.create(user=dan, project=None, name="all", scopes=tokens.SCOPES)
    headers = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
    elsewhere = {**values, "slug": "speech"}
    reached = []
    for route in routes():
        places = set(re.findall(r"<(?:\w+:)?(\w+)>", route))
        if "slug" not in places or places == {"slug"}:
            continue
        for method in METHODS:
            got = answer(client, method, route, elsewhere, **headers)
            if got not in (404, 405):
                reached.append(f"{method} {route}: {got}")
    assert not reached, "\n".join(reached)


# What a token without the scope may ask with POST: nothing is written there.
ASKS_ONLY = {"api/v1/projects/<slug>/check-experiment"}
DECIDES = ("/decisions", "/confirm", "/withdraw", "/revert", "/baseline/record", "/baseline/known")


def changing(values: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Method and route of everything in the API that writes."""
    for route in routes():
        if route in API and route not in ASKS_ONLY and not API[route].ANY:
            for method in METHODS[1:]:
                if getattr(API[route], method):
                    yield method, route


@pytest.mark.parametrize("scope", tokens.SCOPES)
def test_a_token_changes_only_what_its_scope_allows_also_in_the_hands_of_an_admin(
    scope: str, values: dict[str, str]
) -> None:
    ada, client = cast.person("ada"), Client()
    _, secret = tokens.create(user=ada, project=None, name="one", scopes=[scope])
    headers = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
    wrong, allowed = [], 0
    for method, route in changing(values):
        needed = "decide" if method == "POST" and route.endswith(DECIDES) else "write"
        got = answer(client, method, route, values, **headers)
        allowed += needed == scope
        if got != (API[route].expected(method, PEOPLE.index("admin")) if needed == scope else 403):
            wrong.append(f"{method} {route}: {got}")
    assert not wrong, "\n".join(wrong)
    assert bool(allowed) == (scope != "read")


def test_a_token_that_has_ended_opens_no_address(values: dict[str, str]) -> None:
    ada, client = cast.person("ada"), Client()
    ended = []
    for how in ("expired", "revoked", "of somebody who was shut out"):
        token, secret = tokens.create(user=ada, project=None, name=how, scopes=tokens.SCOPES)
        ended.append((token, secret))
    ApiToken.objects.filter(name="expired").update(expires_at=cast.START)
    tokens.revoke(user=ada, token_id=ended[1][0].pk)
    opened = []
    for token, secret in ended:
        if token.name.startswith("of"):
            type(ada).objects.filter(pk=ada.pk).update(is_active=False)
        headers = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
        for route, row in API.items():
            method = next(allowed for allowed in METHODS if row.expected(allowed, 5) != 405)
            if not row.ANY and answer(client, method, route, values, **headers) != 401:
                opened.append(f"{token.name}: {method} {route}")
    assert not opened, "\n".join(opened)


def test_a_token_of_one_project_opens_no_other(values: dict[str, str]) -> None:
    ada, client = cast.person("ada"), Client()
    speech = Project.objects.get(slug="speech")
    _, secret = tokens.create(user=ada, project=speech, name="bound", scopes=tokens.SCOPES)
    headers = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
    reached = []
    for route, row in API.items():
        if "<slug>" not in route and "<int:run_id>" not in route and "repetitions" not in route:
            continue
        for method in METHODS:
            if row.expected(method, 5) == 405:
                continue
            got = answer(client, method, route, values, **headers)
            if got != 404:
                reached.append(f"{method} {route}: {got}")
    assert not reached, "\n".join(reached)
