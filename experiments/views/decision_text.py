"""A decision as Markdown."""

from __future__ import annotations

from experiments.queries.access import Access
from experiments.queries.decisions import DecisionRecord
from experiments.templatetags.figures import moment, score, signed
from experiments.views.evidence_view import EvidencePage


def decision_markdown(decision: DecisionRecord, page: EvidencePage, access: Access) -> str:
    """Everything the page of a decision says, as text."""
    document = page.document
    lines = [
        f"# {access.name}, decision {decision.sequence}: {decision.choice}",
        "",
        f"{decision.decided_by}, {moment(decision.decided_at)}, for {decision.target}.",
    ]
    if decision.experiment:
        lines.append(f"Experiment: {decision.experiment}.")
    if document.get("goal"):
        lines += ["", f"> {document['goal']}"]
    lines += ["", "## Reason", "", decision.reason, ""]
    lines += _verdict(decision, page)
    lines += _tables(page)
    if page.bounds:
        lines += ["## Bounds of this conclusion", "", f"Holds for {page.bounds}.", ""]
    lines += _findings(page)
    lines += ["## Record", "", f"- previous hash `{decision.previous_hash}`"]
    lines += [f"- hash `{decision.hash}`", ""]
    return "\n".join(lines)


def _verdict(decision: DecisionRecord, page: EvidencePage) -> list[str]:
    verdict = page.verdict
    if not verdict:
        return ["Decided without fresh seeds: there is no verdict.", ""]
    lines = [f"## The evidence says {verdict.get('outcome')}", ""]
    lines.append(str(verdict.get("sentence") or verdict.get("reason") or ""))
    lines += [f"- {note}" for note in verdict.get("notes", [])]
    if decision.overrides_verdict:
        lines += ["", "**This decision goes against the verdict.**"]
    return [*lines, ""]


def _tables(page: EvidencePage) -> list[str]:
    lines: list[str] = []
    if page.changes:
        lines += [
            "## What changes",
            "",
            "| hyperparameter | baseline | candidate |",
            "|---|---|---|",
        ]
        lines += [f"| {each.name} | {each.before} | {each.after} |" for each in page.changes]
        lines.append("")
    if page.pairs:
        lines += [
            "## Pairs",
            "",
            "| pair | training seed | split seed | candidate | baseline | gain |",
        ]
        lines.append("|---|---|---|---|---|---|")
        for row in page.pairs:
            lines.append(
                f"| {row.pair} | {row.train_seed} | {row.split_seed} | {score(row.candidate)} "
                f"| {score(row.baseline)} | {signed(row.gain)} |"
            )
        lines.append("")
    for title, rows in (
        ("Where the spread comes from", page.sources),
        ("What it costs", page.costs),
        ("Test scores", page.test),
    ):
        if rows:
            lines += [f"## {title}", ""]
            lines += [
                f"- {row.name}: {row.value}{f' ({row.note})' if row.note else ''}" for row in rows
            ]
            lines.append("")
    return lines


def _findings(page: EvidencePage) -> list[str]:
    lines: list[str] = []
    for key, title in (("open_findings", "Open findings"), ("dismissed_findings", "Set aside")):
        found = page.document.get(key) or []
        if found:
            lines += [f"## {title}", ""]
            for each in found:
                reason = each.get("dismiss_reason")
                lines.append(f"- {each['title']}{f': {reason}' if reason else ''}")
            lines.append("")
    return lines
