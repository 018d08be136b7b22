from __future__ import annotations

import pytest
from django.test import Client

from experiments.models import Finding, Trial
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
    assert "Dismissed by cleo" in text and "bounded by the hardware" in text


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


def test_overfitting_is_muted_visibly_and_told_again(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    cast.finding(experiment, trial=experiment.best_trial, rule="overfitting", subject="")
    client.force_login(cast.person("cleo"))
    assert "Mute overfitting" in client.get(cast.address(experiment)).content.decode()
    address = f"{cast.address(experiment)}mute/"
    text = client.post(address, {"muted": "1"}, follow=True).content.decode()
    assert "Overfitting is muted here" in text and "Muted in this experiment" in text
    assert "Unmute" in text
    text = client.post(address, {"muted": "0"}, follow=True).content.decode()
    assert "Overfitting is muted here: " not in text


@pytest.mark.parametrize(("name", "status"), [("ben", 403), ("dan", 404)])
def test_only_editors_mute_overfitting(client: Client, name: str, status: int) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    client.force_login(cast.person(name))
    answer = client.post(f"{cast.address(experiment)}mute/", {"muted": "1"})
    assert answer.status_code == status
    experiment.refresh_from_db()
    assert not experiment.mutes_overfitting


def test_the_page_carries_the_checklist_and_so_do_its_news(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    cast.finding(experiment)
    client.force_login(cast.person("ben"))
    text = client.get(cast.address(experiment)).content.decode()
    assert "Is the search space large enough?" in text and "1 warned" in text
    news = client.get(f"{cast.address(experiment)}live/").json()
    assert "Is the search space large enough?" in news["parts"]["checklist"]


def test_a_finding_of_the_best_trials_shows_their_curves(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    cast.finding(
        experiment, rule="late_oscillation", subject="", action="show_curve",
        evidence='{"trial_ids": [3, 4]}',
    )  # fmt: skip
    client.force_login(cast.person("ben"))
    assert "?trials=3,4" in client.get(cast.address(experiment)).content.decode()


def test_every_button_of_a_rule_does_something() -> None:
    from experiments.analysis.rules import RULES
    from experiments.design.follow_ups.followups import FOLLOWUPS

    actions = {rule.action for rule in RULES.values() if rule.action}
    assert actions <= {"show_curve", *FOLLOWUPS}


def test_evidence_of_every_kind_is_shown(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    evidence = (
        '{"rates_fits": [0.001, 0.01], "many": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "none": [], '
        '"judged_by": "generalisation_loss", "decays": true, "limit": "nan"}'
    )
    cast.finding(experiment, rule="density", subject="", evidence=evidence)
    client.force_login(cast.person("ben"))
    text = client.get(cast.address(experiment)).content.decode()
    assert "<dt>rates fits</dt><dd>0.001, 0.01</dd>" in text
    assert "7, 8 and 2 more" in text and "<dt>none</dt>" not in text
    assert "<dd>generalisation loss</dd>" in text and "<dd>yes</dd>" in text


def test_one_reason_dismisses_what_a_rule_warns_of_in_every_trial(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    trials = list(Trial.objects.filter(study__experiment=experiment))
    found = [cast.finding(experiment, trial=trial, rule="overfitting") for trial in trials]
    cast.finding(experiment, trial=trials[0], rule="divergence", severity="problem")
    client.force_login(cast.person("cleo"))
    address = f"/projects/digits/findings/{found[0].pk}/dismiss/"
    client.post(address, {"reason": "one", "back": "/"})
    assert Finding.objects.filter(dismissed_at__isnull=False).count() == 1
    assert 'name="all" value="1"' in client.get(cast.address(experiment)).content.decode()
    client.post(address, {"reason": "An ensemble.", "all": "1"})
    open_rules = set(Finding.objects.asking().values_list("rule", flat=True))
    assert open_rules == {"divergence"}
