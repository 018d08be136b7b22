"""Import runs of another tracker: each once, brought up to date when it has grown.

A run's id follows from project, format, experiment and its key there, so importing the same
source again, after an interruption or at the same time, finds what is there.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.utils import timezone

from experiments.errors import Conflict, VerdictError
from experiments.models import Experiment, Study, Trial
from experiments.models.experiment import ExperimentState
from experiments.models.project import Role
from experiments.models.trial import TrialState
from experiments.team.queries.access import Access
from experiments.tracking.imports.foreign_runs import (
    Curves,
    ForeignFile,
    ForeignRun,
    ForeignRuns,
    UnreadableSource,
)
from experiments.tracking.imports.formats import title_of
from experiments.tracking.run_texts import address_name
from experiments.tracking.services import imported_runs
from experiments.trials.lifecycle.services import outside_experiments, run_ends
from experiments.trials.lifecycle.services.outside_experiments import NewExperiment

_AT_ONCE = 25  # runs of a transaction
_ASKED_AT_ONCE = 10  # runs that are looked for here together, read or not
_POINTS_AT_ONCE = 500_000
_TOLD_EVERY = 100  # unchanged runs
_IMPORTED = "imported"  # a stop reason
_MOST_REMARKS = 50
Progress = Callable[[int], None]  # runs done


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Choices of whoever imports. `experiment`: one for all runs, instead of their own."""

    format: str
    experiment: str = ""
    official_metric: str = ""
    direction: str = ""


@dataclass(slots=True)
class ImportReport:
    """Result of an import: runs by outcome, experiments by name, and what was left out."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    experiments: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def leave_out(self, remark: str) -> None:
        """Note what was left out, once, up to a bound."""
        if remark not in self.left_out and len(self.left_out) <= _MOST_REMARKS:
            more = len(self.left_out) == _MOST_REMARKS
            self.left_out.append("… and more" if more else remark)


@dataclass(frozen=True, slots=True)
class _ReadRun:
    """A run whose curves were read: its id here, its files, and the digest of all it holds."""

    run_id: uuid.UUID
    run: ForeignRun
    curves: Curves
    files: Sequence[ForeignFile]
    digest: str


def import_runs(
    *,
    access: Access,
    source: ForeignRuns,
    options: ImportOptions,
    progress: Progress | None = None,
) -> ImportReport:
    """Import every run of a source. Raises as `import_steps` does."""
    report = ImportReport()
    for done in import_steps(access=access, source=source, options=options, report=report):
        if progress is not None:
            progress(done)
    return report


def import_steps(
    *, access: Access, source: ForeignRuns, options: ImportOptions, report: ImportReport
) -> Iterator[int]:
    """Import runs some at a time, telling the report; yields how many are done after each part.

    What was committed stays when it breaks off, and nothing of the database is held in between.

    Raises:
        NotAllowed: when the user is not an editor of the project.
        Conflict: when an experiment of that name is run by workers, or another run has this key.
        VerdictError: for an archived project.
        UnreadableSource: from the reader.
    """
    access.require(Role.EDITOR)
    if access.archived:
        raise VerdictError(f"{access.slug} is archived; restore it before importing.")
    done, at_opening = 0, len(source.remarks)
    for name, part in _parts(access, source, options, report):
        if part:
            with transaction.atomic():
                written = _write(access, name, part, options, report)
            _write_files(written, report)
        done += len(part)
        yield done + report.unchanged
    for remark in source.remarks[at_opening:]:  # of what was found while reading
        report.leave_out(remark)


def _parts(
    access: Access, source: ForeignRuns, options: ImportOptions, report: ImportReport
) -> Iterator[tuple[str, list[_ReadRun]]]:
    """Runs that are not here as they are, read, in parts of one experiment each; an empty part
    now and then tells that others were looked at.
    """
    name, part, points = "", list[_ReadRun](), 0
    try:
        for own, run_id, run, known in _identified(access, source, options):
            read = _read(run_id, run, known)
            if read is None:
                report.unchanged += 1
                if report.unchanged % _TOLD_EVERY == 0:
                    yield name, []
                continue
            if part and own != name:
                yield name, part
                part, points = [], 0
            name = own
            part.append(read)
            points += sum(len(curve.values) for curve in read.curves.values())
            if len(part) >= _AT_ONCE or points > _POINTS_AT_ONCE:
                yield name, part
                part, points = [], 0
    except UnreadableSource:
        if part:  # what came before the place that cannot be read
            yield name, part
        raise
    if part:
        yield name, part


def _identified(
    access: Access, source: ForeignRuns, options: ImportOptions
) -> Iterator[tuple[str, uuid.UUID, ForeignRun, str]]:
    """Each run with its experiment, its id here and the digest that it was imported under."""
    seen: set[uuid.UUID] = set()
    for runs in _some_at_once(source.runs):
        named = []
        for run in runs:
            own = options.experiment or run.experiment or source.name
            run_id = _id_of(access, options, own, run, run.key)
            if run_id in seen:
                raise Conflict(
                    f"Two runs have the key {run.key:.100}. Import without a name for the "
                    "experiment: each run comes into its own."
                )
            seen.add(run_id)
            named.append((own, run_id, run))
        known = imported_runs.digests([run_id for _, run_id, _ in named])
        for own, run_id, run in named:
            yield own, run_id, run, known.get(run_id, "")


def _some_at_once(runs: Iterator[ForeignRun]) -> Iterator[list[ForeignRun]]:
    """Runs in parts of some; those before a place that cannot be read come before its error."""
    part: list[ForeignRun] = []
    try:
        for run in runs:
            part.append(run)
            if len(part) >= _ASKED_AT_ONCE:
                yield part
                part = []
    except UnreadableSource:
        yield part
        raise
    yield part


def _read(run_id: uuid.UUID, run: ForeignRun, known: str) -> _ReadRun | None:
    """A run with its curves and files; None for one that is here as it is."""
    if run.stamp and known == run.stamp:
        return None
    curves, files = run.curves(), tuple(run.files)
    digest = run.stamp or _digest(run, curves, files)
    return None if known == digest else _ReadRun(run_id, run, curves, files, digest)


def _id_of(
    access: Access, options: ImportOptions, experiment: str, run: ForeignRun, key: str
) -> uuid.UUID:
    """The id here of an imported run, or of one beside it whose key is `key`."""
    names = [access.project_id, options.format, experiment, key]
    if run.scope and options.experiment:
        names.append(run.scope)
    return uuid.uuid5(uuid.NAMESPACE_URL, f"verdict-import:{json.dumps(names)}")


def _digest(run: ForeignRun, curves: Curves, files: Sequence[ForeignFile]) -> str:
    facts: list[object] = [
        run.name,
        run.state,
        dict(run.parameters),
        dict(run.tags),
        run.user,
        run.notes,
    ]
    facts += [run.commit, run.parent, str(run.started_at), str(run.finished_at)]
    facts.append([[file.name, file.size] for file in files])
    content = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for name in sorted(curves):
        content.update(name.encode(errors="replace"))
        for column in (curves[name].steps, curves[name].values, curves[name].times_ms):
            content.update(column.tobytes())
    return content.hexdigest()


def _write(
    access: Access,
    name: str,
    part: Sequence[_ReadRun],
    options: ImportOptions,
    report: ImportReport,
) -> list[tuple[Trial, _ReadRun]]:
    experiment, study = _experiment(access, name, part, options)
    if experiment.name not in report.experiments:
        report.experiments.append(experiment.name)
    stored = {
        trial.run_id: trial
        for trial in Trial.objects.select_for_update(of=("self",))
        .select_related("study")
        .filter(run_id__in=[run.run_id for run in part])
        .order_by("pk")
    }
    added, written = 0, []
    for read in part:
        parent = _id_of(access, options, name, read.run, read.run.parent)
        imported = imported_runs.Imported(
            run_id=read.run_id,
            parent_id=parent if read.run.parent else None,
            digest=read.digest,
            source=options.format,
            has_files=bool(read.files),
        )
        trial = stored.get(read.run_id)
        if trial is None:
            trial = imported_runs.add(study, read.run, imported, number=study.next_number + added)
            added += 1
        elif trial.study.deleted_at is not None:
            report.leave_out(f"{read.run.name or read.run.key}: was deleted here")
            continue
        else:
            imported_runs.bring_up_to_date(trial, read.run, imported)
            report.updated += 1
        for remark in imported_runs.write_curves(trial, experiment, read.curves):
            report.leave_out(remark)
        for remark in read.run.left_out:
            report.leave_out(remark)
        run_ends.score(trial)
        written.append((trial, read))
    report.added += added
    _count(experiment, study, added)
    return written


def _write_files(written: Sequence[tuple[Trial, _ReadRun]], report: ImportReport) -> None:
    """Store files, which may take long, while nothing of the database is held."""
    for trial, read in written:
        if read.files and imported_runs.write_files(trial, read.files, report.leave_out):
            imported_runs.settle(trial.pk, read.digest)


def _experiment(
    access: Access, name: str, part: Sequence[_ReadRun], options: ImportOptions
) -> tuple[Experiment, Study]:
    """The experiment, locked, and its search; with the official metric once runs have it."""
    known = _where_they_are(access, part) or address_name(name)
    metric, direction = options.official_metric, options.direction or access.direction
    if not metric and any(access.official_metric in run.curves for run in part):
        metric, direction = access.official_metric, access.direction
    experiment, study, _ = outside_experiments.find_or_create(
        access=access,
        new=NewExperiment(
            name=known,
            official_metric=metric,
            direction=direction,
            goal=f"Runs imported from {title_of(options.format)}.",
        ),
    )
    if metric and not experiment.official_metric:
        outside_experiments.adopt_metric(experiment, metric=metric, direction=direction)
        experiment.refresh_from_db()
    elif options.official_metric not in ("", experiment.official_metric):
        raise Conflict(
            f"The official metric of {known} is {experiment.official_metric}; import the runs "
            "into an experiment of their own to judge them by another."
        )
    if known != name and known == address_name(name):
        imported_runs.keep_foreign_name(study, name)
    return experiment, study


def _where_they_are(access: Access, part: Sequence[_ReadRun]) -> str | None:
    """The experiment that has runs of a part already: it may have been renamed since."""
    found = Trial.objects.filter(
        run_id__in=[run.run_id for run in part],
        study__project_id=access.project_id,
        study__deleted_at__isnull=True,
    )
    return found.order_by("pk").values_list("study__experiment__name", flat=True).first()


def _count(experiment: Experiment, study: Study, added: int) -> None:
    Study.objects.filter(pk=study.pk).update(next_number=study.next_number + added)
    run_ends.recount(experiment)
    runs = Trial.objects.filter(study=study)
    changes: Mapping[str, object] = {"budget": runs.count(), "active_at": timezone.now()}
    if experiment.state != ExperimentState.STOPPED:
        running = runs.filter(state=TrialState.RUNNING).exists()
        state = ExperimentState.RUNNING if running else ExperimentState.FINISHED
        ended = None if running else timezone.now()
        changes = {
            **changes,
            "state": state,
            "stop_reason": "" if running else _IMPORTED,
            "finished_at": ended,
        }
    Experiment.objects.filter(pk=experiment.pk).update(**changes)
