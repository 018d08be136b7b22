"""Names, tags and notes that people give runs, and archiving: results never change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from experiments.errors import Conflict, NotFound, Problem, VerdictError
from experiments.models import Trial
from experiments.models import trial_encoding as encoding
from experiments.models.project import Role
from experiments.models.trial import FINISHED
from experiments.team.queries.access import Access
from experiments.trials.table.queries.filtered_trials import NOTE
from experiments.trials.table.queries.run_facts import annotated_runs, annotation_text
from experiments.trials.table.queries.run_scope import shown_runs
from experiments.trials.table.run_tags import OWN, is_shown, read_tag_lines

LONGEST_TAG, LONGEST_VALUE, LONGEST_NAME, LONGEST_NOTE = 250, 500, 500, 20_000
MOST_TAGS = 500
NAME_TAG = "mlflow.runName"
PIECE = 500  # runs of one transaction
_Tags = dict[str, Any]


def tag(*, access: Access, run_ids: Sequence[int], name: str, value: str = "") -> int:
    """Give runs a tag, with a value or without; returns how many.

    Raises:
        NotAllowed: to someone who is no editor.
        VerdictError: for a name or a value that cannot be kept.
    """
    access.require(Role.EDITOR)
    name = _tag_name(name)
    value = _tag_value(value)
    return _write(access, run_ids, lambda tags: {**tags, name: value})


def untag(*, access: Access, run_ids: Sequence[int], name: str) -> int:
    """Take a tag from runs; returns how many were looked at.

    Raises:
        NotAllowed, VerdictError: as `tag`.
    """
    access.require(Role.EDITOR)
    name = _tag_name(name)
    return _write(
        access, run_ids, lambda tags: {key: value for key, value in tags.items() if key != name}
    )


def note(*, access: Access, run_ids: Sequence[int], text: str) -> int:
    """Write a note about each of some runs, in place of an earlier one; an empty one removes it.

    Raises:
        NotAllowed: to someone who is no editor.
        VerdictError: for a text that is too long.
    """
    access.require(Role.EDITOR)
    return _write(access, run_ids, _noted(text))


def rename(*, access: Access, run_id: int, name: str) -> int:
    """Give a run a name; an empty one removes it. Returns how many runs were named.

    Raises:
        NotAllowed: to someone who is no editor.
        VerdictError: for a name that is too long.
    """
    access.require(Role.EDITOR)
    name = _run_name(name)
    return _write(access, [run_id], _named(name), run_name=name)


def edit(*, access: Access, run_id: int, field: str, text: str, before: str) -> None:
    """Change the name, the note or the tags of a run, which read `before` when the edit began.

    Tags are lines (`run_tags`); those that MLflow's clients set by themselves stay.

    Raises:
        NotAllowed: to someone who is no editor.
        NotFound: for a run that the project does not have, or another field.
        VerdictError: for a text that cannot be kept.
        Conflict: when somebody else has changed it meanwhile.
    """
    access.require(Role.EDITOR)
    with transaction.atomic():
        rows = annotated_runs(access.project_id).filter(pk=run_id)
        row = rows.select_for_update(of=("self",), no_key=True).first()
        if row is None:
            raise NotFound(f"{access.slug} has no run {run_id}.")
        now = annotation_text(row, field)
        if now.split() != before.split():
            shown = f"“{now:.200}”" if now else "nothing"
            raise Conflict(
                f"Somebody changed it meanwhile to {shown}. Save again to replace that."
            )
        tags = encoding.decode(row.user_attributes)
        if field == "name":
            row.run_name = _run_name(text)
            tags = _named(row.run_name)(tags)
        else:
            tags = _noted(text)(tags) if field == "note" else _retagged(text, tags)
        row.user_attributes = encoding.encode(tags)
        row.save(update_fields=["user_attributes", "run_name"])


def _run_name(text: str) -> str:
    name = " ".join(text.split())
    if len(name) > LONGEST_NAME:
        _refuse("name", f"expected at most {LONGEST_NAME} characters")
    return name


def _named(name: str) -> Callable[[_Tags], _Tags]:
    """MLflow's clients read the name from a tag."""
    return lambda tags: {**tags, NAME_TAG: name} if NAME_TAG in tags else tags


def _noted(text: str) -> Callable[[_Tags], _Tags]:
    text = text.replace("\r\n", "\n").strip()
    if len(text) > LONGEST_NOTE:
        _refuse("note", f"expected at most {LONGEST_NOTE:,} characters")

    def change(tags: _Tags) -> _Tags:
        rest = {key: value for key, value in tags.items() if key != NOTE}
        return {**rest, NOTE: text} if text else rest

    return change


def _retagged(text: str, tags: _Tags) -> _Tags:
    """The tags that lines name, and those that people do not see."""
    found = {name: value for name, value in tags.items() if not is_shown(name)}
    lines = read_tag_lines(text, tags)
    if len(lines) > MOST_TAGS:
        _refuse("tags", f"expected at most {MOST_TAGS}, found {len(lines)}")
    for name, value in lines:
        if name in found:
            _refuse("tags", f"{name} appears twice")
        if name not in tags or tags[name] != value:
            name, value = _tag_name(name), _tag_value(value)
        found[name] = value
    return found


def archive(*, access: Access, run_ids: Sequence[int]) -> int:
    """Leave runs out of tables; they count as before. Returns how many.

    Raises:
        NotAllowed: to someone who is no editor.
        Conflict: when none of them has ended.
    """
    access.require(Role.EDITOR)
    rows = _rows(access, run_ids).filter(state__in=FINISHED)
    found = sum(
        rows.filter(pk__in=piece).update(archived_at=timezone.now()) for piece in _pieces(run_ids)
    )
    if not found and run_ids:
        raise Conflict("None of these runs has ended: cancel them first.")
    return found


def restore(*, access: Access, run_ids: Sequence[int]) -> int:
    """Show archived runs in tables again; returns how many.

    Raises:
        NotAllowed: to someone who is no editor.
    """
    access.require(Role.EDITOR)
    rows = _rows(access, run_ids)
    return sum(rows.filter(pk__in=piece).update(archived_at=None) for piece in _pieces(run_ids))


def _rows(access: Access, run_ids: Sequence[int]) -> QuerySet[Trial]:
    return shown_runs(access.project_id)


def _pieces(run_ids: Sequence[int]) -> list[Sequence[int]]:
    return [run_ids[start : start + PIECE] for start in range(0, len(run_ids), PIECE)]


def _write(
    access: Access,
    run_ids: Sequence[int],
    change: Callable[[_Tags], _Tags],
    **more: Any,
) -> int:
    """Change the tags of runs of the project, each under its lock; returns how many there are."""
    found = 0
    for piece in _pieces(run_ids):
        with transaction.atomic():
            rows = (
                _rows(access, run_ids)
                .filter(pk__in=piece)
                .select_for_update(of=("self",), no_key=True)
                .only("user_attributes", "run_name")
                .order_by("pk")
            )
            locked = list(rows)
            for row in locked:
                tags = change(encoding.decode(row.user_attributes))
                row.user_attributes = encoding.encode(tags)
                for name, value in more.items():
                    setattr(row, name, value)
            Trial.objects.bulk_update(locked, ["user_attributes", *more])
            found += len(locked)
    return found


def _tag_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_TAG:
        _refuse("tag", f"expected 1 to {LONGEST_TAG} characters")
    if not is_shown(name):
        _refuse("tag", f"{OWN} is kept for MLflow's clients: choose another name")
    return name


def _tag_value(value: str) -> str:
    if len(value) > LONGEST_VALUE:
        _refuse("value", f"expected at most {LONGEST_VALUE} characters")
    return value.strip()


def _refuse(field: str, reason: str) -> None:
    raise VerdictError("This cannot be kept.", [Problem(field, reason)])
