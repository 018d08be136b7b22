from __future__ import annotations

import json

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from experiments.models import Finding, Trial
from experiments.trials.findings.queries.findings import (
    evidence_of_finding,
    experiment_of_finding,
    findings_of,
    findings_of_trial,
    fired_by_trial,
)
from experiments.verdict.queries.replications import fired_findings
from tests import cast

pytestmark = pytest.mark.django_db


def test_what_fired_stands_before_what_passed() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    cast.some_findings(experiment)
    found = findings_of(experiment.pk, 2)
    assert [row.status for row in found.rows] == ["fired"] * 2 + ["passed"] * 3 + ["not_checkable"]
    assert found.summary == "2 warnings, 3 passed, 1 not checkable yet"
    assert found.rows[0].evidence["suggested_low"] == 1e-5
    assert found.trial_warnings == 1


def test_a_trial_that_the_experiments_own_finding_names_is_not_told_of_again() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    first, second = experiment.studies.get(arm_index=0).trials.order_by("number")[:2]
    for trial in (first, second):
        cast.finding(experiment, trial=trial, rule="late_oscillation", subject="accuracy")
    named = json.dumps({"trial_ids": [first.pk]})
    own = cast.finding(experiment, rule="late_oscillation", subject="", evidence=named)
    told = findings_of(experiment.pk, 2)
    assert [row.trial for row in told.open] == ["", "A1"], "A0 is named by the first"
    assert told.trial_warnings == 2, "the table of trials still names both"
    Finding.objects.filter(pk=own.pk).update(
        dismissed_by=cast.person("ada"), dismissed_at=timezone.now(), dismiss_reason="known"
    )
    (row,) = findings_of(experiment.pk, 2).open
    assert {row.trial, *row.others} == {"A0", "A1"}


def test_evidence_stored_under_an_earlier_name_is_read_under_the_present_one() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    stored = cast.finding(experiment, evidence=json.dumps({"rivals": 3, "luck": 0.1}))
    assert evidence_of_finding(experiment.pk, stored.pk) == {"as_good": 3, "luck": 0.1}


def test_a_finding_that_was_set_aside_asks_for_nothing() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    cast.finding(experiment)
    Finding.objects.update(
        dismissed_by=cast.person("ada"), dismissed_at=timezone.now(), dismiss_reason="known"
    )
    found = findings_of(experiment.pk, 2)
    assert found.warnings == () and len(found.dismissed) == 1
    assert found.summary == "1 dismissed"
    assert found.dismissed[0].dismissed_by == "ada"


def test_findings_of_replicates_stay_out_of_the_search() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    replication = cast.repeated(experiment, looks=(3,), done=3)
    replicate = replication.studies.first().trials.first()  # type: ignore[union-attr]
    cast.finding(experiment, trial=replicate, rule="overfitting")
    assert findings_of(experiment.pk, 2).rows == ()
    assert len(findings_of_trial(replicate.pk)) == 1  # type: ignore[union-attr]


def test_findings_cost_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=12)
    for trial in experiment.studies.get(arm_index=0).trials.all():
        cast.finding(experiment, trial=trial, rule="overfitting")
    with django_assert_num_queries(1):
        found = findings_of(experiment.pk, 2)
    assert found.trial_warnings == 12
    assert len(found.rows) == 1, "one line names them all"
    assert len(found.rows[0].others) == 11


def test_a_finding_is_known_in_its_own_project_only() -> None:
    project, other = cast.project(), cast.project("other")
    experiment = cast.finished_search(trials_per_arm=2)
    finding = cast.finding(experiment)
    assert experiment_of_finding(project.pk, finding.pk) == experiment.name
    assert experiment_of_finding(other.pk, finding.pk) is None
    assert evidence_of_finding(experiment.pk, finding.pk)["edge"] == "low"
    assert evidence_of_finding(experiment.pk, 999_999) == {}


def test_what_a_rule_says_of_many_trials_stands_there_once_with_their_names() -> None:
    cast.project()
    experiment = cast.finished_search()
    trials = list(Trial.objects.filter(study__experiment=experiment)[:4])
    for trial in trials:
        cast.finding(experiment, trial=trial, rule="late_oscillation", subject="")
    for name in ("dropout", "learning_rate"):
        cast.finding(experiment, rule="density", subject=name, status="not_checkable")
    found = findings_of(experiment.pk, arms=2)
    (oscillation,) = [row for row in found.rows if row.rule == "late_oscillation"]
    assert len(oscillation.others) == 3 and oscillation.trial not in oscillation.others
    (density,) = [row for row in found.rows if row.rule == "density"]
    assert len(density.others) == 1
    assert found.trial_warnings == 4


def test_a_muted_experiment_keeps_what_the_rule_saw_and_asks_for_nothing() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    for trial in Trial.objects.filter(study__experiment=experiment)[:2]:
        cast.finding(experiment, trial=trial, rule="overfitting", subject="")
    cast.finding(experiment)
    assert len(fired_findings(experiment, dismissed=False)) == 2
    experiment.mutes_overfitting = True
    experiment.save()
    found = findings_of(experiment.pk, 2)
    assert [row.rule for row in found.open] == ["boundary"] and found.trial_warnings == 0
    (muted,) = found.dismissed
    assert muted.is_muted and len(muted.others) == 1 and muted.look == "waiting"
    assert fired_by_trial([trial.pk for trial in Trial.objects.all()]) == {}
    (aside,) = fired_findings(experiment, dismissed=True)
    assert "muted" in str(aside["dismiss_reason"]) and aside["dismissed_by"]
    assert [each["rule"] for each in fired_findings(experiment, dismissed=False)] == ["boundary"]
