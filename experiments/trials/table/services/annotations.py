"""Names, tags and notes that people give runs, and archiving: results never change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from experiments.errors import Conflict, Problem, VerdictError
from experiments.models import Trial
from experiments.models import trial_encoding as encoding
from experiments.models.project import Role
from experiments.models.trial import FINISHED
from experiments.team.queries.access import Access
from experiments.trials.table.queries.filtered_trials import NOTE
from experiments.trials.table.queries.run_scope import shown_runs

LONGEST_TAG, LONGEST_VALUE, LONGEST_NAME, LONGEST_NOTE = 250, 500, 500, 20_000
NAME_TAG = "mlflow.runName"
PIECE = 500  # runs of one transaction
_RESERVED = "mlflow."


def tag(*, access: Access, run_ids: Sequence[int], name: str, value: str = "") -> int:
    """Give runs a tag, with a value or without; returns how many.

    Raises:
        NotAllowed: to someone who is no editor.
        VerdictError: for a name or a value that cannot be kept.
    """
    access.require(Role.EDITOR)
    name = _tag_name(name)
    if len(value) > LONGEST_VALUE:
        _refuse("value", f"expected at most {LONGEST_VALUE} characters")
    return _write(access, run_ids, lambda tags: {**tags, name: value.strip()})


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
    if len(text) > LONGEST_NOTE:
        _refuse("note", f"expected at most {LONGEST_NOTE:,} characters")
    text = text.strip()

    def change(tags: dict[str, Any]) -> dict[str, Any]:
        rest = {key: value for key, value in tags.items() if key != NOTE}
        return {**rest, NOTE: text} if text else rest

    return _write(access, run_ids, change)


def rename(*, access: Access, run_id: int, name: str) -> int:
    """Give a run a name; an empty one removes it. Returns how many runs were named.

    Raises:
        NotAllowed: to someone who is no editor.
        VerdictError: for a name that is too long.
    """
    access.require(Role.EDITOR)
    name = " ".join(name.split())
    if len(name) > LONGEST_NAME:
        _refuse("name", f"expected at most {LONGEST_NAME} characters")

    def change(tags: dict[str, Any]) -> dict[str, Any]:
        # MLflow's clients read the name from a tag.
        return {**tags, NAME_TAG: name} if NAME_TAG in tags else tags

    return _write(access, [run_id], change, run_name=name)


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
    change: Callable[[dict[str, Any]], dict[str, Any]],
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
    if name.startswith(_RESERVED):
        _refuse("tag", f"{_RESERVED} is kept for MLflow's clients: choose another name")
    return name


def _refuse(field: str, reason: str) -> None:
    raise VerdictError("This cannot be kept.", [Problem(field, reason)])
