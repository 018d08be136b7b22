"""Files of trials: which checkpoint a resumed run takes, what may be downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Count, F, Q, Sum, Window
from django.db.models.functions import RowNumber

from experiments.design.queries.records import AnyExperiment, AnyTrial
from experiments.design.trial_names import other_trial_name, trial_name
from experiments.models import Artifact, Study
from experiments.models.trial import StudyKind
from experiments.trials.artifacts.storage import checked, storage
from experiments.web.pagination import FIRST_PAGE, Page, PageOf, page_bounds

MOST_STEPS = 500  # of one name, on a page
LOGGED = ("file", "image", "figure", "table", "text", "histogram")  # by programs, by their will
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")  # names of what notes may show
MOST_IMAGES = 100  # newest ones, offered while notes are written
OF_TRAINING = ("checkpoint", "pass checkpoint", "progress")


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A recorded file; `path` is relative to the folder of artifacts."""

    id: int
    trial_id: int
    kind: str
    name: str
    path: str
    size: int
    sha256: str
    step: float | None
    attempt: int
    value: float | None


def checkpoints(trial_id: int) -> list[KeptFile]:
    """All that a trial can go on from, that of the newest attempt first, the latest first."""
    rows = Artifact.objects.filter(trial_id=trial_id, kind__in=OF_TRAINING)
    return [kept(row) for row in rows.order_by("-attempt", "-pk")]


@dataclass(frozen=True, slots=True)
class LoggedMedia:
    """The newest files that a program logged under one name, of all `total`, by their steps."""

    name: str
    kind: str
    files: tuple[KeptFile, ...]
    total: int

    @property
    def newest(self) -> KeptFile:
        return self.files[-1]


def media_of(trial_id: int, wanted: PageOf = FIRST_PAGE) -> Page[LoggedMedia]:
    """Logged files by name, each with its newest `MOST_STEPS` steps. Three queries."""
    rows = Artifact.objects.filter(trial_id=trial_id, kind__in=LOGGED)
    names = rows.order_by("name", "kind").values_list("name", "kind").distinct()
    total = names.count()
    number, first, end = page_bounds(wanted, total)
    shown = list(names[first:end])
    newest = [F("step").desc(nulls_last=True), F("pk").desc()]
    alike = [F("name"), F("kind")]
    files = (
        rows.filter(name__in=[name for name, _ in shown])
        .annotate(place=Window(RowNumber(), partition_by=alike, order_by=newest))
        .annotate(alike=Window(Count("pk"), partition_by=alike))
        .filter(place__lte=MOST_STEPS)
        .order_by("-place")
    )
    groups: dict[tuple[str, str], list[KeptFile]] = {}
    counts: dict[tuple[str, str], int] = {}
    for row in files:
        groups.setdefault((row.name, row.kind), []).append(kept(row))
        counts[row.name, row.kind] = row.alike
    media = [
        LoggedMedia(*named, tuple(groups[named]), counts[named])
        for named in shown
        if named in groups
    ]
    return Page(media, number, total, wanted.size)


def image_ids(trial_id: int) -> dict[str, int]:
    """The newest image of each name that a program logged to a trial, by name."""
    rows = Artifact.objects.filter(trial_id=trial_id, kind__in=LOGGED)
    named = rows.order_by("pk").values_list("name", "pk")
    return {name: pk for name, pk in named if name.lower().endswith(IMAGES)}


def images_in(experiment_id: int, names: Sequence[str] = ()) -> dict[str, tuple[str, int]]:
    """Trial and id of images that programs logged to an experiment, by `TRIAL/NAME`.

    `names`: those wanted; without any the newest ones. Two queries.
    """
    studies = Study.objects.filter(experiment_id=experiment_id, kind=StudyKind.SEARCH)
    arms = studies.count()
    rows = Artifact.objects.filter(trial__study__experiment_id=experiment_id, kind__in=LOGGED)
    if names:
        rows = rows.filter(name__in=[name.partition("/")[2] for name in names])
    ends = Q()
    for end in IMAGES:
        ends |= Q(name__iendswith=end)
    columns = ("pk", "name", "trial__number", "trial__study__arm_index", "trial__study_id")
    newest = rows.filter(ends).order_by("-pk").values_list(*columns, "trial__study__kind")
    found: dict[str, tuple[str, int]] = {}
    for pk, name, number, arm, study, kind in newest if names else newest[:MOST_IMAGES]:
        trial = other_trial_name(study, number)
        if kind == StudyKind.SEARCH:
            trial = trial_name(number, arm=arm, arms=arms)
        found.setdefault(f"{trial}/{name}", (trial, pk))
    return {name: found[name] for name in names if name in found} if names else found


def logged_files(trial_id: int, *, prefix: str = "") -> list[KeptFile]:
    """Files that programs logged, by name and step."""
    rows = Artifact.objects.filter(trial_id=trial_id, kind__in=LOGGED, name__startswith=prefix)
    # SQLite finds a prefix whatever its case.
    found = [row for row in rows.order_by("name", "step", "pk") if row.name.startswith(prefix)]
    return [kept(row) for row in found]


def logged_file(trial_id: int, name: str) -> KeptFile | None:
    """The newest logged file of a name."""
    rows = Artifact.objects.filter(trial_id=trial_id, kind__in=LOGGED, name=name)
    found = rows.order_by("-pk").first()
    return kept(found) if found else None


def content(file: KeptFile, start: int = 0) -> Iterator[bytes]:
    """The bytes of a file in blocks, from `start` on; read from the beginning, the last block
    comes only when the checksum of all is right.

    Raises:
        OSError: when the store has not got it, or other bytes than were recorded.
    """
    parts = storage().read(file.path, start)
    return checked(parts, file.sha256) if start == 0 else parts


def room(trial_id: int) -> int:
    """Largest file that a program may log to a trial, in bytes."""
    project = Study.objects.filter(trials=trial_id).values_list("project_id", flat=True).first()
    return min(left_in(project), largest_file()) if project is not None else 0


def left_in(project_id: int) -> int:
    """Bytes that programs may still log in a project."""
    rows = Artifact.objects.filter(trial__study__project_id=project_id, kind__in=LOGGED)
    used = rows.aggregate(bytes=Sum("size"))["bytes"] or 0
    return max(0, settings.PROJECT_FILES_GIGABYTES * 2**30 - used)


def largest_file() -> int:
    return int(settings.FILE_MEGABYTES) * 2**20


def file_of(experiment: AnyExperiment, trial: AnyTrial, file_id: int) -> KeptFile | None:
    """A file of this very trial."""
    row = Artifact.objects.filter(
        pk=file_id, trial=trial.pk, trial__study__experiment=experiment.pk
    ).first()
    return kept(row) if row else None


def kept(row: Artifact) -> KeptFile:
    return KeptFile(
        id=row.pk,
        trial_id=row.trial_id,
        kind=row.kind,
        name=row.name,
        path=row.path,
        size=row.size,
        sha256=row.sha256,
        step=row.step,
        attempt=row.attempt or 0,
        value=row.value,
    )
