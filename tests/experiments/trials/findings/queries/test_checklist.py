from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.analysis.rules import CHECKLIST, RULES
from experiments.models import Experiment
from experiments.trials.findings.queries.checklist import CheckRow, checklist
from experiments.trials.findings.queries.findings import findings_of
from tests import cast

pytestmark = pytest.mark.django_db


def rows(experiment: Experiment) -> dict[str, CheckRow]:
    found = checklist(experiment, findings_of(experiment, 2))
    return {row.question: row for row in found.rows}


@pytest.fixture
def experiment() -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=3)


def test_every_question_has_an_answer_and_every_rule_in_it_exists(experiment: Experiment) -> None:
    assert list(rows(experiment)) == [question for question, _ in CHECKLIST]
    assert {name for _, names in CHECKLIST for name in names} <= set(RULES)


def test_before_any_trial_nothing_is_passed_that_was_not_looked_at() -> None:
    cast.project()
    new = cast.search()
    states = {question: row.words for question, row in rows(new).items()}
    assert states.pop("Was the test set left alone?") == "passed"
    assert set(states.values()) == {"not checkable yet"}


def test_a_warning_names_its_reason(experiment: Experiment) -> None:
    cast.finding(experiment)
    row = rows(experiment)["Is the search space large enough?"]
    assert row.words == "warned" and "learning_rate" in row.reasons[0]


def test_one_warning_outweighs_what_passed(experiment: Experiment) -> None:
    cast.finding(experiment, status="passed", subject="dropout:low")
    cast.finding(experiment, subject="dropout:high")
    assert rows(experiment)["Is the search space large enough?"].words == "warned"


def test_what_was_set_aside_is_said_so(experiment: Experiment) -> None:
    from django.utils import timezone

    cast.finding(
        experiment,
        dismissed_at=timezone.now(),
        dismissed_by=cast.person("ada"),
        dismiss_reason="known",
    )
    assert rows(experiment)["Is the search space large enough?"].words == "dismissed"


def test_a_rule_that_cannot_tell_yet_says_what_it_needs(experiment: Experiment) -> None:
    cast.finding(
        experiment, rule="density", subject="", status="not_checkable", detail="3 trials; needs 8."
    )
    row = rows(experiment)["Were enough points sampled?"]
    assert row.words == "not checkable yet" and row.reasons == ("3 trials; needs 8.",)


def test_a_record_without_a_best_trial_is_not_complete(experiment: Experiment) -> None:
    assert rows(experiment)["Can it be reproduced?"].words in ("passed", "noticed")
    experiment.best_trial = None
    row = rows(experiment)["Can it be reproduced?"]
    assert row.words == "noticed" and "reproduce command" in row.reasons[0]


def test_findings_of_single_trials_do_not_answer_for_the_experiment(
    experiment: Experiment,
) -> None:
    cast.finding(experiment, trial=experiment.best_trial, rule="overfitting", subject="")
    assert rows(experiment)["Are the best trials free of overfitting?"].words != "warned"


def test_the_checklist_costs_one_query(
    experiment: Experiment, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    cast.some_findings(experiment)
    found = findings_of(experiment, 2)
    with django_assert_num_queries(1):
        answered = checklist(experiment, found)
    assert "warned" in answered.summary and "not checkable yet" in answered.summary
