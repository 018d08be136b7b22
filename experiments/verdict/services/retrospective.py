"""Retrospective comparison of existing runs, by the verdict's rules."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict

from django.db import transaction

from experiments.analysis.seeds.looks import FEWEST_PAIRS, plan
from experiments.design.queries.records import AnyExperiment
from experiments.errors import NotOpenYet, Problem, VerdictError
from experiments.models import Configuration, Decision, Experiment, Replication, Trial
from experiments.models.project import Role
from experiments.models.replication import PickedRuns, Purpose, ScoreRule
from experiments.team.queries.access import Access
from experiments.verdict.queries.configuration_runs import ended_runs, runs_with_tag
from experiments.verdict.services.replications import MOST_PAIRS, check_none_open, check_rules


def compare(
    *,
    access: Access,
    experiment: AnyExperiment,
    candidate: int | str,
    baseline: int | str,
    margin: float | None = None,
) -> Replication:
    """Compare all ended runs of two configurations, named by their ids, or all that carry one tag
    with all that carry another, named as `NAME=VALUE` (a label: `NAME`).

    Runs are pairs where enough of both sides had the same seeds, else two samples. Nothing is
    queued; a replication that is declared later replaces the comparison, and it replaces an
    earlier one.

    Raises:
        NotAllowed: when the user is not an editor.
        VerdictError: for one configuration or tag twice, too few runs of one, a wrong margin, a
            run that carries both tags, or a tag whose runs differ in more than seeds.
        NotOpenYet: of experiments that workers run: they repeat.
        Conflict: while a declared replication is open.
    """
    access.require(Role.EDITOR, experiment)
    if not experiment.is_from_outside:
        raise NotOpenYet(
            "Workers run this experiment: repeat candidate and baseline over fresh seeds."
        )
    tagged = isinstance(candidate, str)
    check_rules(experiment, margin, ScoreRule.TAIL_MEDIAN, ())
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        check_none_open(locked)
        if candidate == baseline:
            raise VerdictError(
                f"Candidate and baseline are the same {'tag' if tagged else 'configuration'}.",
                [Problem("baseline", "choose another one")],
            )
        ours = _runs(locked, candidate, "candidate")
        theirs = _runs(locked, baseline, "baseline")
        if tagged:
            _check_sides(ours, theirs)
        picked = _pick(ours, theirs)
        schedule = plan([min(len(picked.candidate), len(picked.baseline))])
        champion = Decision.objects.crowning(locked.project_id)
        return Replication.objects.create(
            experiment=locked,
            purpose=Purpose.VERDICT,
            candidate=_configuration(ours),
            baseline=_configuration(theirs),
            candidate_trial=ours[0],
            baseline_trial=theirs[0],
            against_champion=champion is not None
            and champion.candidate_id == theirs[0].configuration_id,
            margin=locked.margin if margin is None else margin,
            smallest_gain=locked.smallest_gain,
            looks=json.dumps(list(schedule.looks)),
            level=schedule.level,
            level_source=schedule.source,
            root_seed=secrets.randbits(31),
            pairs_queued=schedule.looks[0],
            picked=json.dumps(asdict(picked)),
            created_by=access.user,
        )


def _runs(experiment: Experiment, chosen: int | str, side: str) -> list[Trial]:
    """Ended runs of a side: those of a configuration, or those that carry a tag."""
    if isinstance(chosen, str):
        found, what = runs_with_tag(experiment, chosen), "tag"
    else:
        found = ended_runs(experiment).filter(configuration_id=chosen)
        what = "configuration"
    rows = list(found.select_related("configuration").order_by("pk")[: MOST_PAIRS + 1])
    if not FEWEST_PAIRS <= len(rows) <= MOST_PAIRS:
        raise VerdictError(
            f"A verdict needs {FEWEST_PAIRS} to {MOST_PAIRS} ended runs of each side.",
            [Problem(side, f"this {what} has {len(rows)} in {experiment.name}")],
        )
    return rows


def _check_sides(ours: Sequence[Trial], theirs: Sequence[Trial]) -> None:
    """Pass for two sides that share no run, and each of which is one configuration.

    Raises:
        VerdictError: otherwise; what is adopted is one configuration.
    """
    both = sorted({run.number for run in ours} & {run.number for run in theirs})
    if both:
        raise VerdictError(
            "A run can stand for one side only.",
            [Problem("baseline", f"run {both[0]} carries both tags; choose other tags")],
        )
    sides = {"candidate": ours, "baseline": theirs}
    kinds = {side: {run.configuration_id for run in runs} for side, runs in sides.items()}
    mixed = [
        Problem(side, f"its runs have {len(found)} configurations; tag runs that differ in seeds")
        for side, found in kinds.items()
        if len(found) > 1
    ]
    if mixed:
        raise VerdictError("Each side of a verdict is one configuration.", mixed)
    if kinds["candidate"] == kinds["baseline"]:
        raise VerdictError(
            "The runs of both tags have the same configuration.",
            [Problem("baseline", "log what differs between them as a parameter")],
        )


def _configuration(runs: Sequence[Trial]) -> Configuration:
    found = runs[0].configuration
    assert found is not None  # ended_runs filters
    return found


def _pick(ours: Sequence[Trial], theirs: Sequence[Trial]) -> PickedRuns:
    """Pairs of the same seeds where at least half of the smaller side has a counterpart."""
    candidate, baseline = _by_seeds(ours), _by_seeds(theirs)
    common = [seeds for seeds in candidate if seeds in baseline]
    if len(common) < max(FEWEST_PAIRS, min(len(ours), len(theirs)) / 2):
        return PickedRuns(
            tuple(run.pk for run in ours), tuple(run.pk for run in theirs), paired=False
        )
    return PickedRuns(
        tuple(candidate[seeds] for seeds in common),
        tuple(baseline[seeds] for seeds in common),
        paired=True,
        left_out=len(ours) + len(theirs) - 2 * len(common),
    )


def _by_seeds(runs: Sequence[Trial]) -> dict[tuple[int, int | None], int]:
    """The first run under each training and split seed; without a seed it has no counterpart."""
    found: dict[tuple[int, int | None], int] = {}
    for run in runs:
        if run.train_seed is not None:
            found.setdefault((run.train_seed, run.split_seed), run.pk)
    return found
