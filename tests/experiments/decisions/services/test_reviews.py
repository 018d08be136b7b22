"""Decisions that a second approver confirms."""

from __future__ import annotations

import copy
import json

import pytest
from django.db import connection
from django.test import Client

from experiments.decisions.queries.champion import as_document, exported, sentence
from experiments.decisions.queries.proposals import pending_on, proposals_of
from experiments.decisions.services import decisions, reviews
from experiments.errors import (
    Conflict,
    NotAllowed,
    NotFound,
    ReviewNeeded,
    StaleEvidence,
    VerdictError,
)
from experiments.models import (
    Decision,
    Event,
    Membership,
    MessageChoice,
    Project,
    Proposal,
    Replication,
)
from experiments.verdict.evidence import evidence
from experiments.verdict.queries.chain_check import check_log
from experiments.verdict.services import replications
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def made_repeated(module_db: None) -> Replication:
    """A clear adopt in a project that reviews decisions against the verdict; eve approves, too."""
    project = cast.project(reviews="overrides")
    Membership.objects.create(user=cast.person("eve"), project=project, role="approver")
    return cast.repeated(cast.finished_search(trials_per_arm=2), looks=(10,))


@pytest.fixture
def repeated(made_repeated: Replication) -> Replication:
    return copy.deepcopy(made_repeated)


def _decide(
    replication: Replication, choice: str = "reject", *, who: str = "ada", **more: object
) -> Decision | Proposal:
    arguments = {
        "choice": choice,
        "reason": "Too dear to serve.",
        "state": evidence.evaluate(replication).state,
        "override": True,
        **more,
    }
    return reviews.decide(
        access=cast.access(who, replication),
        experiment=replication.experiment,
        replication=replication,
        **arguments,  # type: ignore[arg-type]
    )


def _proposed(replication: Replication, choice: str = "reject") -> Proposal:
    made = _decide(replication, choice)
    assert isinstance(made, Proposal)
    return made


def _confirm(proposal: Proposal, who: str = "eve") -> Decision:
    return reviews.confirm(
        access=cast.access(who, "digits"), proposal=proposal, reason="The bill says so."
    )


def test_a_decision_with_the_verdict_is_recorded_at_once(repeated: Replication) -> None:
    assert isinstance(_decide(repeated, "adopt"), Decision)


def test_one_against_the_verdict_waits_and_makes_no_champion(repeated: Replication) -> None:
    proposal = _proposed(repeated)
    assert (proposal.outcome, proposal.verdict) == ("pending", "adopt")
    assert not Decision.objects.exists()
    assert Decision.objects.crowning(repeated.experiment.project) is None


def test_confirmed_it_enters_the_log_with_both_names_and_reasons(repeated: Replication) -> None:
    proposal = _proposed(repeated)
    made = _confirm(proposal)
    assert (made.choice, made.decided_by_name, made.reason) == (
        "reject",
        "ada",
        "Too dear to serve.",
    )
    second = as_document(made)["confirmation"]
    assert (second["by"], second["reason"]) == ("eve", "The bill says so.")
    assert second["proposed_at"] == proposal.proposed_at.isoformat()
    assert "confirmed by eve" in sentence(made)
    (line,) = exported(repeated.experiment.project)
    assert json.loads(line)["confirmation"] == second
    proposal.refresh_from_db()
    assert (proposal.outcome, proposal.closed_by) == ("confirmed", cast.person("eve"))


def test_the_confirmation_belongs_to_what_is_signed(repeated: Replication) -> None:
    made = _confirm(_proposed(repeated))
    project = repeated.experiment.project
    assert not check_log(project.pk, project.slug).problems
    forged = made.evidence.replace('"by": "eve"', '"by": "ben"')
    assert forged != made.evidence
    table = "experiments_decision"
    cast.by_hand(
        f'UPDATE {table} SET evidence = replace(evidence, \'"by": "eve"\', \'"by": "ben"\')'
    )
    assert check_log(project.pk, project.slug).problems


def test_a_checkpoint_that_is_none_is_refused_before_anybody_waits_for_it(
    repeated: Replication,
) -> None:
    with pytest.raises(VerdictError, match="cannot be deployed"):
        _decide(repeated, "adopt", override=True, checkpoint=999_999)
    assert not Proposal.objects.exists()


def test_who_proposed_cannot_confirm_nor_can_who_is_no_approver(repeated: Replication) -> None:
    proposal = _proposed(repeated)
    for who in ("ada", "cleo", "ben"):
        with pytest.raises(NotAllowed):
            _confirm(proposal, who)
    with pytest.raises(NotFound):
        _confirm(proposal, "dan")
    cast.project("speech")
    with pytest.raises(NotFound):
        reviews.confirm(
            access=cast.access("cleo", "speech"), proposal=proposal, reason="Another project."
        )
    assert not Decision.objects.exists()


def test_no_way_leads_around_the_review(repeated: Replication) -> None:
    with pytest.raises(ReviewNeeded, match="second approver"):
        cast.decide(repeated, "reject")
    assert not Decision.objects.exists()


def test_every_adopt_waits_where_the_project_says_so(repeated: Replication) -> None:
    Project.objects.update(reviews="adopts")
    proposal = _proposed(repeated, "adopt")
    crowned = _confirm(proposal)
    assert crowned == Decision.objects.crowning(repeated.experiment.project)
    assert not crowned.overrides_verdict


def test_without_the_setting_nothing_waits(repeated: Replication) -> None:
    Project.objects.update(reviews="none")
    assert isinstance(_decide(repeated), Decision)


def test_an_override_has_to_be_meant_before_it_is_proposed(repeated: Replication) -> None:
    with pytest.raises(Conflict, match="goes against it"):
        _decide(repeated, override=False)
    assert not Proposal.objects.exists()


def test_while_one_waits_nothing_else_is_decided_there(repeated: Replication) -> None:
    _proposed(repeated)
    for choice in ("adopt", "reject"):
        with pytest.raises(Conflict, match="ada proposed reject here"):
            _decide(repeated, choice, who="eve")
    assert Proposal.objects.count() == 1 and not Decision.objects.exists()


@pytest.mark.parametrize("who", ["ada", "eve"])
def test_its_proposer_withdraws_it_and_another_approver_declines_it(
    repeated: Replication, who: str
) -> None:
    proposal = _proposed(repeated)
    with pytest.raises(NotAllowed):
        reviews.withdraw(access=cast.access("cleo", "digits"), proposal=proposal)
    reviews.withdraw(access=cast.access(who, "digits"), proposal=proposal, reason="Not now.")
    (row,) = proposals_of(cast.access("ben", "digits"), pending=False)
    assert (row.outcome, row.closed_by, row.closed_because) == ("withdrawn", who, "Not now.")
    with pytest.raises(Conflict, match=f"withdrawn by {who}"):
        _confirm(proposal)
    assert isinstance(_decide(repeated, "adopt", who="eve"), Decision)


def test_it_expires_when_its_evidence_changes(repeated: Replication) -> None:
    proposal = _proposed(repeated)
    replications.open_test(access=cast.access("cleo", repeated), replication=repeated)
    with pytest.raises(StaleEvidence, match="the openings of test scores"):
        _confirm(proposal)
    proposal.refresh_from_db()
    assert proposal.outcome == "expired" and "test scores" in proposal.closed_because
    assert not Decision.objects.exists()
    assert isinstance(_decide(repeated, "adopt"), Decision), "another can be made"


def test_one_that_went_stale_expires_by_itself_and_stands_in_nobodys_way(
    repeated: Replication,
) -> None:
    first = _proposed(repeated)
    reviews.expire_stale()
    assert pending_on(repeated.pk) is not None
    replications.open_test(access=cast.access("cleo", repeated), replication=repeated)
    second = _proposed(repeated)
    first.refresh_from_db()
    assert (first.outcome, second.outcome) == ("expired", "pending")
    cast.finding(repeated.experiment, severity="problem")
    reviews.expire_stale()
    second.refresh_from_db()
    assert second.outcome == "expired" and pending_on(repeated.pk) is None


def test_a_change_between_judging_and_locking_records_nothing(
    repeated: Replication, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = _proposed(repeated)
    checked = decisions.checked

    def and_then_somebody_opens(*arguments: object) -> object:
        seen = checked(*arguments)  # type: ignore[arg-type]
        replications.open_test(access=cast.access("cleo", repeated), replication=repeated)
        return seen

    monkeypatch.setattr(reviews, "checked", and_then_somebody_opens)
    with pytest.raises(StaleEvidence):
        _confirm(proposal)
    proposal.refresh_from_db()
    assert proposal.outcome == "expired" and not Decision.objects.exists()


def test_one_whose_proposer_left_is_not_confirmed(repeated: Replication) -> None:
    proposal = _proposed(repeated)
    Membership.objects.filter(user=cast.person("ada")).update(role="editor")
    with pytest.raises(Conflict, match="ada proposed this and is no longer an approver"):
        _confirm(proposal)
    proposal.refresh_from_db()
    assert proposal.outcome == "expired"


def test_one_that_was_written_into_the_database_is_not_confirmed(repeated: Replication) -> None:
    proposal = _proposed(repeated)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE experiments_proposal SET reason = 'ada would never say that'")
    proposal.refresh_from_db()
    with pytest.raises(Conflict, match="altered in the database"):
        _confirm(proposal)
    assert not Decision.objects.exists()


def test_a_broken_log_takes_no_confirmation_and_loses_no_proposal(repeated: Replication) -> None:
    cast.decided("wider", "adopt", "It pays.")
    proposal = _proposed(repeated)
    cast.by_hand("UPDATE experiments_decision SET reason = 'forged'")
    with pytest.raises(Conflict, match="was altered"):
        _confirm(proposal)
    proposal.refresh_from_db()
    assert proposal.outcome == "pending"


def test_whoever_hears_of_due_decisions_hears_of_a_proposal(repeated: Replication) -> None:
    eve = cast.person("eve")
    eve.email = "eve@example.org"
    eve.save()
    MessageChoice.objects.create(
        user=eve, project=repeated.experiment.project, events=["decision wanted"]
    )
    _proposed(repeated)
    event = Event.objects.get()
    assert "ada proposed reject on label-smoothing" in json.loads(event.document)["text"]


def test_a_proposal_is_found_beside_the_candidate_that_it_is_about(repeated: Replication) -> None:
    second = Replication.objects.get(pk=repeated.pk)
    second.pk, second.first_of_group_id = None, repeated.pk
    second.save()
    proposal = _proposed(repeated)
    row = pending_on(repeated.pk)
    assert row is not None and (row.id, row.candidate) == (proposal.pk, 1)
    Proposal.objects.update(replication=second)
    row = pending_on(second.pk)
    assert row is not None and row.candidate == 2


def test_a_proposal_on_replaced_seeds_stands_in_inbox_and_log_until_it_is_withdrawn(
    repeated: Replication, client: Client
) -> None:
    proposal = _proposed(repeated)
    client.force_login(cast.person("eve"))
    log = client.get("/projects/digits/decisions/").content.decode()
    assert "waits for a second approver" in log and "replaced by newer seeds" not in log
    newer = Replication.objects.get(pk=repeated.pk)
    newer.pk = None
    newer.save(force_insert=True)
    log = client.get("/projects/digits/decisions/").content.decode()
    assert "replaced by newer seeds" in log and "Too dear to serve." in log
    inbox = client.get("/").content.decode()
    assert "replaced by newer seeds" in inbox
    assert 'href="/projects/digits/decisions/#proposals"' in inbox
    answer = client.post(f"/projects/digits/proposals/{proposal.pk}/withdraw/", follow=True)
    assert answer.redirect_chain[-1][0] == "/projects/digits/decisions/#proposals"
    assert "withdrawn by eve" in answer.content.decode()
    assert "replaced by newer seeds" not in client.get("/").content.decode()
