from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.db import IntegrityError

from experiments.errors import Conflict, NotAllowed, NotFound, NotOpenYet, VerdictError
from experiments.models import EdgeProbe, Experiment, Finding, Study, Trial
from experiments.models.trial import FailureKind, Origin, StudyKind, TrialState
from experiments.models.trial_encoding import decode
from experiments.trials.findings.services import findings
from experiments.trials.lifecycle.queries import trial_spec
from experiments.trials.lifecycle.queries.edge_probes import price_of, probes_of
from experiments.trials.lifecycle.queries.search_progress import progress_of
from experiments.trials.lifecycle.services import claiming, edge_probes, trials
from experiments.web.formatting import time_range
from tests import cast
from workers.node import owed_findings
from workers.node.findings import FindingsRecorder

pytestmark = pytest.mark.django_db

EDGE = "learning_rate:high"
Score = Callable[[dict[str, Any], int], float | None]


def peaked(parameters: dict[str, Any], seed: int) -> float:
    """Best at the upper edge, 0.01."""
    return cast.rising({"learning_rate": 0.01}, seed) - 0.1 * abs(
        float(np.log10(parameters["learning_rate"])) + 2.0
    )


def a_search(score: Any = cast.rising, **more: Any) -> Experiment:
    cast.project()
    return cast.searched_rates(score, **more)


def ask(experiment: Experiment, *subjects: str, who: str = "cleo") -> int:
    access = cast.access(cast.person(who), experiment)
    return edge_probes.ask(access=access, experiment=experiment, subjects=subjects)


def runs() -> list[Trial]:
    return list(Trial.objects.filter(study__kind=StudyKind.PROBE).order_by("pk"))


def finish_look(score: Score, *, kind: str = FailureKind.EXCEPTION) -> None:
    """End what waits: with a score, or by failing where there is none."""
    for trial in runs():
        if trial.state == TrialState.WAITING:
            value = score(decode(trial.parameters), trial.train_seed or 0)
            trials.finish(
                trial_id=trial.pk,
                state=TrialState.FAILED if value is None else TrialState.COMPLETE,
                values=None if value is None else [value],
                failure_kind=kind if value is None else "",
            )


def go_through(experiment: Experiment, score: Score, **more: str) -> EdgeProbe:
    """Look after look until the probe has ended, then the findings."""
    for _ in range(9):
        finish_look(score, **more)
        ended = edge_probes.advance_all()
        if ended:
            owed_findings.derive(experiment.pk, FindingsRecorder())
            return EdgeProbe.objects.get(experiment=experiment)
    raise AssertionError("the probe does not end")


def said(experiment: Experiment) -> dict[str, str]:
    """Statuses of what is said of the upper edge, by rule."""
    rows = Finding.objects.filter(experiment=experiment, subject=EDGE)
    return dict(rows.values_list("rule", "status"))


def test_the_first_look_pairs_each_run_beyond_with_one_as_it_is_under_the_same_seed() -> None:
    experiment = a_search()
    ask(experiment, EDGE)
    pairs: dict[int, list[Trial]] = {}
    for trial in runs():
        assert (trial.origin, trial.split_seed, trial.state) == ("probe", 0, TrialState.WAITING)
        pairs.setdefault(trial.pair or 0, []).append(trial)
    assert len(pairs) == 5
    for together in pairs.values():
        assert len({trial.train_seed for trial in together}) == 1
        rates = [decode(trial.parameters)["learning_rate"] for trial in together]
        assert rates[0] <= 0.01
        assert rates[1:] == pytest.approx([10**-1.5, 0.1])
    assert len({trial.train_seed for trial in runs()}) == 5, "seeds of their own"


def test_the_runs_count_neither_as_trials_of_the_search_nor_for_its_sampler() -> None:
    experiment = a_search()
    before = (experiment.trial_count, experiment.best_value, experiment.best_trial_id)
    ask(experiment, EDGE)
    finish_look(lambda parameters, seed: 0.99)
    experiment.refresh_from_db()
    assert (experiment.trial_count, experiment.best_value, experiment.best_trial_id) == before
    assert progress_of(experiment.pk).done == 24
    search = Study.objects.get(experiment=experiment, kind=StudyKind.SEARCH)
    assert (search.next_row, search.next_number) == (24, 24)
    assert not Trial.objects.filter(study__kind=StudyKind.PROBE, findings_due=True).exists()


def test_workers_take_the_runs_of_a_finished_search_and_train_them_whole() -> None:
    experiment = a_search()
    ask(experiment, EDGE)
    claim = claiming.claim(queue="cpu", worker_id=None)
    assert claim is not None
    spec = trial_spec.read(claim.trial_id)
    assert (spec.kind, spec.file.pruner, spec.parameters) == ("probe", "none", spec.parameters)
    assert spec.parameters is not None and spec.parameters["epochs"] == 3


def test_a_gain_beyond_the_edge_confirms_the_notice() -> None:
    experiment = a_search()
    assert "fired" in said(experiment).values()
    ask(experiment, EDGE)
    probe = go_through(experiment, cast.rising)
    assert (probe.state, probe.looks) == ("done", 1)
    assert said(experiment) == {"edge_probe": "fired"}
    found = Finding.objects.get(experiment=experiment, rule="edge_probe")
    assert found.title == "It is better beyond the upper edge of learning_rate"
    evidence = json.loads(found.evidence)
    assert (evidence["pairs"], evidence["suggested_high"]) == (5, pytest.approx(0.1))


def test_no_gain_beyond_the_edge_dismisses_it() -> None:
    experiment = a_search(peaked)
    ask(experiment, EDGE)
    go_through(experiment, peaked)
    assert said(experiment)["edge_probe"] == "passed"
    assert "fired" not in said(experiment).values()


def test_what_stays_open_gets_further_pairs_until_it_is_answered() -> None:
    def hardly(parameters: dict[str, Any], seed: int) -> float:
        """A gain beyond of less than half the deviation over seeds."""
        own = int(1e6 * parameters["learning_rate"])
        noise = float(np.random.default_rng([seed, own]).normal(0.0, 0.01))
        return 0.5 + (0.004 if parameters["learning_rate"] > 0.01 else 0.0) + noise

    experiment = a_search()
    ask(experiment, EDGE)
    probe = go_through(experiment, hardly)
    assert probe.looks > 1
    seen = [(trial.pair, decode(trial.parameters)["learning_rate"]) for trial in runs()]
    assert len(seen) == len(set(seen)), "no pair is run twice"


def test_runs_that_fail_beyond_dismiss_the_edge() -> None:
    experiment = a_search()
    ask(experiment, EDGE)
    go_through(experiment, lambda p, seed: None if p["learning_rate"] > 0.01 else 0.4)
    assert said(experiment)["edge_probe"] == "passed"


def test_runs_whose_workers_died_leave_the_notice_and_it_may_be_probed_again() -> None:
    experiment = a_search()
    ask(experiment, EDGE)
    go_through(experiment, lambda p, seed: None, kind=FailureKind.LOST)
    assert said(experiment)["edge_probe"] == "not_checkable"
    assert "fired" in said(experiment).values()
    assert ask(experiment, EDGE)


def test_edges_are_probed_once_at_a_time_and_not_again_with_the_same_best_trial() -> None:
    experiment = a_search()
    ask(experiment, EDGE)
    with pytest.raises(Conflict, match="are being probed already"):
        ask(experiment, "learning_rate:low")
    go_through(experiment, cast.rising)
    with pytest.raises(VerdictError, match="cannot be probed") as refused:
        ask(experiment, EDGE)
    assert [problem.where for problem in refused.value.problems] == [EDGE]


def test_it_is_said_whether_edges_were_probed_or_none_is_worth_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment = a_search()
    with monkeypatch.context() as patch:
        patch.setattr(edge_probes, "_possible", lambda view: {})
        with pytest.raises(Conflict, match="No edge of this search space is worth probing"):
            ask(experiment)
    ask(experiment)
    go_through(experiment, cast.rising)
    with pytest.raises(Conflict, match="was probed with the best trial so far"):
        ask(experiment)


def test_an_error_of_the_database_is_not_called_a_probe_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise IntegrityError("another constraint")

    experiment = a_search(probe=True)
    EdgeProbe.objects.all().delete()
    monkeypatch.setattr(edge_probes, "_queue", broken)
    with pytest.raises(IntegrityError, match="another constraint"):
        ask(experiment)
    with pytest.raises(IntegrityError, match="another constraint"):
        edge_probes.ask_by_file(experiment.pk)


def test_who_was_slower_to_probe_is_told_so_and_a_worker_leaves_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment = a_search(probe=True)
    assert EdgeProbe.objects.get().state == EdgeProbe.State.RUNNING
    with pytest.raises(Conflict, match="are being probed already"):
        ask(experiment)
    EdgeProbe.objects.all().delete()

    every = edge_probes._every

    def another_is_quicker(row: Experiment, view: Any) -> Any:
        EdgeProbe.objects.create(experiment=row, edges="[]", moved="[]", root_seed=1)
        return every(row, view)

    monkeypatch.setattr(edge_probes, "_every", another_is_quicker)
    assert edge_probes.ask_by_file(experiment.pk) is None
    assert EdgeProbe.objects.count() == 1


def test_a_better_trial_of_the_search_lets_its_own_rules_speak_again() -> None:
    experiment = a_search(peaked)
    ask(experiment, EDGE)
    go_through(experiment, peaked)
    study = experiment.studies.get(kind=StudyKind.SEARCH)
    trials.create(
        study_id=study.pk,
        state=TrialState.COMPLETE,
        origin=Origin.MANUAL,
        parameters={"learning_rate": (0.0099, cast.RATE)},
        values=[0.9],
    )
    owed_findings.derive(experiment.pk, FindingsRecorder())
    assert said(experiment)["edge_probe"] == "not_checkable"
    assert said(experiment)["boundary"] == "fired"
    assert ask(experiment, EDGE)


def test_the_file_asks_for_every_edge_once_the_search_has_finished() -> None:
    experiment = a_search(probe=True)
    probe = EdgeProbe.objects.get(experiment=experiment)
    assert probe.asked_by is None
    assert [edge["hyperparameter"] for edge in json.loads(probe.edges)] == ["learning_rate"]
    go_through(experiment, cast.rising)
    owed_findings.derive(experiment.pk, FindingsRecorder())
    assert EdgeProbe.objects.filter(experiment=experiment).count() == 1, "once"


def test_without_the_files_word_nothing_is_probed() -> None:
    a_search()
    assert not EdgeProbe.objects.exists()


def test_a_probe_that_nobody_could_look_at_is_ended_by_any_worker_and_its_findings_are_owed() -> (
    None
):
    experiment = a_search()
    findings.mark_derived(experiment_id=experiment.pk, trials=24)
    ask(experiment, EDGE)
    finish_look(cast.rising)
    assert edge_probes.advance_all() == [experiment.pk]
    assert edge_probes.advance_all() == []
    experiment.refresh_from_db()
    assert experiment.derived_count == 0


def test_cancelling_ends_what_waits_and_frees_the_edge() -> None:
    experiment = a_search()
    ask(experiment, EDGE)
    access = cast.access(cast.person("cleo"), experiment)
    edge_probes.cancel(access=access, experiment=experiment)
    assert {trial.failure_kind for trial in runs()} == {"cancelled"}
    assert EdgeProbe.objects.get().state == "cancelled"
    with pytest.raises(NotFound):
        edge_probes.cancel(access=access, experiment=experiment)
    assert ask(experiment, EDGE)


def test_only_an_editor_may_probe() -> None:
    experiment = a_search()
    with pytest.raises(NotAllowed):
        ask(experiment, EDGE, who="ben")
    with pytest.raises(NotAllowed):
        edge_probes.cancel(
            access=cast.access(cast.person("ben"), experiment), experiment=experiment
        )


def test_edges_that_do_not_exist_and_searches_that_are_too_small_are_refused() -> None:
    experiment = a_search(count=12)
    with pytest.raises(VerdictError) as refused:
        ask(experiment, "dropout:low")
    assert [problem.where for problem in refused.value.problems] == ["dropout:low"]
    with pytest.raises(NotOpenYet, match="12 configurations have a score"):
        ask(experiment, EDGE)


def test_the_price_is_answered_before() -> None:
    experiment = a_search()
    Trial.objects.filter(study__experiment=experiment).update(
        started_at=cast.START, finished_at=cast.START + dt.timedelta(seconds=60)
    )
    price = price_of(experiment, 1)
    assert (price.fewest, price.most) == (15, 90)
    assert price.work is not None and price.work.expected == pytest.approx(5400)
    assert price.takes is not None and price.takes.expected == pytest.approx(2700, rel=0.02)
    both = [time_range(time.low, time.high) for time in (price.takes, price.work)]
    assert price.words == f"15 to 90 runs; all of them take {both[0]}, {both[1]} of worker time"


def test_the_price_says_that_its_time_is_not_known() -> None:
    cast.project()
    price = price_of(cast.search(), 1)
    assert price.words == "15 to 90 runs, time not known yet"


def test_a_probe_begins_with_the_fewest_runs_of_its_price() -> None:
    experiment = a_search()
    ask(experiment, EDGE)
    (row,) = probes_of(experiment.pk)
    assert (row.runs, row.finished, row.asked_by, row.subjects) == (15, 0, "cleo", (EDGE,))
