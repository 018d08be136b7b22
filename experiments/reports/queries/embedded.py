"""Charts and tables that a report embeds, read by the address of their page.

The same record stands on the live report, in a frozen copy and behind a shared link. It holds no
test score, sealed or open: reports leave the project.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from experiments.charts.learning_curves import LearningCurves
from experiments.charts.theme import Figure, Plot
from experiments.decisions.queries.decisions import find_decision
from experiments.design.metrics import declared_metrics, scores_on_test
from experiments.design.queries.experiments import find_experiment
from experiments.design.trial_names import parse_trial_name
from experiments.errors import NotFound
from experiments.reports.curve_settings import AddressedCurves
from experiments.reports.queries.embedded_tables import (
    Table,
    draws_test,
    runs_table,
    searches_tables,
    sections_table,
)
from experiments.reports.report_text import MOST_EMBEDDED, Address, PageAddress, page_of
from experiments.team.queries.access import Access
from experiments.trials.panels import study_panels
from experiments.trials.panels.comparison import compare
from experiments.trials.panels.curve_panel import curves_panel
from experiments.trials.panels.panel import Panel, with_legend
from experiments.trials.panels.parts import SealedParts, sealed_parts
from experiments.trials.panels.run_charts import RunPanel, run_charts
from experiments.trials.panels.run_comparison import Comparing
from experiments.trials.panels.search_charts import TABS, panel
from experiments.trials.panels.space_panels import HOW_TO_BRUSH
from experiments.trials.series.queries.curves import named_trials
from experiments.trials.table.queries.free_studies import find_study
from experiments.trials.table.queries.run_scope import scope_of
from experiments.trials.table.queries.trial_detail import detail_of, find_trial
from experiments.verdict.panels.evidence_view import EvidencePage, evidence_page
from experiments.verdict.queries.chain_check import log_problems
from experiments.web.formatting import counted, moment, number, score

SEALED = "Its official metric is a test score: reports show none."
_ELSEWHERE = "This address is of another project. A report embeds pages of its own project."
_UNKNOWN = "No experiment, trial, runs table, comparison, study or decision is at this address."


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure as it is drawn; to who does not see it `label` says what it is, `words` what it
    shows.
    """

    title: str
    figure: Figure
    label: str
    shape: str = ""
    note: str = ""
    words: str = ""  # of copies frozen by earlier versions unknown


@dataclass(frozen=True, slots=True)
class Embedded:
    """Content in place of an address; `problem` says why there is none. `state` is of an
    experiment or a trial, `choice` of a decision.
    """

    address: str
    title: str = ""
    state: str = ""
    choice: str = ""
    facts: Sequence[tuple[str, str]] = ()
    sentences: Sequence[str] = ()
    drawings: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()
    note: str = ""
    problem: str = ""


def embeddable(access: Access, address: str) -> PageAddress | Embedded:
    """The page at an address, or why a report of this project does not embed it. No query."""
    page = page_of(address, access.slug)
    if page is None or page.view not in _READERS:
        return Embedded(address, problem=_UNKNOWN)
    return page if page.slug == access.slug else Embedded(address, problem=_ELSEWHERE)


def embedded(access: Access, address: str) -> Embedded:
    """The page at an address as a report of this project shows it, to one of its members."""
    page = embeddable(access, address)
    if isinstance(page, Embedded):
        return page
    try:
        found = _READERS[page.view](access, page)
    except NotFound as error:
        return Embedded(address, problem=error.message)
    return replace(found, address=page.path)


def too_much(address: Address) -> Embedded | None:
    """The sentence in place of an address beyond those that a report shows."""
    if address.place < MOST_EMBEDDED:
        return None
    problem = f"A report shows {MOST_EMBEDDED} addresses; this is one more."
    return Embedded(address.text, problem=problem)


def _experiment(access: Access, page: PageAddress) -> Embedded:
    parts = _parts(access, page)
    if parts is None:
        return Embedded("", problem=SEALED)
    experiment, asked = parts.experiment, page.asked
    title = f"{experiment.name}: {TABS.get(asked.get('tab', ''), TABS['curves'])}"
    if page.fragment == "trials":
        return _table_of(access, page, [experiment.name], experiment.name)
    facts = [("trials", f"{experiment.trial_count} of {experiment.budget}")]
    if experiment.official_metric:
        best = f"best {experiment.official_metric}"
        facts.insert(0, (best, score(experiment.best_value)))
    return _drawn(
        Embedded("", title, state=experiment.state, facts=facts, sentences=[experiment.goal]),
        panel(parts, asked),
        page,
    )


def _trial(access: Access, page: PageAddress) -> Embedded:
    parts = _parts(access, page)
    if parts is None:
        return Embedded("", problem=SEALED)
    called = parse_trial_name(str(page.parts["trial"]))
    found = find_trial(parts.experiment, called) if called else None
    if found is None:
        raise NotFound(f"{parts.experiment.name} has no trial {page.parts['trial']}.")
    detail = detail_of(found.pk, len(parts.arms))
    facts = [(str(row.name), number(row.value)) for row in detail.searched]
    if parts.experiment.official_metric:
        at = "" if detail.score_step is None else f" at step {number(detail.score_step)}"
        facts.insert(0, (parts.experiment.official_metric, f"{score(detail.score)}{at}"))
    shown = curves_panel(
        parts, named_trials([found], len(parts.arms)), page.query.get("metric", ""), onsets=()
    )
    title = f"Trial {detail.name} of {parts.experiment.name}"
    return _drawn(Embedded("", title, state=detail.state, facts=facts), shown, page)


def _parts(access: Access, page: PageAddress) -> SealedParts | None:
    """Parts of the experiment of an address; None where its scores are test scores."""
    return _parts_of(access, str(page.parts["name"]))


def _parts_of(access: Access, name: str) -> SealedParts | None:
    experiment = find_experiment(access, name)
    if experiment is None:
        raise NotFound(f"{access.slug} has no experiment {name}.")
    return sealed_parts(access, experiment)


def _runs(access: Access, page: PageAddress) -> Embedded:
    names = list(dict.fromkeys(filter(None, page.query.getlist("experiments"))))
    title = "Runs of " + ", ".join(names) if names else "Runs"
    if page.fragment == "trials":
        return _table_of(access, page, names, title)
    table = _table_of(access, page, names, title)
    if table.problem:
        return table
    scope = scope_of(access, names)
    charts = run_charts(scope, page.query)
    shown = [chart for chart in charts.charts if not draws_test(access, scope, chart.what)]
    return replace(
        _drawn(Embedded("", title), replace(charts, charts=shown), page), tables=table.tables
    )


def _table_of(access: Access, page: PageAddress, names: list[str], title: str) -> Embedded:
    table = runs_table(access, page.query, names)
    if isinstance(table, str):
        return Embedded("", title, problem=table)
    return Embedded("", title, tables=[table])


def _compare(access: Access, page: PageAddress) -> Embedded:
    if "a" in page.query or "b" in page.query:
        return _searches(access, page)
    comparing = Comparing(access, page.query)
    compared = comparing.comparison()
    if not compared.runs:
        return Embedded("", problem="This comparison holds no run.")
    if any(
        scores_on_test(experiment.official_metric, experiment.metrics)
        for experiment in comparing.scope.experiments
    ):
        return Embedded("", problem=SEALED)
    title = "Comparison of " + counted(len(compared.runs), "run,runs")
    charts = comparing.charts()
    # No table's swatches name the runs here.
    shown_charts = [
        chart for chart in charts.charts if not draws_test(access, comparing.scope, chart.what)
    ]
    named = [with_legend(chart, place == 0) for place, chart in enumerate(shown_charts)]
    found = Embedded("", title, sentences=list(compared.problems))
    shown = _drawn(found, replace(charts, charts=named), page)
    return replace(shown, tables=[sections_table(compared, comparing.scope.declared)])


def _searches(access: Access, page: PageAddress) -> Embedded:
    """Two experiments: what would make the comparison unfair, the best of equally many trials."""
    names = [page.query.get(key, "") for key in ("a", "b")]
    if not all(names) or names[0] == names[1]:
        return Embedded("", problem="A comparison of searches names two experiments, as a and b.")
    first, second = (_parts_of(access, name) for name in names)
    if first is None or second is None:
        return Embedded("", problem=SEALED)
    compared = compare(first, second)
    cautions = [f"{caution.title}: {caution.detail}" for caution in compared.cautions]
    found = Embedded(
        "",
        f"{names[0]} and {names[1]}",
        sentences=[*filter(None, [compared.summary]), *cautions],
        tables=searches_tables(first.experiment, second.experiment, compared.space),
    )
    return _drawn(found, Panel("searches", compared.charts), page)


def _study(access: Access, page: PageAddress) -> Embedded:
    study = find_study(access, int(str(page.parts["study"])))
    if study is None:
        raise NotFound(f"{access.slug} has no such study.")
    if any(scores_on_test(objective.name, {}) for objective in study.objectives):
        return Embedded("", problem=SEALED)
    place = page.query.get("objective", "")
    view = study_panels.view_of(
        study, int(place) - 1 if place.isdecimal() and len(place) < 6 else 0
    )
    tab = study_panels.TABS.get(page.query.get("tab", ""), study_panels.TABS["history"])
    facts = [("trials", str(study.trials)), ("objective", view.objective.name)]
    shown = study_panels.panel(view, page.asked)
    return _drawn(Embedded("", f"{study.name}: {tab}", facts=facts), shown, page)


def _decision(access: Access, page: PageAddress) -> Embedded:
    sequence = int(str(page.parts["sequence"]))
    decision = find_decision(access, sequence)
    if decision is None:
        raise NotFound(f"{access.slug} has no decision {sequence}.")
    if log_problems(access) or decision.problems:
        return Embedded("", problem="The decision log was altered: see its page.")
    metric = str(decision.evidence.get("metric") or "")
    experiment = find_experiment(access, decision.experiment) if decision.experiment else None
    if scores_on_test(metric, declared_metrics(experiment.document) if experiment else {}):
        return Embedded("", problem=SEALED)
    evidence = evidence_page({k: v for k, v in decision.evidence.items() if k != "test"})
    about = f": {decision.experiment}" if decision.experiment else ""
    facts = [
        ("decided by", decision.decided_by),
        ("on", str(moment(decision.decided_at))),
        ("for", decision.target),
    ]
    facts += [("evidence", evidence.look_words)] if evidence.look_words else []
    verdict = evidence.verdict.get("sentence") or evidence.verdict.get("reason")
    return Embedded(
        "",
        f"Decision {sequence}{about}",
        choice=decision.choice,
        facts=facts,
        sentences=[str(verdict)] * bool(verdict) + [f"Reason: {decision.reason}"],
        drawings=_evidence_drawings(evidence),
        tables=_changes(evidence),
    )


def _drawing(title: str, plot: Plot, label: str, shape: str = "", note: str = "") -> Drawing:
    return Drawing(title, plot.figure(), label, shape, note, plot.words())


def _evidence_drawings(evidence: EvidencePage) -> list[Drawing]:
    drawings = []
    if evidence.seeds:
        label = "Score of every seed, candidate and baseline"
        note = "Diamond: mean; bar: one standard deviation either way."
        drawings.append(_drawing("Seeds", evidence.seeds, label, "seeds", note))
    if evidence.interval:
        label = "Gain with its interval against the margin"
        drawings.append(_drawing("Gain", evidence.interval, label, "interval"))
    return drawings


def _changes(evidence: EvidencePage) -> list[Table]:
    if not evidence.changes:
        return []
    rows = [
        (change.name, number(change.before), number(change.after)) for change in evidence.changes
    ]
    heads = ("hyperparameter", "baseline", "candidate")
    return [Table("What changes", heads, rows, numbers=(1, 2))]


def _drawn(found: Embedded, shown: Panel, page: PageAddress) -> Embedded:
    """With the charts of a panel."""
    drawings = [
        _drawing(
            chart.title,
            AddressedCurves(chart.plot, page.asked, log_y=shown.log_y)
            if isinstance(chart.plot, LearningCurves)
            else chart.plot,
            chart.label,
            "" if isinstance(chart, RunPanel) else chart.shape,
            chart.note.removesuffix(HOW_TO_BRUSH).strip(),
        )
        for chart in shown.charts
        if chart.plot is not None
    ]
    empty = [chart.empty for chart in shown.charts if isinstance(chart, RunPanel) and chart.empty]
    note = " ".join(filter(None, (shown.empty or shown.note, *empty)))
    return replace(found, drawings=drawings, note=note)


_READERS: Mapping[str, Callable[[Access, PageAddress], Embedded]] = {
    "experiment": _experiment,
    "trial": _trial,
    "runs": _runs,
    "compare": _compare,
    "study": _study,
    "decision": _decision,
}
