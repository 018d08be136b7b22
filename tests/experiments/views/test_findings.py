from __future__ import annotations

import pytest
from django.test import Client

from tests import cast

pytestmark = pytest.mark.django_db


def test_a_finding_is_set_aside_with_a_reason(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    finding = cast.finding(experiment)
    client.force_login(cast.person("cleo"))
    answer = client.post(
        f"/projects/digits/findings/{finding.pk}/dismiss/",
        {"reason": "The range is bounded by the hardware.", "back": cast.address(experiment)},
        follow=True,
    )
    text = answer.content.decode()
    assert "Set aside by cleo" in text and "bounded by the hardware" in text


def test_without_a_reason_it_stays_open(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    finding = cast.finding(experiment)
    client.force_login(cast.person("cleo"))
    address = f"/projects/digits/findings/{finding.pk}/dismiss/"
    assert "needs a reason" in client.post(address, follow=True).content.decode()
    finding.refresh_from_db()
    assert finding.dismissed_at is None


@pytest.mark.parametrize(("name", "status"), [("ben", 403), ("dan", 404)])
def test_only_editors_set_findings_aside(client: Client, name: str, status: int) -> None:
    cast.project()
    finding = cast.finding(cast.finished_search(trials_per_arm=2))
    client.force_login(cast.person(name))
    address = f"/projects/digits/findings/{finding.pk}/dismiss/"
    assert client.post(address, {"reason": "x"}).status_code == status


@pytest.mark.parametrize("back", ["https://evil.example.org/", "//evil.example.org/", "evil"])
def test_the_way_back_never_leads_elsewhere(client: Client, back: str) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    finding = cast.finding(experiment)
    client.force_login(cast.person("cleo"))
    address = f"/projects/digits/findings/{finding.pk}/dismiss/"
    answer = client.post(address, {"reason": "x", "back": back})
    assert answer.headers["Location"] == cast.address(experiment)


def test_a_finding_of_another_project_is_not_found(client: Client) -> None:
    cast.project()
    cast.project("other")
    finding = cast.finding(cast.finished_search(trials_per_arm=2))
    client.force_login(cast.person("ada"))
    address = f"/projects/other/findings/{finding.pk}/dismiss/"
    assert client.post(address, {"reason": "x"}).status_code == 404
