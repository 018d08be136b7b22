from __future__ import annotations

import json

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from experiments.design.queries.experiments import ExperimentFilter, list_experiments
from experiments.design.queries.finding_counts import FindingCounts, count_findings, counts_of
from experiments.models import Finding, Trial
from experiments.trials.findings.queries.findings import (
    evidence_of_finding,
    experiment_of_finding,
    findings_of,
    findings_of_trial,
    fired_by_trial,
)
from experiments.trials.lifecycle.queries.progress import progress
from experiments.verdict.queries.replications import fired_findings
from tests import cast

pytestmark = pytest.mark.django_db


def test_what_fired_stands_before_what_passed() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    cast.some_findings(experiment)
    found = findings_of(experiment, 2)
    assert [row.status for row in found.rows] == ["fired"] * 2 + ["passed"] * 3 + ["not_checkable"]
    assert found.summary == "2 warnings, 3 passed, 1 not checkable yet"
    assert found.rows[0].evidence["suggested_low"] == 1e-5
    assert [row.trials for row in found.open] == [0, 1]


def test_a_rule_that_speaks_of_the_experiment_and_its_trials_is_one_finding() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    first, second = experiment.studies.get(arm_index=0).trials.order_by("number")[:2]
    for trial in (first, second):
        cast.finding(experiment, trial=trial, rule="late_oscillation", subject="accuracy")
    own = cast.finding(experiment, rule="late_oscillation", subject="")
    (row,) = findings_of(experiment, 2).open
    assert (row.trial, row.trials, row.others) == ("", 2, ("A0", "A1"))
    assert count_findings([experiment.pk]) == {experiment.pk: FindingCounts(warnings=1)}
    Finding.objects.filter(pk=own.pk).update(
        dismissed_by=cast.person("ada"), dismissed_at=timezone.now(), dismiss_reason="known"
    )
    (row,) = findings_of(experiment, 2).open
    assert {row.trial, *row.others} == {"A0", "A1"}


def test_evidence_stored_under_an_earlier_name_is_read_under_the_present_one() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    stored = cast.finding(experiment, evidence=json.dumps({"rivals": 3, "luck": 0.1}))
    assert evidence_of_finding(experiment.pk, stored.pk) == {"as_good": 3, "luck": 0.1}


def test_findings_are_counted_alike_in_pages_lists_and_a_decisions_evidence() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    trials = list(Trial.objects.filter(study__experiment=experiment))
    for trial in trials[:5]:
        cast.finding(experiment, trial=trial, rule="overfitting", subject="validation_loss")
        cast.finding(experiment, trial=trial, rule="saturated", severity="notice")
    for subject in ("train_loss", "validation_loss"):
        cast.finding(
            experiment, trial=trials[0], rule="non_finite", subject=subject, severity="problem"
        )
    cast.finding(experiment, trial=trials[1], rule="divergence", severity="problem")
    cast.finding(experiment, trial=trials[1], rule="non_finite", severity="problem")
    cast.finding(experiment)
    cast.finding(experiment, rule="points_per_value", severity="notice")
    other = cast.search("other")
    found = findings_of(experiment, 2)
    assert found.counts == FindingCounts(problems=2, warnings=2, notices=1)
    assert count_findings([experiment.pk, other.pk]) == {experiment.pk: found.counts}
    (row,) = [
        listed
        for listed in list_experiments(cast.access("ben"), ExperimentFilter()).rows
        if listed.name == experiment.name
    ]
    assert row.findings == found.counts == progress(experiment.pk).findings
    opened, _ = fired_findings(experiment)
    assert counts_of(finding["severity"] for finding in opened) == found.counts
    assert found.counts.summary == "2 problems, 2 warnings, 1 notice"


def test_the_gravest_finding_stands_first_whatever_fires_more_often() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    trials = list(Trial.objects.filter(study__experiment=experiment))
    for trial in trials[:6]:
        cast.finding(experiment, trial=trial, rule="overfitting")
    cast.finding(experiment, rule="points_per_value", severity="notice")
    cast.finding(experiment, trial=trials[0], rule="divergence", severity="problem")
    cast.finding(experiment)
    found = findings_of(experiment, 2)
    told = [row.rule for row in found.first]
    assert told == ["divergence", "boundary", "overfitting"]
    assert [row.rule for row in found.further] == ["points_per_value"]
    assert found.counts.gravest == "problem"
    assert found.first[2].title == "6 of 12 trials: validation error rises"
    assert found.first[0].title.startswith("Trial A0: ")


def test_a_dismissed_finding_asks_for_nothing() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    cast.finding(experiment)
    Finding.objects.update(
        dismissed_by=cast.person("ada"), dismissed_at=timezone.now(), dismiss_reason="known"
    )
    found = findings_of(experiment, 2)
    assert found.open == () and len(found.dismissed) == 1
    assert found.summary == "1 dismissed"
    assert found.dismissed[0].dismissed_by == "ada"


def test_findings_of_replicates_stay_out_of_the_search() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    replication = cast.repeated(experiment, looks=(3,), done=3)
    replicate = replication.studies.first().trials.first()  # type: ignore[union-attr]
    cast.finding(experiment, trial=replicate, rule="overfitting")
    assert findings_of(experiment, 2).rows == ()
    assert len(findings_of_trial(replicate.pk)) == 1  # type: ignore[union-attr]


def test_findings_cost_a_fixed_number_of_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=12)
    for trial in experiment.studies.get(arm_index=0).trials.all():
        cast.finding(experiment, trial=trial, rule="overfitting")
    with django_assert_num_queries(3):
        found = findings_of(experiment, 2, named=5)
    (row,) = found.rows
    assert row.trials == 12 and len(row.others) == 4 and row.unnamed == 7


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
    found = findings_of(experiment, 2)
    (oscillation,) = [row for row in found.rows if row.rule == "late_oscillation"]
    assert len(oscillation.others) == 3 and oscillation.trial not in oscillation.others
    (density,) = [row for row in found.rows if row.rule == "density"]
    assert len(density.others) == 1
    assert oscillation.trials == 4


def test_a_muted_experiment_keeps_what_the_rule_saw_and_asks_for_nothing() -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    for trial in Trial.objects.filter(study__experiment=experiment)[:2]:
        cast.finding(experiment, trial=trial, rule="overfitting", subject="")
    cast.finding(experiment)
    assert len(fired_findings(experiment)[0]) == 2
    experiment.mutes_overfitting = True
    experiment.save()
    found = findings_of(experiment, 2)
    assert [row.rule for row in found.open] == ["boundary"]
    (muted,) = found.dismissed
    assert muted.is_muted and len(muted.others) == 1 and muted.look == "waiting"
    assert fired_by_trial([trial.pk for trial in Trial.objects.all()]) == {}
    opened, (aside,) = fired_findings(experiment)
    assert "muted" in str(aside["dismiss_reason"]) and aside["dismissed_by"]
    assert [finding["rule"] for finding in opened] == ["boundary"]
