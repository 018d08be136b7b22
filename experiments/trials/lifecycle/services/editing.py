"""Edits of an experiment that has begun: notes, tags, name, archive."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from experiments.design.document import experiment_file
from experiments.design.queries.citations import citations
from experiments.design.queries.records import AnyExperiment
from experiments.errors import Conflict, NameTaken, Problem, StudyCited, VerdictError
from experiments.models import Experiment, ExperimentTag, Study, Trial
from experiments.models import trial_encoding as encoding
from experiments.models.experiment import OUTSIDE, ExperimentState
from experiments.models.project import Role
from experiments.models.trial import TrialState
from experiments.team.queries.access import Access
from experiments.trials.artifacts.services import artifacts
from experiments.trials.lifecycle.services import outside_experiments
from experiments.trials.table.queries.filtered_trials import FOREIGN_NAME

LONGEST_NOTES = 100_000
LONGEST_TAG = 60
MOST_TAGS = 30
_ENDED = (ExperimentState.FINISHED, ExperimentState.STOPPED)


def write_notes(
    *, access: Access, experiment: AnyExperiment, notes: str, tags: Iterable[str]
) -> None:
    """Replace the notes (Markdown) and the tags. The experiment file stays as it was given.

    Raises:
        VerdictError: with one problem for each field that is wrong.
        NotFound, NotAllowed: for someone who is no editor.
    """
    access.require(Role.EDITOR, experiment)
    wanted = list(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
    problems = []
    if len(notes) > LONGEST_NOTES or "\x00" in notes:
        problems.append(
            Problem("notes", f"expected at most {LONGEST_NOTES} characters and no NUL")
        )
    if any(len(tag) > LONGEST_TAG or "\x00" in tag for tag in wanted) or len(wanted) > MOST_TAGS:
        problems.append(
            Problem("tags", f"expected at most {MOST_TAGS} of at most {LONGEST_TAG} characters")
        )
    if problems:
        raise VerdictError("The notes cannot be kept.", problems)
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        Experiment.objects.filter(pk=locked.pk).update(
            notes=notes.replace("\r\n", "\n").strip(), active_at=timezone.now()
        )
        ExperimentTag.objects.filter(experiment=locked).exclude(name__in=wanted).delete()
        ExperimentTag.objects.bulk_create(
            [ExperimentTag(experiment=locked, name=tag) for tag in wanted], ignore_conflicts=True
        )


def archive(*, access: Access, experiment: AnyExperiment) -> None:
    """Leave an experiment out of lists; it stays where it is, with all that cites it.

    Raises:
        Conflict: while it is not finished or stopped, or has been archived already.
    """
    access.require(Role.EDITOR, experiment)
    found = Experiment.objects.filter(pk=experiment.pk, archived_at__isnull=True)
    if not found.filter(state__in=_ENDED).update(archived_at=timezone.now()):
        if found.exists():
            raise Conflict(f"{experiment.name} still runs: stop it first.")
        raise Conflict(f"{experiment.name} was archived already.")


def bring_back(*, access: Access, experiment: AnyExperiment) -> None:
    """List an archived experiment again."""
    access.require(Role.EDITOR, experiment)
    found = Experiment.objects.filter(pk=experiment.pk, archived_at__isnull=False)
    if not found.update(archived_at=None, active_at=timezone.now()):
        raise Conflict(f"{experiment.name} is not archived.")


def rename(
    *, access: Access, experiment: AnyExperiment, name: str, foreign_name: str = ""
) -> None:
    """Give an experiment another name; addresses with the old one lead nowhere afterwards.

    The names of its studies follow. Decisions keep the name that they were made under.
    `foreign_name`: what a tracker's client calls it, where that can be no address.

    Raises:
        VerdictError: for a name that cannot be one.
        NameTaken: when another experiment has it.
        Conflict: when workers run trials of it: they find their study by name.
    """
    access.require(Role.EDITOR, experiment)
    try:
        wanted = experiment_file.experiment_name(name)
    except ValueError as error:
        raise VerdictError("The name cannot be used.", [Problem("name", str(error))]) from None
    try:
        with transaction.atomic():
            locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
            if locked.sampler == OUTSIDE:  # its programs know their runs by number
                _set_foreign_name(locked, access.slug, foreign_name)
            else:
                _check_idle(locked)
            before = locked.name
            Experiment.objects.filter(pk=locked.pk).update(name=wanted, active_at=timezone.now())
            _rename_studies(locked, before, wanted)
    except IntegrityError:
        raise NameTaken(
            f"{access.slug} has an experiment {wanted} already.",
            [Problem("name", "is taken; choose another")],
        ) from None


def _check_idle(experiment: AnyExperiment) -> None:
    if Trial.objects.filter(study__experiment=experiment.pk, state=TrialState.RUNNING).exists():
        raise Conflict(f"Trials of {experiment.name} are running: pause it or wait for them.")


def _set_foreign_name(experiment: Experiment, slug: str, name: str) -> None:
    """Keep what clients call an experiment beside its runs; "" where that is its name."""
    search = outside_experiments.search_of(experiment, slug)
    attributes = encoding.decode(search.system_attributes)
    attributes.pop(FOREIGN_NAME, None)
    if name:
        attributes[FOREIGN_NAME] = name
    Study.objects.filter(pk=search.pk).update(system_attributes=encoding.encode(attributes))


def _rename_studies(experiment: Experiment, before: str, after: str) -> None:
    """Names of studies begin with the project and the experiment."""
    old, new = (f"{experiment.project.slug}/{name}" for name in (before, after))
    for study in Study.objects.filter(experiment=experiment.pk):
        if study.name == old or study.name.startswith(f"{old}/"):
            Study.objects.filter(pk=study.pk).update(name=(new + study.name[len(old) :])[:512])


def delete(*, access: Access, experiment: AnyExperiment, typed_name: str) -> None:
    """Delete an experiment with its trials, series and files, for good.

    `typed_name` is the name as the person wrote it to confirm.

    Raises:
        VerdictError: when the name was not typed.
        StudyCited: when something rests on it; `problems` names each thing.
        Conflict: while its search is under way or trials are running.
        NotFound, NotAllowed: for someone who is no admin.
    """
    access.require(Role.ADMIN, experiment)
    try:
        with transaction.atomic():
            locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
            if typed_name.strip() != locked.name:
                problem = Problem("typed_name", f"expected {locked.name}")
                raise VerdictError("Type its name to confirm.", [problem])
            if locked.state not in _ENDED:
                raise Conflict(f"{locked.name} still runs: stop it first.")
            _check_idle(locked)
            _check_uncited(locked)
            artifacts.remove_files_of(Trial.objects.filter(study__experiment=locked))
            locked.delete()
    except ProtectedError:
        raise StudyCited(f"Something cites {experiment.name}: it cannot be deleted.") from None


def _check_uncited(experiment: AnyExperiment) -> None:
    found = citations(experiment)
    if found:
        raise StudyCited(
            f"{experiment.name} is cited and cannot be deleted; archive it instead.",
            [Problem("", citation.words) for citation in found],
        )
