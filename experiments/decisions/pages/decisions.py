"""The log of decisions, and one decision with its evidence as it was."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from experiments.decisions.pages.decision_text import decision_markdown
from experiments.decisions.queries.champion import exported
from experiments.decisions.queries.decisions import (
    CHOICES,
    every_decision,
    find_decision,
    list_decisions,
)
from experiments.decisions.queries.proposals import listed_proposals
from experiments.decisions.queries.shared_links import working_links
from experiments.team.pages.access import in_project, required, whole_number
from experiments.team.queries.access import Access, project_record
from experiments.verdict.panels.evidence_view import evidence_page
from experiments.verdict.queries.chain_check import broken_log, log_problems
from experiments.web.spreadsheet import inert
from experiments.web.streaming import download

COLUMNS = (
    *("sequence", "choice", "target", "experiment", "verdict", "override", "gain"),
    *("by", "at", "reason", "confirmed_by", "confirmation"),
)


@require_safe
@in_project
def decisions_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Log of decisions: what changed, when, by whom, and why."""
    choice, text = request.GET.get("choice", ""), request.GET.get("q", "").strip()[:200]
    target = request.GET.get("target", "").replace("\x00", "")[:60]
    page = list_decisions(
        access,
        choice=choice,
        target=target,
        text=text.replace("\x00", ""),
        page=whole_number(request.GET.get("page")),
    )
    context = {
        "project": access,
        "section": "decisions",
        "page": page,
        "choices": CHOICES,
        "choice": choice,
        "targets": access.targets,
        "target": target,
        "text": text,
        "proposals": listed_proposals(access),
        "log_problems": log_problems(access),
    }
    return _answered(request, "decisions/list.html", context)


@require_safe
@in_project
def decision_page(request: HttpRequest, access: Access, sequence: int) -> HttpResponse:
    """One decision with the evidence that was frozen into it."""
    decision = required(find_decision(access, sequence))
    context = {
        "project": access,
        "section": "decisions",
        "decision": decision,
        "evidence": evidence_page(decision.evidence),
        "log_problems": log_problems(access) or decision.problems,
        "links": working_links(access, sequence=sequence),
    }
    return _answered(request, "decisions/decision.html", context)


def _answered(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """The page; 409 when what it shows was altered."""
    status = 409 if context["log_problems"] else 200
    return render(request, template, context, status=status)


@require_safe
@in_project
def decision_file(request: HttpRequest, access: Access, sequence: int) -> HttpResponse:
    """The same as Markdown, to download."""
    decision = required(find_decision(access, sequence))
    if problems := log_problems(access) or decision.problems:
        return _refused(access, problems)
    text = decision_markdown(decision, evidence_page(decision.evidence), access)
    answer = HttpResponse(text, content_type="text/markdown; charset=utf-8")
    name = f"{access.slug}-decision-{sequence}.md"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@require_safe
@in_project
def decisions_csv(request: HttpRequest, access: Access) -> HttpResponse:
    """The whole log as a table."""
    if problems := log_problems(access, cached=False):
        return _refused(access, problems)
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{access.slug}-decisions.csv"'
    table = csv.writer(answer)
    table.writerow(COLUMNS)
    for row in every_decision(access):
        cells = [row.sequence, row.choice, row.target, row.experiment, row.verdict]
        cells += [
            row.override,
            row.gain,
            row.decided_by,
            row.decided_at.isoformat(),
            row.reason,
        ]
        second = row.confirmation
        cells += [second.by if second else "", second.reason if second else ""]
        table.writerow([inert(cell) if isinstance(cell, str) else cell for cell in cells])
    return answer


@require_safe
@in_project
def decisions_jsonl(request: HttpRequest, access: Access) -> HttpResponseBase:
    """The whole log with its evidence, a JSON object a line, oldest first, streamed."""
    if problems := log_problems(access, cached=False):
        return _refused(access, problems)
    return download(
        (f"{line}\n".encode() for line in exported(project_record(access))),
        content_type="application/jsonl; charset=utf-8",
        filename=f"{access.slug}-decisions.jsonl",
    )


def _refused(access: Access, problems: Sequence[str]) -> HttpResponse:
    """No file of a log that was altered."""
    message = broken_log(access.slug, problems).message
    return HttpResponse(f"{message}\n", status=409, content_type="text/plain; charset=utf-8")
