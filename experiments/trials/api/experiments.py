"""Experiments: list, read, check, create, stop, and what may change about one that has begun."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

from ninja import Router, Status
from pydantic import StringConstraints

from experiments.design.api.experiment_schemas import (
    Checked,
    CheckedOut,
    DoneOut,
    ExperimentAnswer,
    ExperimentOut,
    FileIn,
    NameIn,
    NotesIn,
    StopIn,
)
from experiments.design.queries import experiments as queries
from experiments.design.queries.experiments import (
    ExperimentFilter,
    ExperimentRow,
    get_experiment,
)
from experiments.design.queries.records import ExperimentRecord
from experiments.design.queries.time_left import search_time_left
from experiments.design.review.design_review import considerations, review
from experiments.team.api import auth
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services import control, editing
from experiments.trials.lifecycle.services import experiments as services
from experiments.trials.table.queries.reproduce import line_of
from experiments.web import api_bodies
from experiments.web.api_schemas import (
    PAGED,
    Paged,
    PageNumber,
    PageSize,
    answer,
    joined,
    paged,
    schema_of,
)
from experiments.web.pagination import PAGE_SIZE, PageOf
from experiments.web.requests import TokenRequest

router = Router(tags=["experiments"])
_PLACE = "/{slug}/experiments/{name}"
_ROW = schema_of(ExperimentRow, without="wants_decision")
_EXPERIMENTS = answer("Experiments", experiments=[_ROW], **PAGED)
_DONE = {200: DoneOut, **auth.WRITE_ERRORS}
Search = Annotated[str, StringConstraints(max_length=200)]


@router.get("/{slug}/experiments", response={200: _EXPERIMENTS, **auth.READ_ERRORS})
def list_experiments(
    request: TokenRequest,
    slug: str,
    q: Search = "",
    state: Search = "",
    tag: Search = "",
    order: Search = "activity",
    archived: bool = False,
    page: PageNumber = 1,
    per_page: PageSize = PAGE_SIZE,
) -> Paged[ExperimentRow]:
    """Experiments of a project, fifty a page unless told; beyond the last page there are none.

    `order`: activity, name, created, trials or best. `archived`: those that lists leave out.
    """
    access = auth.reading(request, slug)
    wanted = ExperimentFilter(
        text=q.strip(),
        state=state,
        order=order,
        page=PageOf(page, per_page, exact=True),
        tag=tag,
        archived=archived,
    )
    found = queries.list_experiments(access, wanted)
    return paged("experiments", found)


@router.post(
    "/{slug}/experiments",
    response={201: ExperimentOut, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(FileIn),
)
def create_experiment(request: TokenRequest, slug: str) -> Status[ExperimentAnswer]:
    """Create an experiment from its file and queue its trials."""
    access = auth.writing(request, slug)
    text = _text(api_bodies.read(request, FileIn))
    made = services.create(access=access, text=text)
    return Status(201, _experiment(access, get_experiment(access, made.name)))


@router.post(
    "/{slug}/check-experiment",
    response={200: CheckedOut, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(FileIn),
)
def check_experiment(request: TokenRequest, slug: str) -> Checked:
    """Check a file: its errors, and the findings of the design rules; nothing is created."""
    access = auth.reading(request, slug)
    text = _text(api_bodies.read(request, FileIn))
    found = review(text, access)
    return Checked(
        ok=not found.error,
        error=found.error,
        problems=found.problems,
        design=found.design,
        considerations=considerations(found.checks) if found.checks else (),
    )


def _text(asked: FileIn) -> str:
    """The file as text; JSON is YAML but for numbers that are none."""
    if asked.text is not None:
        return asked.text.replace("\r\n", "\n")
    return json.dumps(asked.file, ensure_ascii=False, indent=1)


@router.get(_PLACE, response={200: ExperimentOut, **auth.READ_ERRORS})
def read_experiment(request: TokenRequest, slug: str, name: str) -> ExperimentAnswer:
    """An experiment with its counts, its arms and its file."""
    access = auth.reading(request, slug)
    return _experiment(access, get_experiment(access, name))


@router.patch(
    _PLACE,
    response={200: ExperimentOut, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(NotesIn),
)
def change_experiment(request: TokenRequest, slug: str, name: str) -> ExperimentAnswer:
    """Replace its notes (Markdown) or its tags; the file stays as it was given."""
    access = auth.writing(request, slug)
    experiment = get_experiment(access, name)
    asked = api_bodies.read(request, NotesIn)
    editing.write_notes(
        access=access,
        experiment=experiment,
        notes=experiment.notes if asked.notes is None else asked.notes,
        tags=queries.tags_of(experiment.pk) if asked.tags is None else asked.tags,
    )
    return _experiment(access, get_experiment(access, name))


@router.delete(_PLACE, response={204: None, **auth.WRITE_ERRORS})
def delete_experiment(
    request: TokenRequest, slug: str, name: str, confirm: Search = ""
) -> Status[None]:
    """Delete it with its trials and series, for good; `confirm` is its name once more."""
    access = auth.writing(request, slug)
    experiment = get_experiment(access, name)
    editing.delete(access=access, experiment=experiment, typed_name=confirm)
    return Status(204, None)


@router.post(f"{_PLACE}/rename", response=_DONE, openapi_extra=api_bodies.described(NameIn))
def rename_experiment(request: TokenRequest, slug: str, name: str) -> ExperimentRecord:
    """Give it another name; addresses with the old one lead nowhere afterwards."""
    access = auth.writing(request, slug)
    experiment = get_experiment(access, name)
    wanted = api_bodies.read(request, NameIn).name.strip()
    editing.rename(access=access, experiment=experiment, name=wanted)
    return get_experiment(access, wanted)


@router.post(f"{_PLACE}/stop", response=_DONE, openapi_extra=api_bodies.described(StopIn))
def stop_experiment(request: TokenRequest, slug: str, name: str) -> ExperimentRecord:
    """End the search: running trials stop at their next evaluation, no new ones start."""

    def act(**body: Any) -> None:
        services.stop(**body, reason=api_bodies.read(request, StopIn).reason.strip())

    return _done(request, slug, name, act)


@router.post(f"{_PLACE}/pause", response=_DONE)
def pause_experiment(request: TokenRequest, slug: str, name: str) -> ExperimentRecord:
    """Start no new trials; running ones end."""
    return _done(request, slug, name, services.pause)


@router.post(f"{_PLACE}/resume", response=_DONE)
def resume_experiment(request: TokenRequest, slug: str, name: str) -> ExperimentRecord:
    """Go on after a pause."""
    return _done(request, slug, name, control.resume)


@router.post(f"{_PLACE}/archive", response=_DONE)
def archive_experiment(request: TokenRequest, slug: str, name: str) -> ExperimentRecord:
    """Leave it out of lists; it stays where it is."""
    return _done(request, slug, name, editing.archive)


@router.post(f"{_PLACE}/bring-back", response=_DONE)
def bring_back_experiment(request: TokenRequest, slug: str, name: str) -> ExperimentRecord:
    """List an archived one again."""
    return _done(request, slug, name, editing.bring_back)


def _done(
    request: TokenRequest, slug: str, name: str, act: Callable[..., object]
) -> ExperimentRecord:
    """Act on an experiment in the name of the token's owner; tell how it stands then."""
    access = auth.writing(request, slug)
    act(access=access, experiment=get_experiment(access, name))
    return get_experiment(access, name)


def _experiment(access: Access, experiment: ExperimentRecord) -> ExperimentAnswer:
    arms = queries.arms_of(experiment.pk)
    tally = queries.tally(experiment.pk)
    return joined(
        ExperimentAnswer,
        experiment,
        project=access.slug,
        tags=queries.tags_of(experiment.pk),
        archived=experiment.archived_at is not None,
        extends=experiment.extends_name or None,
        trials=experiment.trial_count,
        complete=experiment.complete_count,
        pruned=experiment.pruned_count,
        failed=experiment.failed_count,
        running=tally.running,
        waiting=tally.waiting,
        time_left=search_time_left(experiment, tally.running),
        best_trial=queries.best_trial_name(experiment, len(arms)),
        arms=arms,
        reproduce=line_of(experiment, experiment.best_trial),
        file=experiment.source,
    )
