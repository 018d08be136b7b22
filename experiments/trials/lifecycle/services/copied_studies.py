"""Copies of studies that lie in another storage: made once, and brought up to date.

A trial that has finished never changes, so a study here is a copy of another exactly if its
finished trials are those of the other; nothing else has to be remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from experiments.errors import Conflict
from experiments.models import Study, Trial
from experiments.models import trial_encoding as encoding
from experiments.models.trial import FINISHED, StudyKind
from experiments.trials.lifecycle.services import studies
from experiments.trials.lifecycle.services.trial_creation import (
    TrialFields,
    create_many,
    outcome_of,
    replace_unfinished,
)

AT_ONCE = 500  # trials of a transaction


@dataclass(frozen=True, slots=True)
class Original:
    """A study as another storage has it; its trials [N] are in the order of their numbers."""

    name: str
    directions: Sequence[str]
    user_attributes: Mapping[str, Any]
    system_attributes: Mapping[str, Any]
    trials: Sequence[TrialFields]


@dataclass(frozen=True, slots=True)
class Copied:
    """Result of a copy: the study's id and name here, and its trials by outcome."""

    id: int
    study: str
    added: int
    updated: int
    unchanged: int


def copy(
    original: Original, *, project: str, progress: Callable[[int], None] | None = None
) -> Copied:
    """Copy a study; `progress` is told of each number of trials that are done.

    Raises as `copy_steps` does.
    """
    steps = copy_steps(original, project=project)
    while True:
        try:
            done = next(steps)
        except StopIteration as end:
            return cast(Copied, end.value)
        if progress is not None:
            progress(done)


def copy_steps(original: Original, *, project: str) -> Generator[int, None, Copied]:
    """Copy a study into a project as a free-standing one, or add to its copy what is new.

    Trials are added some at a time, and how many are done is yielded; what was committed stays
    when it breaks off. A name that another study has here is put behind the project's.

    Raises:
        NotFound: when there is no such project.
        NotAllowed: when it is archived.
        Conflict: when other studies have these names, or somebody else adds trials, too.
        VerdictError: when the name is too long.
    """
    studies.open_project(project)
    study = _copy_of(original, project)
    done, updated = study.next_number, 0
    for number in _changed(study, original.trials):
        fields = original.trials[number]
        updated += replace_unfinished(study_id=study.pk, number=number, fields=fields)
    for start in range(done, len(original.trials), AT_ONCE):
        part = original.trials[start : start + AT_ONCE]
        create_many(study_id=study.pk, trials=part, first_number=start)
        yield start + len(part)
    _update_attributes(study, original)
    return Copied(study.pk, study.name, len(original.trials) - done, updated, done - updated)


def _copy_of(original: Original, project: str) -> Study:
    for name in (original.name, f"{project}/{original.name}"):
        study = Study.objects.filter(name=name, deleted_at__isnull=True).first()
        if study is None:
            made = studies.create(name=name, directions=original.directions, project=project)
            return Study.objects.get(pk=made)
        if study.project.slug == project and _is_copy(study, original):
            return study
    raise Conflict(
        f"There is a study named {original.name} already, with other trials. Copy yours under "
        "another name first (optuna.copy_study)."
    )


def _is_copy(study: Study, original: Original) -> bool:
    """Test whether a study holds nothing finished but what the original has."""
    if study.kind != StudyKind.FREE or study.directions != " ".join(original.directions):
        return False
    if study.next_number > len(original.trials):
        return False
    finished = Trial.objects.filter(study=study, state__in=FINISHED)
    rows = finished.values_list("number", "state", "values", "parameters")
    return all(
        (state, values, parameters) == outcome_of(original.trials[number])
        for number, state, values, parameters in rows.iterator(chunk_size=2000)
    )


def _changed(study: Study, trials: Sequence[TrialFields]) -> list[int]:
    """Numbers of unfinished trials here of which the original knows something else by now."""
    rows = (
        Trial.objects.filter(study=study)
        .exclude(state__in=FINISHED)
        .order_by("number")
        .prefetch_related("open_reports")
    )
    changed = []
    for row in rows:
        fields = trials[row.number]
        reports = {report.step: report.value for report in row.open_reports.all()}
        given = {step: None if v != v else v for step, v in (fields.get("reports") or {}).items()}
        here = (row.state, row.values, row.parameters)
        if here != outcome_of(fields) or reports != given:
            changed.append(row.number)
    return changed


def _update_attributes(study: Study, original: Original) -> None:
    texts = {
        "user_attributes": encoding.encode(dict(original.user_attributes)),
        "system_attributes": encoding.encode(dict(original.system_attributes)),
    }
    if any(getattr(study, name) != text for name, text in texts.items()):
        Study.objects.filter(pk=study.pk).update(**texts)
