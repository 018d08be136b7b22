"""Edge probes of a search space: queues paired runs beyond edges, evaluates, continues or ends."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from optuna.distributions import BaseDistribution

from experiments import dispatch
from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Direction, Floats
from experiments.analysis.seeds.fresh_seeds import fresh_seeds
from experiments.analysis.space import edge_probe
from experiments.analysis.space.axis import Edge, better_first
from experiments.analysis.space.edge_probe import ProbedEdge, blocks, judged, probe_of
from experiments.analysis.space.search_trials import ExperimentView, error_of, feasible_of
from experiments.design.document import experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.queries.experiment_view import edges_of, experiment_view
from experiments.design.queries.records import AnyExperiment
from experiments.design.space.domains import Range
from experiments.design.space.search_space import Hyperparameter
from experiments.errors import Conflict, NotFound, NotOpenYet, Problem, VerdictError
from experiments.models import EdgeProbe, Experiment, Finding, Study, Trial
from experiments.models.experiment import ExperimentState
from experiments.models.project import Role
from experiments.models.trial import FailureKind, Origin, StudyKind, TrialState
from experiments.models.trial_encoding import decode, decode_distributions
from experiments.models.trial_rows import TrialRow
from experiments.team.queries.access import Access
from experiments.trials.findings.services import findings
from experiments.trials.lifecycle.services import trials
from experiments.trials.lifecycle.training_seeds import probe_seed

UNMOVED = ""
_PLACE = "verdict:probed"  # a trial's attribute: subject and number of the point, or UNMOVED
_UNFINISHED = (TrialState.WAITING, TrialState.RUNNING)
_ACCIDENTS = (FailureKind.LOST, FailureKind.CANCELLED)


def ask(*, access: Access, experiment: AnyExperiment, subjects: Sequence[str] = ()) -> int:
    """Run the first pairs of a probe; its id.

    subjects: edges as findings name them, "learning_rate:high"; every edge but those towards
    which scores get worse for certain when empty.

    Raises:
        NotFound, NotAllowed: for someone who is no editor.
        VerdictError: with one problem for each edge that cannot be probed.
        NotOpenYet: before the search has enough trials, or where external programs run them.
        Conflict: while one is under way, or when none is left to be probed.
    """
    access.require(Role.EDITOR, experiment)
    if experiment.is_from_outside or not experiment.source:
        raise NotOpenYet("External programs run these trials: workers cannot probe beyond them.")
    view = experiment_view(experiment.pk)
    row = Experiment.objects.get(pk=experiment.pk)
    edges = _asked(view, subjects) if subjects else _every(row, view)
    if not edges:
        if any(probe.is_answered for probe in view.probes):
            raise Conflict("Every edge worth probing was probed with the best trial so far.")
        none = "nothing lies beyond it that could be tried, or scores get worse towards it"
        raise Conflict(f"No edge of this search space is worth probing: {none}.")
    try:
        with transaction.atomic():
            return _begin(row, view, edges, access.user)
    except IntegrityError:
        if not EdgeProbe.objects.filter(experiment=row, state=EdgeProbe.State.RUNNING).exists():
            raise
        raise Conflict(f"Edges of {experiment.name} are being probed already.") from None


def ask_by_file(experiment_id: int) -> int | None:
    """Probe every edge of a search whose file says `probe: true`, once it has finished.

    Doing it twice is harmless: each end of the search is followed by one such probe.

    Returns:
        The probe's id; None when nothing is to be probed.
    """
    experiment = Experiment.objects.get(pk=experiment_id)
    file = experiment_file.stored_or_none(experiment.document)
    if file is None or not file.probe or experiment.state != ExperimentState.FINISHED:
        return None
    probes = EdgeProbe.objects.filter(experiment=experiment)
    since = Q(asked_by__isnull=True, created_at__gte=experiment.finished_at)
    made = probes.filter(since | Q(state=EdgeProbe.State.RUNNING))
    if made.exists():
        return None
    view = experiment_view(experiment_id)
    try:
        edges = _every(experiment, view)
        with transaction.atomic():
            return _begin(experiment, view, edges, None) if edges else None
    except NotOpenYet:  # too few trials
        return None
    except IntegrityError:
        if not made.exists():
            raise
        return None  # another worker was quicker


def _possible(view: ExperimentView) -> dict[str, ProbedEdge]:
    """Every edge beyond which something could be tried, by its subject."""
    every = [probe_of(axis, edge) for axis in view.axes for edge in Edge]
    return {probe.subject: probe for probe in every if probe is not None}


def _asked(view: ExperimentView, subjects: Sequence[str]) -> list[ProbedEdge]:
    possible = _possible(view)
    answered = {probe.subject for probe in view.probes if probe.is_answered}
    problems = [
        Problem(subject, "nothing lies beyond it that could be tried")
        for subject in subjects
        if subject not in possible
    ]
    problems += [
        Problem(subject, "was probed with the best trial so far")
        for subject in subjects
        if subject in answered
    ]
    if problems:
        raise VerdictError("These edges cannot be probed.", problems)
    return [possible[subject] for subject in dict.fromkeys(subjects)]


def _every(experiment: Experiment, view: ExperimentView) -> list[ProbedEdge]:
    """Edges that the slopes or a finding point at, but those that were probed."""
    answered = {probe.subject for probe in view.probes if probe.is_answered}
    wanted = {probe.subject for probe in edge_probe.probed_by_default(view.axes, view.direction)}
    wanted |= set(_at_edges(experiment).values_list("subject", flat=True))
    return [
        probe
        for subject, probe in _possible(view).items()
        if subject in wanted and subject not in answered
    ]


def _at_edges(experiment: Experiment) -> QuerySet[Finding]:
    """Findings of the search's own rules at edges."""
    return Finding.objects.filter(
        experiment=experiment,
        trial__isnull=True,
        rule__in=("boundary", "edge_slope"),
        status="fired",
    )


def _begin(
    experiment: Experiment, view: ExperimentView, edges: Sequence[ProbedEdge], user: User | None
) -> int:
    locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
    file = experiment_file.stored(locked.document)
    moved = _best(view)
    warned = set(_at_edges(locked).exclude(severity="notice").values_list("subject", flat=True))
    edges = [
        replace(
            edge,
            points=_on_steps(file.space[edge.hyperparameter], edge),
            warned=edge.subject in warned,
        )
        for edge in edges
    ]
    probe = EdgeProbe.objects.create(
        experiment=locked,
        edges=_stored(edges),
        moved=json.dumps(moved),
        root_seed=probe_seed(locked.seed, locked.edge_probes.count()),
        asked_by=user,
    )
    _queue(probe, locked, file, edges, 0)
    return probe.pk


def _best(view: ExperimentView) -> list[int]:
    """Ids of the best trials, one for each configuration."""
    most = max(configurations for configurations, _ in thresholds.PROBE_LOOKS)
    ordered = sorted(feasible_of(view), key=lambda trial: error_of(trial, view.direction))
    once = {(trial.arm, trial.configuration): trial.id for trial in reversed(ordered)}
    found = [trial.id for trial in ordered if once[trial.arm, trial.configuration] == trial.id]
    if len(found) < thresholds.EDGE_MIN_TRIALS:
        raise NotOpenYet(
            f"{len(found)} configurations have a score; a probe needs "
            f"{thresholds.EDGE_MIN_TRIALS} to choose from."
        )
    return found[:most]


def _on_steps(hyperparameter: Hyperparameter, probe: ProbedEdge) -> tuple[float, ...]:
    """The points on the steps of the range, at least one step beyond its end."""
    domain = hyperparameter.domain
    if not isinstance(domain, Range) or domain.step is None:
        return probe.points
    sign = 1 if probe.edge == Edge.HIGH else -1
    end = domain.high if sign > 0 else domain.low
    steps = [max(1, round(abs(point - end) / domain.step)) for point in probe.points]
    while len(set(steps)) < len(steps):
        steps[-1] += 1
    return tuple(end + sign * step * domain.step for step in steps)


def _stored(edges: Iterable[ProbedEdge]) -> str:
    return json.dumps([asdict(edge) for edge in edges])


def _queue(
    probe: EdgeProbe,
    experiment: Experiment,
    file: ExperimentFile,
    edges: Sequence[ProbedEdge],
    look: int,
) -> None:
    """Queue the runs that a look adds, each pair of configuration and seed under one seed."""
    ids = json.loads(probe.moved)
    rows = Trial.objects.select_related("study").in_bulk(ids)
    studies: dict[int, Study] = {}
    most = max(seeds for _, seeds in thresholds.PROBE_LOOKS)
    seeds = fresh_seeds(len(ids) * most, root=probe.root_seed)
    made = 0
    for configuration, seed in blocks(look):
        if configuration >= len(ids) or ids[configuration] not in rows:
            continue
        trial = rows[ids[configuration]]
        for place, parameters in _runs(trial, edges, file):
            trials.create(
                study_id=_study(probe, experiment, trial.study, studies).pk,
                state=TrialState.WAITING,
                origin=Origin.PROBE,
                parameters=parameters,
                system_attributes={_PLACE: place},
                pair=configuration * most + seed,
                train_seed=seeds[configuration * most + seed],
                split_seed=experiment.split_seed,
                search_seed=experiment.seed,
            )
            made += 1
    EdgeProbe.objects.filter(pk=probe.pk).update(looks=look + 1)
    dispatch.wake(experiment.queue, min(experiment.parallel, made))


def _study(
    probe: EdgeProbe, experiment: Experiment, search: Study, studies: dict[int, Study]
) -> Study:
    if search.arm_index not in studies:
        name = f"{experiment.project.slug}/{experiment.name}/probe {probe.pk}/{search.arm_index}"
        studies[search.arm_index], _ = Study.objects.get_or_create(
            probe=probe,
            arm_index=search.arm_index,
            defaults={
                "project_id": experiment.project_id,
                "experiment": experiment,
                "kind": StudyKind.PROBE,
                "arm": search.arm,
                "name": name,
                "directions": experiment.direction,
            },
        )
    return studies[search.arm_index]


def _runs(
    trial: Trial, edges: Sequence[ProbedEdge], file: ExperimentFile
) -> Iterable[tuple[str, Mapping[str, tuple[Any, BaseDistribution]]]]:
    """Place and parameters of each run of a configuration: as it is, then moved."""
    values = decode(trial.parameters)
    spaces = decode_distributions(trial.distributions)
    own = {name: (value, spaces[name]) for name, value in values.items() if name in spaces}
    yield UNMOVED, own
    for edge in edges:
        domain = file.space[edge.hyperparameter].domain
        if edge.hyperparameter not in own or not isinstance(domain, Range):
            continue
        for number in edge.live:
            value = round(edge.points[number]) if domain.integer else edge.points[number]
            wider = replace(
                domain, low=min(domain.low, value), high=max(domain.high, value)
            ).distribution()
            yield f"{edge.subject}:{number}", {**own, edge.hyperparameter: (value, wider)}


def advance(probe_id: int) -> bool:
    """Look at a probe whose runs have all ended: queue the next look, or end it.

    Returns:
        Whether it has ended now; its edges then speak in the experiment's findings.
    """
    with transaction.atomic():
        place = EdgeProbe.objects.filter(pk=probe_id).values_list("experiment_id", flat=True)
        locked = Experiment.objects.select_for_update().filter(pk__in=place).first()
        probe = EdgeProbe.objects.filter(pk=probe_id, state=EdgeProbe.State.RUNNING).first()
        rows = Trial.objects.filter(study__probe_id=probe_id)
        if locked is None or probe is None or rows.filter(state__in=_UNFINISHED).exists():
            return False
        edges = _judged(probe, locked, list(rows))
        EdgeProbe.objects.filter(pk=probe.pk).update(edges=_stored(edges))
        going_on = [edge for edge in edges if edge.live]
        if going_on and probe.looks < len(thresholds.PROBE_LOOKS):
            file = experiment_file.stored(locked.document)
            _queue(probe, locked, file, going_on, probe.looks)
            return False
        _end(probe, EdgeProbe.State.DONE)
        return True


def advance_all() -> list[int]:
    """Advance every probe of which nothing runs: a worker may have died before it could.

    Called by workers at every heartbeat; doing it twice is harmless.

    Returns:
        The ids of experiments whose probe has ended.
    """
    unfinished = Trial.objects.filter(study__probe=OuterRef("pk"), state__in=_UNFINISHED)
    idle = EdgeProbe.objects.filter(~Exists(unfinished), state=EdgeProbe.State.RUNNING)
    found = list(idle.values_list("pk", "experiment_id"))
    return [experiment_id for probe_id, experiment_id in found if advance(probe_id)]


def advance_after(row: TrialRow) -> bool:
    """Advance the probe of a run that has ended, if it is one; see `advance`."""
    if _PLACE not in row.system_attributes_text:
        return False
    return any(
        map(advance, EdgeProbe.objects.filter(studies=row.study_id).values_list("pk", flat=True))
    )


def _judged(probe: EdgeProbe, experiment: Experiment, rows: Sequence[Trial]) -> list[ProbedEdge]:
    """The edges, evaluated at the newest look."""
    most = max(seeds for _, seeds in thresholds.PROBE_LOOKS)
    configurations, seeds = thresholds.PROBE_LOOKS[probe.looks - 1]
    direction = Direction(experiment.direction)
    tables: dict[str, Floats] = {}
    for row in rows:
        place = decode(row.system_attributes)[_PLACE]
        table = tables.setdefault(place, np.full((configurations, seeds), math.nan))
        table[divmod(row.pair or 0, most)] = _error(row, direction)
    nothing = np.full((configurations, seeds), math.nan)
    unmoved = tables.get(UNMOVED, nothing)
    return [
        judged(
            edge,
            unmoved,
            {n: tables.get(f"{edge.subject}:{n}", nothing) for n in edge.live},
            probe.looks - 1,
        )
        if edge.live
        else edge
        for edge in edges_of(probe.edges)
    ]


def _error(row: Trial, direction: Direction) -> float:
    """A run's score, lower is better: infinite where it failed for its own sake."""
    if row.state == TrialState.COMPLETE and row.value is not None:
        return float(better_first(np.array([row.value]), direction)[0])
    return math.nan if row.failure_kind in _ACCIDENTS else math.inf


def _end(probe: EdgeProbe, state: EdgeProbe.State) -> None:
    EdgeProbe.objects.filter(pk=probe.pk).update(state=state, finished_at=timezone.now())
    findings.mark_owed(experiment_id=probe.experiment_id)


def cancel(*, access: Access, experiment: AnyExperiment) -> None:
    """End the probe of an experiment; what has run stays, and says nothing of the edges.

    Raises:
        NotFound, NotAllowed: for someone who is no editor.
        NotFound: when none is under way.
    """
    access.require(Role.EDITOR, experiment)
    with transaction.atomic():
        Experiment.objects.select_for_update().get(pk=experiment.pk)
        running = EdgeProbe.objects.filter(experiment=experiment.pk, state=EdgeProbe.State.RUNNING)
        probe = running.first()
        if probe is None:
            raise NotFound("No edge of this experiment is being probed.")
        reason = f"cancelled by {access.username}"
        rows = Trial.objects.filter(study__probe=probe)
        rows.filter(state=TrialState.RUNNING).update(control="cancel", failure_reason=reason)
        for trial_id in rows.filter(state=TrialState.WAITING).values_list("pk", flat=True):
            trials.finish(
                trial_id=trial_id,
                state=TrialState.FAILED,
                values=None,
                failure_kind=FailureKind.CANCELLED,
                failure_reason=f"{reason} before it began",
            )
        _end(probe, EdgeProbe.State.CANCELLED)
