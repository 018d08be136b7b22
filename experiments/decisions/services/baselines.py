"""Begin a project with its baseline: run over seeds, or known from before, as decision 0.

Source: Tuning Playbook, 'Choosing the initial configuration'.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from experiments import dispatch
from experiments.analysis.seeds.fresh_seeds import fresh_seeds
from experiments.decisions.queries import baseline_evidence
from experiments.decisions.services import decision_log
from experiments.design import configuration
from experiments.design.document import commands, experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.objectives import refusal
from experiments.design.queries.records import AnyExperiment, AnyReplication
from experiments.design.review.design_review import check_project
from experiments.errors import Conflict, InvalidExperiment, NotOpenYet, Problem, VerdictError
from experiments.models import Configuration, Decision, Experiment, Project, Replication, Study
from experiments.models import Trial as TrialRow
from experiments.models.decision import Choice
from experiments.models.experiment import NOT_SEARCHED, ExperimentState
from experiments.models.project import Role
from experiments.models.replication import Purpose
from experiments.models.trial import Origin, Side, StudyKind, TrialState
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services import experiments, trials
from experiments.verdict.evidence.evidence_state import evidence_state
from experiments.verdict.services import judging
from experiments.verdict.services.pairs import unfinished

DEFAULT_SEEDS = 10
FEWEST_SEEDS, MOST_SEEDS = 2, 1000


def start(*, access: Access, text: str, seeds: int = DEFAULT_SEEDS) -> Replication:
    """Create the experiment of a baseline and queue its one configuration over fresh seeds.

    Every replicate has a training and a split seed of its own that no trial of the project had.

    Raises:
        InvalidExperiment: for a file with errors, or one that leaves something to search.
        VerdictError: for a number of seeds that cannot be.
        Conflict: when the project has a champion, or a baseline is under way.
        NotFound, NotAllowed: for someone who is no editor.
    """
    access.require(Role.EDITOR)
    file = experiment_file.parse(text)
    check_project(file, access.slug)
    _check_single(file)
    if not FEWEST_SEEDS <= seeds <= MOST_SEEDS:
        raise VerdictError(
            "The number of seeds is wrong.",
            [Problem("seeds", f"expected {FEWEST_SEEDS} to {MOST_SEEDS}")],
        )
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=access.project_id)
        _check_none(project)
        experiment = experiments.create(access=access, text=text)
        _end_search(experiment)
        replication = Replication.objects.create(
            experiment=experiment,
            purpose=Purpose.BASELINE,
            candidate=_configuration(project.pk, **_runs(file)),
            looks=json.dumps([seeds]),
            level=0.05,
            margin=0.0,
            root_seed=secrets.randbits(31),
            pairs_queued=seeds,
            created_by=access.user,
        )
        _queue(replication, seeds)
    return replication


def _check_single(file: ExperimentFile) -> None:
    problems = [
        Problem(
            f"hyperparameters.{hyperparameter.name}",
            "give it one fixed value: a baseline is one configuration",
        )
        for hyperparameter in file.space.hyperparameters
        if hyperparameter.role != "fixed"
    ]
    if len(file.arms()) > 1 and not problems:
        problems.append(Problem("arms", "leave them out: a baseline is one configuration"))
    if problems:
        raise InvalidExperiment("This is no single configuration.", problems)


def _check_none(project: Project) -> None:
    champion = Decision.objects.crowning(project)
    if champion is not None:
        raise Conflict(
            f"{project.slug} has a champion since decision {champion.sequence}: that is the "
            "baseline of what comes next."
        )
    for replication in Replication.objects.filter(
        experiment__project=project, purpose=Purpose.BASELINE
    ):
        if unfinished(replication).exists():
            raise Conflict(f"A baseline is running: {replication.experiment.name}.")


def _end_search(experiment: AnyExperiment) -> None:
    """Nothing is searched: no row is left to any sampler."""
    Study.objects.filter(experiment=experiment.pk).update(budget=0)
    Experiment.objects.filter(pk=experiment.pk).update(
        state=ExperimentState.FINISHED,
        budget=0,
        stop_reason=NOT_SEARCHED,
        finished_at=experiment.created_at,
    )


def _runs(file: ExperimentFile) -> dict[str, Any]:
    (arm,) = file.arms()
    return {
        "objective": file.objective,
        "parameters": arm.complete({}),
        "commit": arm.runs.commit if commands.name_of(file.objective) else "",
        "data": arm.runs.data,
    }


def _configuration(project_id: int, **parts: Any) -> Configuration:
    document = configuration.canonical(**parts)
    row, _ = Configuration.objects.get_or_create(
        project_id=project_id,
        digest=configuration.digest(document),
        defaults={"document": document},
    )
    return row


def _queue(replication: Replication, seeds: int) -> None:
    experiment = replication.experiment
    study = Study.objects.create(
        project=experiment.project,
        experiment=experiment,
        replication=replication,
        kind=StudyKind.REPLICATION,
        side=Side.CANDIDATE,
        name=f"{experiment.project.slug}/{experiment.name}/baseline {replication.pk}",
        directions=experiment.direction,
    )
    rows = TrialRow.objects.filter(study__project=experiment.project)
    pairs = rows.values_list("train_seed", "split_seed").iterator()
    used = {seed for both in pairs for seed in both if seed is not None}
    fresh = fresh_seeds(2 * seeds, root=replication.root_seed, taken=used)
    for index in range(seeds):
        trials.create(
            study_id=study.pk,
            state=TrialState.WAITING,
            origin=Origin.REPLICATE,
            configuration_id=replication.candidate_id,
            pair=index,
            train_seed=fresh[2 * index],
            split_seed=fresh[2 * index + 1],
            search_seed=experiment.seed,
        )
    dispatch.wake(experiment.queue, min(experiment.parallel, seeds))


def record(*, access: Access, replication: AnyReplication, reason: str) -> Decision:
    """Enter a baseline that has run as the champion of production, with its scores frozen.

    In an empty log it is decision 0, else the next one.

    Raises:
        VerdictError: without a reason.
        NotOpenYet: while seeds are still to come, or none gave a score.
        Conflict: when there is a champion already, somebody decided at the same moment, or the
            seeds changed meanwhile.
    """
    access.require(Role.APPROVER, replication.experiment)
    checked = decision_log.checked_reason(reason)
    if replication.purpose != Purpose.BASELINE:
        raise NotOpenYet("These runs are no baseline; adopt a candidate by its verdict.")
    state = evidence_state(replication)
    seen = baseline_evidence.evaluate(replication)
    if not seen.complete:
        raise NotOpenYet("Some seeds have no outcome yet; a baseline is entered when all have.")
    if not seen.finite_scores:
        raise NotOpenYet("No seed gave a finite score: this configuration does not train.")
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=access.project_id)
        locked = judging.lock(replication)
        judging.check_state(locked, state)
        return _enter(access, locked.candidate, checked, seen.document(), locked)


def enter_known(
    *,
    access: Access,
    objective: str,
    parameters: Mapping[str, Any],
    scores: Sequence[float],
    source: str,
    reason: str,
    commit: str = "",
    data: Mapping[str, str] | None = None,
    chance: float | None = None,
) -> Decision:
    """Enter a model from before Verdict with its known scores, one for each seed.

    The record says that a person entered it by hand. Its configuration runs again beside every
    candidate, under the same seeds: known scores are shown and never compared.

    Raises:
        VerdictError: with one problem for each field that is wrong.
        Conflict: when there is a champion already, or somebody decided at the same moment.
        NotFound, NotAllowed: for someone who is no approver.
    """
    access.require(Role.APPROVER)
    problems = _known_problems(objective, parameters, scores, source, chance)
    if problems:
        raise VerdictError("The baseline has errors.", problems)
    checked = decision_log.checked_reason(reason)
    with transaction.atomic():  # refused, it leaves no configuration behind
        stored = _configuration(
            access.project_id, objective=objective, parameters=parameters, commit=commit, data=data
        )
        document = baseline_evidence.known_document(
            metric=access.official_metric,
            direction=access.direction,
            candidate=json.loads(stored.document),
            scores=scores,
            source=source.strip(),
            chance=chance,
        )
        return _enter(access, stored, checked, document, None)


def _known_problems(
    objective: str,
    parameters: Mapping[Any, Any],
    scores: Sequence[float],
    source: str,
    chance: float | None,
) -> list[Problem]:
    problems = []
    if refused := refusal(objective, settings.OBJECTIVES):
        problems.append(Problem("objective", f"{refused}. It runs again beside every candidate"))
    plain = str | int | float | bool | None
    if not parameters or not all(
        isinstance(name, str) and isinstance(value, plain) and not _is_infinite(value)
        for name, value in parameters.items()
    ):
        problems.append(Problem("parameters", "expected names with one value each"))
    if not scores or len(scores) > MOST_SEEDS or not all(math.isfinite(score) for score in scores):
        problems.append(Problem("scores", f"expected 1 to {MOST_SEEDS} finite numbers"))
    if not source.strip() or len(source) > 1000:
        problems.append(Problem("source", "say where the scores come from, in 1000 characters"))
    if chance is not None and not math.isfinite(chance):
        problems.append(Problem("chance", "expected a finite number"))
    return problems


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _enter(
    access: Access,
    candidate: Configuration,
    reason: str,
    document: Mapping[str, Any],
    replication: Replication | None,
) -> Decision:
    try:
        with transaction.atomic():
            project = Project.objects.select_for_update().get(pk=access.project_id)
            champion = Decision.objects.crowning(project)
            if champion is not None:
                raise Conflict(
                    f"{project.slug} has a champion since decision {champion.sequence}; a "
                    "baseline comes first or not at all."
                )
            return decision_log.append(
                project=project,
                access=access,
                choice=Choice.BASELINE,
                reason=reason,
                target="production",
                evidence=json.dumps(document, sort_keys=True, allow_nan=False),
                candidate=candidate,
                experiment=replication.experiment if replication else None,
                replication=replication,
            )
    except IntegrityError as error:
        raise Conflict("Somebody else decided at the same moment; look at the log.") from error
