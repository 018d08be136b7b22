"""A decision, or the evidence before one, as Markdown."""

from __future__ import annotations

from experiments.decisions.queries.decisions import DecisionRecord
from experiments.design.queries.records import ExperimentRecord
from experiments.team.queries.access import Access
from experiments.verdict.panels.evidence_view import EvidencePage
from experiments.web.formatting import moment, score, signed


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
    if second := decision.confirmation:
        lines += [f"## Confirmed by {second.by}", "", second.reason, ""]
    lines += _verdict(page)
    if decision.override:
        lines += [f"**Decided {decision.override}.**", ""]
    lines += _rest(page)
    lines += ["## Record", "", f"- previous hash `{decision.previous_hash}`"]
    lines += [f"- hash `{decision.hash}`", ""]
    return "\n".join(lines)


def open_markdown(
    experiment: ExperimentRecord, page: EvidencePage, access: Access, *, waiting: str
) -> str:
    """The Decide page before anybody has decided; between looks only the seeds."""
    lines = [f"# {access.name}, {experiment.name}: adopt?", ""]
    if page.document.get("goal"):
        lines += [f"> {page.document['goal']}", ""]
    lines += [waiting, ""] if waiting else _verdict(page)
    return "\n".join([*lines, *_rest(page)])


def _verdict(page: EvidencePage) -> list[str]:
    verdict = page.verdict
    if not verdict:
        return ["Decided without fresh seeds: there is no verdict.", ""]
    outcome = page.outcome
    title = f"The evidence says {outcome}" if outcome else "There is no verdict"
    if outcome == "undecided":
        title = "The evidence does not decide"
    lines = [f"## {title}", "", str(verdict.get("sentence") or verdict.get("reason") or ""), ""]
    lines += [f"- {note}" for note in verdict.get("notes", [])]
    if page.look_words:
        lines.append(f"- {page.look_words}; interval shown: {verdict.get('interval_name')}")
    lines += [f"- {note}" for note in (page.luck, page.best_note) if note]
    return [*lines, ""]


def _rest(page: EvidencePage) -> list[str]:
    lines = _tables(page)
    if page.varied or page.bounds:
        lines += ["## Bounds of this conclusion", ""]
        lines += [f"- varied by the search: {page.varied}"] if page.varied else []
        lines += [f"- holds for {page.bounds}: those were fixed"] if page.bounds else []
        lines.append("")
    return lines + _findings(page)


def _tables(page: EvidencePage) -> list[str]:
    lines: list[str] = []
    if page.changes:
        lines += [
            "## What changes",
            "",
            "| hyperparameter | baseline | candidate |",
            "|---|---|---|",
        ]
        lines += [
            f"| {change.name} | {change.before} | {change.after} |" for change in page.changes
        ]
        lines.append("")
    if page.pairs:
        lines += [
            "## Pairs",
            "",
            "| pair | training seed | split seed | candidate | baseline | gain |",
        ]
        lines.append("|---|---|---|---|---|---|")
        for row in page.pairs:
            both = (row.train_seed, row.split_seed)
            seeds = ("\N{EN DASH}" if seed is None else str(seed) for seed in both)
            lines.append(
                f"| {row.pair} | {' | '.join(seeds)} | {score(row.candidate)} "
                f"| {score(row.baseline)} | {signed(row.gain)} |"
            )
        lines.append("")
    lines += _guards(page)
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


def _guards(page: EvidencePage) -> list[str]:
    if not page.guards:
        return []
    lines = [
        f"- {guard.name}: {guard.value}, {guard.limit}: {guard.status}"
        f"{f' ({guard.note})' if guard.note else ''}"
        for guard in page.guards
    ]
    return ["## Guard metrics", "", *lines, ""]


def _findings(page: EvidencePage) -> list[str]:
    lines: list[str] = []
    for key, title in (("open_findings", "Open findings"), ("dismissed_findings", "Dismissed")):
        found = page.document.get(key) or []
        if found:
            lines += [f"## {title}", ""]
            for finding in found:
                reason = finding.get("dismiss_reason")
                lines.append(f"- {finding['title']}{f': {reason}' if reason else ''}")
            lines.append("")
    passed = page.document.get("passed_checks") or []
    if passed:
        lines += ["## Passed checks", "", *(f"- {title}" for title in passed), ""]
    return lines
