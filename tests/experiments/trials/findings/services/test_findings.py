from __future__ import annotations

import pytest

from experiments.analysis.diagnosis import Diagnosis, Severity, Status
from experiments.errors import NotAllowed, NotFound, VerdictError
from experiments.models import Experiment, Finding
from experiments.trials.findings.services import findings
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def experiment() -> Experiment:
    cast.project()
    return cast.search()


def _diagnosis(subject: str = "", status: Status = Status.FIRED, **more: str) -> Diagnosis:
    return Diagnosis(
        rule=more.get("rule", "boundary"),
        version=1,
        status=status,
        severity=Severity.WARNING,
        title=more.get("title", "The best trials crowd the edge"),
        detail="",
        evidence={"count": 6},
        subject=subject,
    )


def test_looking_again_replaces_what_a_rule_saw(experiment: Experiment) -> None:
    findings.record(experiment_id=experiment.pk, diagnoses=[_diagnosis("x:low", title="6 of 8")])
    findings.record(experiment_id=experiment.pk, diagnoses=[_diagnosis("x:low", title="7 of 9")])
    assert [finding.title for finding in Finding.objects.all()] == ["7 of 9"]


def test_a_subject_that_a_rule_no_longer_names_goes_and_other_rules_stay(
    experiment: Experiment,
) -> None:
    findings.record(
        experiment_id=experiment.pk,
        diagnoses=[_diagnosis("x:low"), _diagnosis("x:high"), _diagnosis(rule="density")],
    )
    findings.record(experiment_id=experiment.pk, diagnoses=[_diagnosis("x:high")])
    kept = set(Finding.objects.values_list("rule", "subject"))
    assert kept == {("boundary", "x:high"), ("density", "")}


def test_findings_of_a_trial_and_of_its_experiment_do_not_mix(experiment: Experiment) -> None:
    study = experiment.studies.first()
    assert study is not None
    trial = cast.running_trial(study)
    findings.record(experiment_id=experiment.pk, diagnoses=[_diagnosis()])
    findings.record(experiment_id=experiment.pk, trial_id=trial.pk, diagnoses=[_diagnosis()])
    assert Finding.objects.count() == 2


def test_a_dismissal_needs_a_reason_and_survives_the_next_look(experiment: Experiment) -> None:
    findings.record(experiment_id=experiment.pk, diagnoses=[_diagnosis("x:low")])
    found = Finding.objects.get()
    with pytest.raises(VerdictError):
        findings.dismiss(access=cast.access("cleo"), finding_id=found.pk, reason=" ")
    findings.dismiss(access=cast.access("cleo"), finding_id=found.pk, reason="A known limit.")
    findings.record(experiment_id=experiment.pk, diagnoses=[_diagnosis("x:low")])
    again = Finding.objects.get()
    assert again.dismiss_reason == "A known limit." and again.dismissed_by is not None
    findings.record(experiment_id=experiment.pk, diagnoses=[_diagnosis("x:high")])
    assert Finding.objects.filter(subject="x:low").exists()


def test_viewers_and_strangers_dismiss_nothing(experiment: Experiment) -> None:
    found = cast.finding(experiment)
    with pytest.raises(NotAllowed):
        findings.dismiss(access=cast.access("ben"), finding_id=found.pk, reason="no")
    with pytest.raises(NotFound):
        findings.dismiss(access=cast.access("dan"), finding_id=found.pk, reason="no")
