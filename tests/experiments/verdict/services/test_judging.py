"""Each service judges for itself: called directly, as a command or a worker would."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from experiments.decisions.services import baselines, decisions
from experiments.errors import Conflict, NotFound, NotOpenYet, StaleEvidence
from experiments.models import Decision, Finding, Replication, TestOpening, Trial
from experiments.verdict.evidence.evidence import Evidence, evaluate
from experiments.verdict.evidence.evidence_state import changed_parts, evidence_state
from experiments.verdict.services import judging, replications, variance
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def made_clear(module_db: None) -> Replication:
    """The candidate is clearly better at the first of two looks."""
    cast.project()
    return cast.repeated(cast.finished_search(trials_per_arm=3), looks=(6, 12), done=6, gain=0.02)


@pytest.fixture
def clear(made_clear: Replication) -> Replication:
    return copy.deepcopy(made_clear)


@pytest.fixture
def unclear() -> Replication:
    """The first of two looks does not decide."""
    cast.project()
    search = cast.finished_search(trials_per_arm=3)
    return cast.repeated(search, looks=(6, 12), done=6, gain=0.0, spread=0.004)


@pytest.fixture
def between() -> Replication:
    """Five of six pairs are in: there is no verdict."""
    cast.project()
    return cast.repeated(cast.finished_search(trials_per_arm=3), looks=(6, 12), done=5, gain=0.02)


def _record(held: Replication, choice: str = "adopt", **more: object) -> Decision:
    told = {"state": evidence_state(held), "reason": "It pays.", **more}
    return decisions.record(
        access=cast.access("ada", held.experiment),
        experiment=held.experiment,
        replication=held,
        choice=choice,
        **told,  # type: ignore[arg-type]
    )


def test_an_undecided_candidate_is_not_adopted_without_the_override(unclear: Replication) -> None:
    with pytest.raises(Conflict, match="verdict is undecided, so adopt goes against it"):
        _record(unclear)
    assert not Decision.objects.exists()
    made = _record(unclear, override=True)
    assert (made.verdict, made.overrides_verdict) == ("undecided", True)


def test_a_clear_gain_is_not_rejected_without_the_override(clear: Replication) -> None:
    with pytest.raises(Conflict, match="verdict is adopt, so reject goes against it"):
        _record(clear, "reject")
    made = _record(clear, "reject", override=True)
    assert (made.verdict, made.overrides_verdict) == ("adopt", True)


def test_an_override_of_nothing_is_not_recorded_as_one(clear: Replication) -> None:
    assert not _record(clear, override=True).overrides_verdict


@pytest.mark.parametrize("choice", ["adopt", "reject", "continue"])
def test_between_looks_nothing_is_decided(between: Replication, choice: str) -> None:
    with pytest.raises(NotOpenYet, match="no verdict yet"):
        _record(between, choice, override=True)
    assert not Decision.objects.exists()


def test_a_decision_names_the_evidence_that_it_rests_on(clear: Replication) -> None:
    with pytest.raises(StaleEvidence, match="Say which evidence"):
        _record(clear, state="")


def _other_score(held: Replication) -> None:
    Trial.objects.replicates_of(held).filter(pair=0).update(value=0.9)


def _open(held: Replication) -> None:
    replications.open_test(access=cast.access("cleo", held), replication=held)


def _problem(held: Replication) -> None:
    cast.finding(held.experiment, severity="problem", title="The labels leak into the input")


def _dismiss(held: Replication) -> None:
    _problem(held)
    Finding.objects.update(
        dismissed_by=cast.person("cleo"), dismissed_at=cast.START, dismiss_reason="Known."
    )


CHANGES = [
    (_other_score, "the replicates"),
    (_open, "the openings of test scores"),
    (_problem, "the findings"),
    (_dismiss, "the findings"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_nobody_decides_on_evidence_that_changed_and_is_told_in_what(
    clear: Replication, change: Callable[[Replication], None], said: str
) -> None:
    shown = evidence_state(clear)
    change(clear)
    with pytest.raises(StaleEvidence, match=f"since this page was opened: {said}\\. Look"):
        _record(clear, state=shown)
    assert not Decision.objects.exists()
    assert _record(clear).verdict == "adopt"


def test_a_warning_leaves_the_state_as_it_was(clear: Replication) -> None:
    shown = evidence_state(clear)
    cast.finding(clear.experiment)
    assert changed_parts(shown, evidence_state(clear)) == []


@pytest.mark.parametrize("change", [change for change, _ in CHANGES])
def test_what_changes_while_the_service_judges_is_not_decided_upon(
    clear: Replication,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Replication], None],
) -> None:
    def gather_then_change(held: Replication) -> Evidence:
        monkeypatch.setattr(judging, "evaluate", evaluate)
        seen = evaluate(held)
        change(held)
        return seen

    monkeypatch.setattr(judging, "evaluate", gather_then_change)
    with pytest.raises(StaleEvidence):
        _record(clear)
    assert not Decision.objects.exists()


def test_the_verdict_is_the_records_and_not_the_callers_copy(clear: Replication) -> None:
    stale = Replication.objects.get(pk=clear.pk)
    Replication.objects.filter(pk=clear.pk).update(margin=0.5)
    with pytest.raises(StaleEvidence, match="the looks"):
        _record(stale)


def test_a_replication_of_another_experiment_decides_nothing_here(clear: Replication) -> None:
    other = cast.finished_search("other", trials_per_arm=2)
    with pytest.raises(NotFound, match="other has no replication"):
        decisions.record(
            access=cast.access("ada", other),
            experiment=other,
            replication=clear,
            state=evidence_state(clear),
            choice="adopt",
            reason="It pays.",
        )


def test_runs_that_measure_variance_lead_to_no_decision(clear: Replication) -> None:
    measuring = variance.measure(
        access=cast.access("cleo", clear.experiment),
        experiment=clear.experiment,
        purpose="training_seed",
        runs=2,
    )
    with pytest.raises(NotOpenYet, match="not declared for a verdict"):
        _record(measuring)


def test_a_replication_that_asks_for_a_verdict_is_no_baseline(clear: Replication) -> None:
    with pytest.raises(NotOpenYet, match="no baseline"):
        baselines.record(
            access=cast.access("ada", clear), replication=clear, reason="It is what runs."
        )
    assert not Decision.objects.exists()


def test_what_has_seeds_is_not_dropped_without_them(between: Replication) -> None:
    with pytest.raises(Conflict, match="Seeds were asked for"):
        decisions.record(
            access=cast.access("ada", between.experiment),
            experiment=between.experiment,
            choice="dropped without seeds",
            reason="Not worth it.",
        )


def test_a_clear_look_is_not_continued(clear: Replication) -> None:
    cleo = cast.person("cleo")
    with pytest.raises(Conflict, match="Only an undecided look"):
        replications.continue_to_next_look(access=cast.access(cleo, clear), replication=clear)
    clear.refresh_from_db()
    assert clear.pairs_queued == 6


def test_a_clear_last_look_gets_no_extra_seeds() -> None:
    cast.project()
    held = cast.repeated(cast.finished_search(trials_per_arm=3), looks=(6,), done=6, gain=0.02)
    with pytest.raises(Conflict, match="undecided last look"):
        replications.add_extra_look(access=cast.access("cleo", held), replication=held, pairs=3)
    held.refresh_from_db()
    assert (held.pairs_queued, held.looks_after_the_last) == (6, ())


def test_a_test_score_is_not_opened_early(between: Replication) -> None:
    with pytest.raises(NotOpenYet, match=r"after the verdict\. 10 of 12 replicates are done"):
        replications.open_test(access=cast.access("ada", between), replication=between)
    assert not TestOpening.objects.exists()


def test_after_an_accident_no_test_score_opens_until_it_is_repeated(clear: Replication) -> None:
    lost = Trial.objects.replicates_of(clear)[:1].values("pk")
    Trial.objects.filter(pk__in=lost).update(state=3, failure_kind="lost")
    with pytest.raises(NotOpenYet, match="1 replicate failed by accident"):
        replications.open_test(access=cast.access("ada", clear), replication=clear)
    assert not TestOpening.objects.exists()
