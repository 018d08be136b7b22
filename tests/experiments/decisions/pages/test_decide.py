from __future__ import annotations

import copy
import json
import re

import pytest
from django.test import Client

from experiments.design.trial_names import trial_name
from experiments.models import (
    Artifact,
    Decision,
    Experiment,
    Finding,
    Membership,
    Project,
    Proposal,
    SeriesBatch,
    TestOpening,
    Trial,
)
from experiments.models.trial import FailureKind, TrialState
from tests import cast

pytestmark = pytest.mark.django_db


def page(client: Client, experiment: Experiment, name: str = "ada") -> str:
    client.force_login(cast.person(name))
    answer = client.get(cast.address(experiment, "decide/"))
    assert answer.status_code == 200
    return answer.content.decode()


def press(client: Client, experiment: Experiment, text: str, **told: str) -> str:
    state = re.findall(r'name="state" value="(\w+)"', text)
    fields = {"choice": "adopt", "reason": "It pays.", "state": state[0] if state else ""}
    address = cast.address(experiment, "decide/record/")
    return client.post(address, fields | told, follow=True).content.decode()


@pytest.fixture(scope="module")
def made_searched(module_db: None) -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=6)


@pytest.fixture
def searched(made_searched: Experiment) -> Experiment:
    return copy.deepcopy(made_searched)


@pytest.fixture
def repeated(searched: Experiment) -> Experiment:
    cast.repeated(searched, looks=(6, 12), done=6, gain=0.02, spread=0.0005)
    return searched


def test_without_seeds_the_page_says_why_the_buttons_rest(
    client: Client, searched: Experiment
) -> None:
    text = page(client, searched)
    assert "Not open yet: there are no fresh seeds" in text
    assert 'value="adopt"' not in text and 'value="reject"' not in text


def test_an_experiment_can_be_dropped_without_seeds_with_a_reason(
    client: Client, searched: Experiment
) -> None:
    text = page(client, searched)
    press(client, searched, text, choice="dropped without seeds", reason="Not worth it.")
    decision = Decision.objects.get()
    assert (decision.choice, decision.verdict) == ("dropped without seeds", "")
    assert "Read the decision" in page(client, searched)


def test_adopt_without_seeds_records_nothing(client: Client, searched: Experiment) -> None:
    said = press(client, searched, page(client, searched))
    assert "There is no verdict yet" in said
    assert not Decision.objects.exists()


def test_between_looks_nothing_can_be_decided(client: Client, searched: Experiment) -> None:
    cast.repeated(searched, looks=(6, 12), done=5, gain=0.02, spread=0.0005)
    text = page(client, searched)
    assert "Nothing is tested between declared looks" in text
    for word in ("evidence says", "figure-interval", 'value="adopt"'):
        assert word not in text
    press(client, searched, text)
    assert not Decision.objects.exists()


def test_the_verdict_stands_with_its_interval_and_what_it_rests_on(
    client: Client, repeated: Experiment
) -> None:
    text = page(client, repeated)
    for words in ("The evidence says adopt", "figure-interval", "Look 1 of 2", "What changes"):
        assert words in text, words
    for words in ("What it costs", "Holds for optimizer adam", "not measured", "not counted"):
        assert words in text, words


def test_the_page_names_what_is_decided_and_what_it_changes(
    client: Client, repeated: Experiment
) -> None:
    text = page(client, repeated)
    trial = repeated.best_trial
    assert trial is not None
    name = trial_name(trial.number, arm=trial.study.arm_index, arms=2)
    assert f"Adopt trial {name} of {repeated.name}?" in text
    assert "baseline → candidate" in text and "Checklist" in text
    assert "Adopt candidate" in text and "Reject candidate" in text


def test_an_override_is_said_before_it_is_pressed_and_named_after(
    client: Client, searched: Experiment
) -> None:
    cast.repeated(searched, looks=(6,), done=6, gain=0.0, spread=0.004)
    text = page(client, searched)
    assert "Needed before adopt is pressed" in text
    assert "override the verdict" in press(client, searched, text)
    press(client, searched, text, override="on")
    log = client.get("/projects/digits/decisions/").content.decode()
    assert "while undecided" in log and "against the verdict" not in log


def test_adopting_freezes_the_evidence(client: Client, repeated: Experiment) -> None:
    said = press(client, repeated, page(client, repeated))
    assert "Recorded as decision 1" in said
    decision = Decision.objects.get()
    assert (decision.choice, decision.reason, decision.verdict) == ("adopt", "It pays.", "adopt")
    assert '"replicates"' in decision.evidence


def test_a_second_click_records_nothing_twice(client: Client, repeated: Experiment) -> None:
    text = page(client, repeated)
    press(client, repeated, text)
    said = press(client, repeated, text)
    assert Decision.objects.count() == 1
    assert "decided this already" in said


def test_a_reason_is_required_and_kept_when_something_else_is_wrong(
    client: Client, repeated: Experiment
) -> None:
    text = page(client, repeated)
    assert "A decision needs a reason" in press(client, repeated, text, reason="  ")
    said = press(client, repeated, text, state="0" * 64, reason="Long and thoughtful.")
    assert "The evidence changed since this page was opened" in said
    assert "Long and thoughtful." in said
    assert not Decision.objects.exists()


def test_a_stale_page_records_nothing(client: Client, repeated: Experiment) -> None:
    text = page(client, repeated)
    finding = cast.finding(repeated)
    Finding.objects.filter(pk=finding.pk).update(
        dismissed_by=cast.person("cleo"), dismissed_at=cast.START, dismiss_reason="Known."
    )
    assert "Look at it again, then decide" in press(client, repeated, text)
    assert not Decision.objects.exists()


def test_an_editor_reads_the_verdict_but_cannot_decide(
    client: Client, repeated: Experiment
) -> None:
    text = page(client, repeated, "cleo")
    assert "The evidence says adopt" in text and "ada can decide; your role is editor" in text
    assert 'value="adopt"' not in text
    address = cast.address(repeated, "decide/record/")
    fields = {"choice": "adopt", "reason": "x", "state": "x"}
    assert client.post(address, fields).status_code == 403
    assert not Decision.objects.exists()


def test_test_scores_stay_sealed_until_somebody_opens_them(
    client: Client, repeated: Experiment
) -> None:
    text = page(client, repeated)
    assert "Open the test scores" in text and "test_accuracy" not in text
    replication = repeated.replications.get()
    opened = client.post(
        cast.address(repeated, f"seeds/{replication.pk}/open-test/"), follow=True
    ).content.decode()
    assert "test_accuracy" in opened and "opened 1 time" in opened
    assert TestOpening.objects.get().opened_by == cast.person("ada")


def test_test_scores_cannot_be_opened_between_looks(client: Client, searched: Experiment) -> None:
    replication = cast.repeated(searched, looks=(6, 12), done=5)
    page(client, searched)
    client.post(cast.address(searched, f"seeds/{replication.pk}/open-test/"))
    assert not TestOpening.objects.exists()


def test_opened_test_scores_are_frozen_into_the_decision(
    client: Client, repeated: Experiment
) -> None:
    page(client, repeated)
    replication = repeated.replications.get()
    client.post(cast.address(repeated, f"seeds/{replication.pk}/open-test/"))
    press(client, repeated, page(client, repeated))
    text = client.get("/projects/digits/decisions/1/").content.decode()
    assert "test_accuracy" in text and "opened 1 time" in text


def test_an_undecided_look_offers_to_continue(client: Client, searched: Experiment) -> None:
    cast.repeated(searched, looks=(6, 12), done=6, gain=0.0, spread=0.004)
    text = page(client, searched)
    assert "The evidence does not decide" in text and "Continue to 12 pairs" in text
    assert "Adopt although the evidence is undecided" in text


def test_to_continue_is_a_choice_that_is_recorded_with_its_reason(
    client: Client, searched: Experiment
) -> None:
    held = cast.repeated(searched, looks=(6, 12), done=6, gain=0.0, spread=0.004)
    answer = press(client, searched, page(client, searched), choice="continue")
    held.refresh_from_db()
    assert "Recorded as decision 1" in answer and held.pairs_queued == 12
    assert "continue" in client.get("/projects/digits/decisions/").content.decode()
    champions = client.get("/projects/digits/champions/").content.decode()
    assert "Nothing was adopted for production yet" in champions


def test_the_decision_may_name_which_replicates_checkpoint_is_deployed(
    client: Client, repeated: Experiment
) -> None:
    held = repeated.replications.get()
    kept = Trial.objects.replicates_of(held).filter(study__side="candidate", pair__lt=3)
    for trial in kept:
        Artifact.objects.create(
            trial=trial,
            kind="checkpoint",
            name="best",
            path="x",
            size=2048,
            sha256=f"{trial.pk:064d}",
            step=60,
            value=0.97,
        )
    text = page(client, repeated)
    assert "Deploys the checkpoint of" in text and "pair 3, step 60" in text
    second = kept.get(pair=1)
    press(client, repeated, text, checkpoint=str(second.pk))
    shown = client.get("/projects/digits/decisions/1/").content.decode()
    assert f"{second.pk:064d}" in shown and f"trial {second.pk}, step 60" in shown


def test_findings_stand_with_the_evidence(client: Client, repeated: Experiment) -> None:
    cast.finding(repeated)
    Finding.objects.update(
        dismissed_by=cast.person("ada"), dismissed_at=cast.START, dismiss_reason="Known limit."
    )
    assert "Known limit." in page(client, repeated)


def test_a_replication_of_another_experiment_is_not_found(
    client: Client, repeated: Experiment
) -> None:
    other = cast.search("other")
    replication = repeated.replications.get()
    client.force_login(cast.person("ada"))
    for action in ("open-test", "continue", "repeat"):
        address = cast.address(other, f"seeds/{replication.pk}/{action}/")
        assert client.post(address).status_code == 404


def test_everything_a_decision_rests_on_stands_on_the_page(
    client: Client, repeated: Experiment
) -> None:
    cast.some_findings(repeated)
    limits = [{"metric": "seconds", "bound": "at most", "limit": 11.25}]
    repeated.replications.update(guards=json.dumps(limits))
    text = page(client, repeated)
    for words in (
        "The search varied label_smoothing (scientific: 0, 0.1), learning_rate (nuisance",
        "Those were fixed, so they bound the conclusion",
        "Findings of the search",
        "The best trials crowd the lower edge",
        "Passed: No oscillation late in training",
        "not used for the verdict",
        "Guard metrics",
        "11.2 → 11.3",
        "broken",
        "adopting is blocked because training time in seconds at most 11.25 is broken (mean 11.3)",
    ):
        assert words in text, words


def test_the_evidence_downloads_as_markdown(client: Client, repeated: Experiment) -> None:
    cast.some_findings(repeated)
    limits = [{"metric": "seconds", "bound": "at most", "limit": 20.0}]
    repeated.replications.update(guards=json.dumps(limits))
    client.force_login(cast.person("ben"))
    answer = client.get(cast.address(repeated, "decide.md"))
    assert answer.headers["Content-Disposition"].endswith('-evidence.md"')
    text = answer.content.decode()
    for words in ("# Digits, label-smoothing: adopt?", "## The evidence says adopt", "| pair |",
                  "- training time in seconds: 11.2 → 11.3, at most 20: passed",
                  "## Open findings",
                  "## Passed checks", "varied by the search: label_smoothing"):  # fmt: skip
        assert words in text, words


def test_dismissed_findings_stand_in_the_markdown_with_their_reason(
    client: Client, repeated: Experiment
) -> None:
    cast.finding(repeated)
    Finding.objects.update(
        dismissed_by=cast.person("ada"), dismissed_at=cast.START, dismiss_reason="Known limit."
    )
    client.force_login(cast.person("ben"))
    text = client.get(cast.address(repeated, "decide.md")).content.decode()
    assert "Known limit." in text.partition("## Dismissed")[2]


def test_between_looks_the_markdown_holds_the_seeds_only(
    client: Client, searched: Experiment
) -> None:
    cast.repeated(searched, looks=(6, 12), done=5, gain=0.02, spread=0.0005)
    client.force_login(cast.person("ben"))
    text = client.get(cast.address(searched, "decide.md")).content.decode()
    assert "10 of 12 replicates are done" in text and "| pair |" in text
    for words in ("evidence says", "interval", "better by"):
        assert words not in text
    assert client.get(cast.address(cast.search("bare"), "decide.md")).status_code == 404


def test_each_candidate_is_decided_on_its_own_page(client: Client, searched: Experiment) -> None:
    first, second = cast.candidates(searched, looks=(6,), done=6, gain=0.02, spread=0.0005)
    client.force_login(cast.person("ada"))
    text = client.get(cast.address(searched, "decide/?candidate=2")).content.decode()
    assert "shared by 2 candidates" in text and "decide/record/?candidate=2" in text
    state = re.findall(r'name="state" value="(\w+)"', text)[0]
    fields = {"choice": "reject", "reason": "The other one is simpler.", "state": state}
    fields["override"] = "on"
    client.post(cast.address(searched, "decide/record/?candidate=2"), fields)
    assert Decision.objects.get().replication == second
    # A second click on the same page finds it decided and does not touch the other candidate.
    said = client.post(cast.address(searched, "decide/record/?candidate=2"), fields, follow=True)
    assert "decided this already" in said.content.decode()
    assert Decision.objects.count() == 1 and not first.decisions.exists()


def test_a_candidate_is_not_adopted_over_a_champion_it_never_met(
    client: Client, searched: Experiment
) -> None:
    cast.candidates(searched, looks=(6,), done=6, gain=0.02, spread=0.0005)
    for place in (1, 2):
        client.force_login(cast.person("ada"))
        address = cast.address(searched, f"decide/?candidate={place}")
        state = re.findall(r'name="state" value="(\w+)"', client.get(address).content.decode())[0]
        said = client.post(
            cast.address(searched, f"decide/record/?candidate={place}"),
            {"choice": "adopt", "reason": "It pays.", "state": state},
            follow=True,
        ).content.decode()
    assert "The champion changed since this replication was declared" in said
    assert Decision.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("equal values", "All 6 differences are equal"),
        ("a failed arm", "Only 0 pairs are finite in both arms"),
        ("unequal counts", "the metric was not evaluated equally often"),
        ("missing metrics", "ended without a single value of validation_accuracy"),
    ],
)
def test_evidence_that_cannot_be_judged_says_why_and_records_nothing(
    client: Client, repeated: Experiment, change: str, said: str
) -> None:
    spoil(repeated, change)
    text = page(client, repeated)
    assert said in text and "There is no verdict." in text and 'value="adopt"' not in text
    press(client, repeated, text)
    assert not Decision.objects.exists()


def spoil(experiment: Experiment, change: str) -> None:
    """Make the replicates such that nothing can be judged."""
    runs = Trial.objects.filter(study__replication__experiment=experiment)
    candidates = runs.filter(study__side="candidate")
    broken = {"state": TrialState.FAILED, "failure_kind": FailureKind.INFEASIBLE, "value": None}
    if change == "equal values":
        SeriesBatch.objects.filter(trial__in=runs).delete()
        runs.update(value=0.5)
    elif change == "a failed arm":
        SeriesBatch.objects.filter(trial__in=candidates).delete()
        candidates.update(**broken)
    elif change == "unequal counts":
        SeriesBatch.objects.filter(trial__in=candidates).delete()
    else:
        SeriesBatch.objects.filter(trial__in=runs).delete()
        runs.update(**broken)


def test_an_override_is_proposed_confirmed_by_another_and_both_reasons_are_read(
    client: Client, repeated: Experiment
) -> None:
    Project.objects.update(reviews="overrides")
    Membership.objects.create(user=cast.person("eve"), project=repeated.project, role="approver")
    text = page(client, repeated)
    assert "Propose to reject" in text and "Adopt candidate" in text
    text = press(client, repeated, text, choice="reject", override="on", reason="Too dear.")
    assert "Another approver has to confirm it" in text and "Withdraw proposal" in text
    assert "Waits for eve" in text and "Confirm reject" not in text
    assert "Confirm reject" not in page(client, repeated, "cleo")
    assert "ada proposed reject" in client.get("/").content.decode()
    text = page(client, repeated, "eve")
    assert "Confirm reject" in text and "Too dear." in text and "against the verdict" in text
    home = client.get("/").content.decode()
    assert f'aria-label="Review {repeated.name}"' in home
    confirm = f"/projects/digits/proposals/{Proposal.objects.get().pk}/confirm/"
    assert "A decision needs a reason" in client.post(confirm, follow=True).content.decode()
    text = client.post(confirm, {"reason": "So is serving."}, follow=True).content.decode()
    assert "Confirmed by eve" in text and "So is serving." in text and "Too dear." in text
    assert "confirmed by eve" in client.get("/projects/digits/decisions/").content.decode()
    rows = client.get("/projects/digits/decisions.csv").content.decode()
    assert "eve,So is serving." in rows
    assert "## Confirmed by eve" in client.get("/projects/digits/decisions/1.md").content.decode()
    assert "ada proposed" not in client.get("/").content.decode()


def test_an_expired_proposal_says_what_changed_and_leaves_the_form(
    client: Client, repeated: Experiment
) -> None:
    Project.objects.update(reviews="adopts")
    press(client, repeated, page(client, repeated))
    replication = repeated.replications.get()
    client.post(cast.address(repeated, f"seeds/{replication.pk}/open-test/"))
    text = page(client, repeated)
    assert "has expired: the openings of test scores changed" in text
    assert "Propose to adopt" in text
    press(client, repeated, text)
    assert [proposal.outcome for proposal in Proposal.objects.all()] == ["expired", "pending"]
    withdraw = f"/projects/digits/proposals/{Proposal.objects.latest('pk').pk}/withdraw/"
    text = client.post(withdraw, follow=True).content.decode()
    assert "The proposal is withdrawn" in text and "Propose to adopt" in text
