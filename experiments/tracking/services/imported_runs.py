"""Rows of imported runs: parameters, tags, seeds, curves and files as a tracker has them."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from experiments.design.metrics import declared_metrics, is_test
from experiments.errors import Conflict, Problem, VerdictError
from experiments.models import Artifact, Experiment, Study, Trial
from experiments.models import trial_encoding as encoding
from experiments.models.trial import FailureKind, Origin, TrialState
from experiments.models.trial_encoding import Parameter
from experiments.tracking.imports.foreign_runs import (
    Curves,
    ForeignFile,
    ForeignRun,
    MissingFile,
    ParameterValue,
    UnreadableSource,
)
from experiments.tracking.run_texts import seeds_in, stored_value, text_of
from experiments.trials.artifacts.queries import artifacts as artifact_queries
from experiments.trials.artifacts.services import files as artifact_files
from experiments.trials.artifacts.services.files import TooLarge, too_large
from experiments.trials.lifecycle.services import runs
from experiments.trials.series.queries import series as series_queries
from experiments.trials.series.series_encoding import SeriesColumns
from experiments.trials.series.services import series, whole_curves
from experiments.trials.series.services.metric_summaries import LONGEST_NAME
from experiments.trials.table.queries.filtered_trials import (
    FOREIGN_NAME,
    NOTE,
    SEED_PARAMETER,
    USER,
)

# System attributes: [format, digest of the run (none before its files are here), its name there];
# while files are on their way [the digest to come, when they began to come: seconds since 1970].
SOURCE, AWAITED = "verdict:imported", "verdict:files_awaited"
LONGEST_RUN_NAME, LONGEST_KEY, LONGEST_TEXT = 500, 250, 6_000
_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAILED,
    "cancelled": TrialState.FAILED,
    "running": TrialState.RUNNING,
}
_FAILURES = {"failed": FailureKind.EXCEPTION, "cancelled": FailureKind.CANCELLED}


@dataclass(frozen=True, slots=True)
class Imported:
    """Identity of an imported run here, that of the run it is nested in, and what it came from.

    With `has_files` the run counts as imported once `settle` is told that they are here.
    """

    run_id: uuid.UUID
    parent_id: uuid.UUID | None
    digest: str
    source: str
    has_files: bool = False


def digests(run_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Digests that runs were imported under, by the ids of those that are here."""
    rows = Trial.objects.filter(run_id__in=run_ids).values_list("run_id", "system_attributes")
    return {
        run_id: str(encoding.decode(attributes).get(SOURCE, ["", ""])[1])
        for run_id, attributes in rows
        if run_id is not None
    }


def add(study: Study, run: ForeignRun, imported: Imported, *, number: int) -> Trial:
    """Insert a run with its parameters and tags; its curves come after. The study is locked."""
    return Trial.objects.create(
        study=study,
        number=number,
        origin=Origin.OUTSIDE,
        attempt=runs.ATTEMPT,
        run_id=imported.run_id,
        **_columns(study, run, imported, tags={}),
    )


def bring_up_to_date(trial: Trial, run: ForeignRun, imported: Imported) -> None:
    """Write what a run holds by now; its name, tags and notes that were written here stay.

    Raises:
        Conflict: when a parameter has another value: that is another run.
    """
    before, system = encoding.decode(trial.parameters), encoding.decode(trial.system_attributes)
    for name, value in _parameters(run.parameters).items():
        if name in before and text_of(before[name]) != text_of(value[0]):
            raise Conflict(
                f"{run.name or run.key} is another run here: {name:.100} is {before[name]!r:.100} "
                f"here and {value[0]!r:.100} there. Import it into an experiment of its own "
                "(--experiment NAME)."
            )
    awaited = system.get(AWAITED, [])
    columns = _columns(
        trial.study,
        run,
        imported,
        tags=encoding.decode(trial.user_attributes),
        awaited=awaited if awaited[:1] == [imported.digest] else (),
    )
    if trial.run_name not in system.get(SOURCE, [])[2:]:
        del columns["run_name"]
    for name, value in columns.items():
        setattr(trial, name, value)
    trial.save(update_fields=list(columns))


def _columns(
    study: Study,
    run: ForeignRun,
    imported: Imported,
    *,
    tags: Mapping[str, Any],
    awaited: Sequence[str | float] = (),
) -> dict[str, Any]:
    """Columns of a run's row. `tags`: those that it has here, which stay; `awaited`: since when
    its files come, when an import broke off among them.
    """
    parameters = _parameters(run.parameters)
    texts = {name: text_of(value) for name, (value, _) in parameters.items()}
    seeds = seeds_in(texts, encoding.decode(study.user_attributes))
    run_name = _text(run.name, LONGEST_RUN_NAME)
    digest = "" if imported.has_files else imported.digest
    system: dict[str, Any] = {SOURCE: [imported.source, digest, run_name]}
    if imported.has_files:
        system[AWAITED] = [*awaited] or [imported.digest, timezone.now().timestamp()]
    if run.user:
        system[USER] = _text(run.user, LONGEST_KEY)
    columns: dict[str, Any] = {}
    for name, (seed, number) in seeds.items():
        system[SEED_PARAMETER + name] = texts[name]
        columns.setdefault(seed, number)
        del parameters[name]
    state = _STATES[run.state]
    stored, distributions = encoding.encode_parameters(parameters)
    configuration = runs.configure(
        project_id=study.project_id,
        parameters={name: value for name, (value, _) in parameters.items()},
        commit=_text(run.commit, 64),
        data={},
    )
    parent = Trial.objects.filter(run_id=imported.parent_id) if imported.parent_id else None
    return columns | {
        "state": state,
        "parameters": stored,
        "distributions": distributions,
        "user_attributes": encoding.encode({**_tags(run), **tags}),
        "system_attributes": encoding.encode(system),
        "configuration": configuration,
        "run_name": run_name,
        "parent": parent.first() if parent is not None else None,
        "started_at": run.started_at,
        "finished_at": _end(run) if state != TrialState.RUNNING else None,
        "seconds": _seconds(run),
        # A run that is still under way is given up when no import brings news of it.
        "heartbeat_at": timezone.now() if state == TrialState.RUNNING else None,
        "values": encoding.encode_values(None, complete=state == TrialState.COMPLETE),
        "value": None,
        "failure_kind": _FAILURES.get(run.state, FailureKind.NONE),
        "failure_reason": "",
    }


def _end(run: ForeignRun) -> dt.datetime:
    return run.finished_at or run.started_at or timezone.now()


def _seconds(run: ForeignRun) -> float | None:
    if run.started_at is None or run.finished_at is None:
        return None
    return max(0.0, (run.finished_at - run.started_at).total_seconds())


def _parameters(given: Mapping[str, ParameterValue]) -> dict[str, Parameter]:
    """Parameters with distributions that say no more than their value."""
    found = {}
    for name, value in given.items():
        stored = stored_value(_text(value, LONGEST_TEXT)) if isinstance(value, str) else value
        is_large = isinstance(stored, int) and abs(stored) >= 2**63
        if is_large or (isinstance(stored, float) and not math.isfinite(stored)):
            stored = str(stored)
        found[_text(name, LONGEST_KEY)] = runs.as_constant(stored)
    return found


def _tags(run: ForeignRun) -> dict[str, str]:
    tags = {_text(key, LONGEST_KEY): _text(text, LONGEST_TEXT) for key, text in run.tags.items()}
    if run.notes:
        tags[NOTE] = _text(run.notes, LONGEST_TEXT)
    return tags


def _text(text: str, longest: int) -> str:
    """A text as every database holds it: no NUL, no half of a surrogate pair."""
    clean = str(text)[:longest].replace("\0", "\ufffd")
    return clean.encode(errors="replace").decode()


def keep_foreign_name(study: Study, name: str) -> None:
    """Keep the name of an experiment that no address of ours can hold."""
    system = encoding.decode(study.system_attributes)
    if system.get(FOREIGN_NAME) != name:
        system[FOREIGN_NAME] = _text(name, LONGEST_RUN_NAME)
        study.system_attributes = encoding.encode(system)
        study.save(update_fields=["system_attributes"])


def write_curves(trial: Trial, experiment: Experiment, curves: Curves) -> Iterator[str]:
    """Store a run's curves, sealing test scores; yields what was left out.

    A curve that has more points here than there keeps them.
    """
    declared = declared_metrics(experiment.document)
    shown: dict[str, SeriesColumns] = {}
    for name, curve in curves.items():
        if not 0 < len(name) <= LONGEST_NAME or _text(name, LONGEST_NAME) != name:
            yield f"metric {name!r:.60}: no name of 1 to {LONGEST_NAME} characters"
        elif not len(curve.values):
            continue
        elif curve.steps.dtype != np.int64 and np.abs(curve.steps).max() >= 2**63:
            yield f"metric {name:.60}: a step beyond 64 bits"
        elif is_test(name, declared):
            series.seal(trial_id=trial.pk, name=name, value=float(curve.values[-1]))
        else:
            shown[name] = curve
    for name, columns in series_queries.read([trial.pk]).get(trial.pk, {}).items():
        if name not in shown or len(shown[name].steps) < len(columns.steps):
            shown[name] = columns
    whole_curves.write(
        trial_id=trial.pk,
        attempt=trial.attempt,
        columns=shown,
        official_metric=experiment.official_metric,
        direction=experiment.direction,
    )


def write_files(
    trial: Trial, given: Iterable[ForeignFile], leave_out: Callable[[str], None]
) -> bool:
    """Store a run's files; one that cannot be stored is left out, not the run.

    Files that came before an import of the same run broke off are not asked for again.

    Returns:
        False when its source owes one, so that the next import has to ask again.

    Raises:
        UnreadableSource: when the source is gone.
    """
    came, are_whole = _files_that_came(trial), True
    for file in given:
        try:
            if came.get(file.name) == file.size:
                continue
            if file.size > artifact_queries.room(trial.pk):
                raise TooLarge(too_large(artifact_queries.room(trial.pk)))
            artifact_files.store(trial_id=trial.pk, name=file.name, parts=file.blocks())
        except UnreadableSource:
            raise
        except VerdictError as error:
            are_whole &= not isinstance(error, MissingFile)
            leave_out(f"file {file.name:.100}: {_first(error.problems, error.message)}")
        except OSError as error:
            leave_out(f"file {file.name:.100}: {error.strerror or error}")
    return are_whole


def _files_that_came(trial: Trial) -> dict[str, int]:
    """Sizes by name of files that an import stored before it broke off."""
    _, since = encoding.decode(trial.system_attributes)[AWAITED]
    begun = dt.datetime.fromtimestamp(since, dt.UTC)
    stored = Artifact.objects.filter(trial=trial, kind="file", step__isnull=True)
    stored = stored.filter(created_at__gte=begun)
    return dict(stored.values_list("name", "size"))


def settle(trial_id: int, digest: str) -> None:
    """Record that all files of a run are here."""
    with transaction.atomic():
        trial = Trial.objects.select_for_update().filter(pk=trial_id).first()
        if trial is None:  # deleted meanwhile
            return
        system = encoding.decode(trial.system_attributes)
        if system.pop(AWAITED, ("",))[0] == digest:  # else another import is at it
            system[SOURCE][1] = digest
            trial.system_attributes = encoding.encode(system)
            trial.save(update_fields=["system_attributes"])


def _first(problems: Sequence[Problem], message: str) -> str:
    return problems[0].message if problems else message
