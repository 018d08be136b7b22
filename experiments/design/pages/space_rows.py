"""The form's rows and the file's text, each following the other: the server is the one parser."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST

from experiments.design.document import experiment_file, experiment_yaml
from experiments.design.document.experiment_yaml import LONGEST
from experiments.design.document.file_fields import is_unfinished
from experiments.design.document.objective_source import DeclaredHyperparameter
from experiments.design.queries.offers import offer_of
from experiments.design.review.design_review import taken_name
from experiments.design.yaml_editing.file_edits import HEAD, edited, head_of
from experiments.design.yaml_editing.space_rows import (
    conditions_of,
    problems_of_rows,
    rows_of,
    space_of,
)
from experiments.design.yaml_editing.yaml_editing import compose
from experiments.errors import InvalidExperiment, Problem, VerdictError
from experiments.team.pages.access import in_project
from experiments.team.queries.access import Access

_HEAD_CELLS = {".".join(path): cell for cell, (path, _) in HEAD.items()}


@require_POST
@in_project
def edit_experiment(request: HttpRequest, access: Access) -> JsonResponse:
    """The file after one edit of a row, with its rows and what is wrong in them; writes nothing.

    A refused edit answers with the file as it was, `refused` and the cell it belongs to.
    """
    text = request.POST.get("text", "")[: LONGEST + 1].replace("\r\n", "\n")
    refused: dict[str, Any] = {}
    try:
        edit = _edit(request)
        text = edited(text, _with_default(text, edit) if edit.get("do") == "add" else edit)
    except InvalidExperiment as error:
        wrong = [
            {"where": problem.where, "message": problem.message} for problem in error.problems
        ]
        return JsonResponse({"error": error.message, "problems": wrong}, status=400)
    except VerdictError as error:
        cells = [{"cell": problem.where, "message": problem.message} for problem in error.problems]
        refused = {"refused": error.message, "refused_cells": cells}
    return JsonResponse({**state_of_form(access, text), **refused})


def _with_default(text: str, edit: dict[str, Any]) -> dict[str, Any]:
    """The edit that adds a hyperparameter which the objective declares, with its default."""
    name = edit.get("name")
    added: dict[str, Any] = {"do": "add"}
    for parameter in _declared(head_of(compose(text))["objective"]) if name else ():
        if parameter.name == name:
            added["name"] = name
            if parameter.has_default:
                added["default"] = parameter.default
    return added


def _declared(objective: str) -> tuple[DeclaredHyperparameter, ...]:
    offer = offer_of(objective.strip())
    return offer.hyperparameters if offer else ()


def state_of_form(access: Access, text: str) -> dict[str, Any]:
    """Content of the form for a text: `unreadable` says why there are no rows."""
    wrong: list[Problem] = []
    document = experiment_yaml.load(text, wrong)
    if wrong:
        return {"text": text, "unreadable": str(wrong[0])}
    root = compose(text)
    rows = rows_of(text, space_of(root))
    problems = _problems(document)
    head = head_of(root)
    return {
        "text": text,
        "rows": [row.as_dict() for row in rows],
        "head": head,
        "conditions": conditions_of(rows),
        "declared": [
            parameter.name
            for parameter in _declared(head["objective"])
            if parameter.name not in {row.name for row in rows}
        ],
        "problems": problems_of_rows(rows, problems),
        "head_problems": [
            {
                "cell": _HEAD_CELLS[problem.where],
                "message": problem.message,
                "unfinished": is_unfinished(problem),
            }
            for problem in (*problems, *taken_name(access, head["experiment"].strip()))
            if problem.where in _HEAD_CELLS
        ],
    }


def _problems(document: Any) -> tuple[Problem, ...]:
    try:
        experiment_file.parse_document(document)
    except InvalidExperiment as error:
        return error.problems
    return ()


def _edit(request: HttpRequest) -> dict[str, Any]:
    try:
        edit = json.loads(request.POST.get("edit") or "{}")
    except ValueError:
        edit = None
    if not isinstance(edit, dict):
        raise InvalidExperiment(
            "The edit is no JSON mapping.", [Problem("edit", "expected a mapping")]
        )
    return edit
