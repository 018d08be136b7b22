"""API of charts, comparisons of experiments, and power of schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from ninja import Router
from pydantic import Field, StringConstraints

from experiments.analysis.seeds.looks import plan
from experiments.design.queries.experiments import get_experiment
from experiments.errors import Problem, VerdictError
from experiments.team.api import auth
from experiments.trials.findings.queries.checklist import CheckRow, checklist
from experiments.trials.findings.queries.findings import findings_of_trial
from experiments.trials.panels.comparison import Comparison, compare
from experiments.trials.panels.curve_panel import curves_panel, onsets_of
from experiments.trials.panels.panel import Chart, Choice, Panel
from experiments.trials.panels.parts import read_parts
from experiments.trials.panels.search_charts import TABS, panel
from experiments.trials.series.queries.curves import named_trials
from experiments.trials.table.queries.trial_detail import get_trial
from experiments.verdict.evidence.evidence import evaluate
from experiments.verdict.evidence.planning import Planning, plan_ahead
from experiments.verdict.panels.evidence_view import evidence_page
from experiments.verdict.panels.path_context import PathContext, path_context
from experiments.verdict.panels.replication_forms import PowerForm
from experiments.verdict.queries.replication_state import get_replication
from experiments.web.api_schemas import answer, joined, schema_of
from experiments.web.requests import TokenRequest

router = Router(tags=["charts"])
_PLACE = "/{slug}/experiments/{name}"
Word = Annotated[str, StringConstraints(max_length=300)]
_CHART = schema_of(
    Chart,
    without="plot shape findings",
    label=Annotated[str, Field(description="what it shows, for who cannot see it")],
    figure=Annotated[
        dict[str, Any],
        Field(description="of Plotly; colours are variables such as `var(--accent)`"),
    ],
)
_PLANNING = schema_of(Planning, without="schedule", also="looks")
_CHECKLIST = answer("Checklist", summary=str, questions=[schema_of(CheckRow, also="words")])


@dataclass(frozen=True, slots=True)
class ChartTab:
    """Content of one tab of an experiment's charts, and what may be asked for instead."""

    tab: str
    charts: Sequence[Chart]
    note: str
    empty: str
    choices: Sequence[Choice]
    tabs: Sequence[str]
    metric: str
    metrics: Sequence[str]


_PANEL = schema_of(ChartTab, "Panel", charts=[_CHART])


@router.get(f"{_PLACE}/charts", response={200: _PANEL, **auth.READ_ERRORS})
def read_charts(
    request: TokenRequest,
    slug: str,
    name: str,
    tab: Word = "curves",
    metric: Word = "",
    trials: Word = "",
    across: Word = "",
    up: Word = "",
) -> ChartTab:
    """The charts of one tab of an experiment's page: curves, axes, isolation, importance,
    parallel, contour or history.

    `metric` and `trials` choose among curves, `across` and `up` the axes of a contour; the answer
    says what there is.
    """
    if tab not in TABS:
        raise VerdictError(
            "There is no such tab.", [Problem("tab", f"expected {', '.join(TABS)}")]
        )
    asked = {"tab": tab, "metric": metric, "trials": trials, "across": across, "up": up}
    return _panel(panel(_parts(request, slug, name), asked))


@router.get(_PLACE + "/trials/{trial}/charts", response={200: _PANEL, **auth.READ_ERRORS})
def read_trial_charts(
    request: TokenRequest, slug: str, name: str, trial: str, metric: Word = ""
) -> ChartTab:
    """The learning curves of one trial, with what the rules saw in them."""
    parts = _parts(request, slug, name)
    found = get_trial(parts.experiment, trial)
    drawn = named_trials([found], len(parts.arms))
    return _panel(
        curves_panel(parts, drawn, metric, onsets=onsets_of(findings_of_trial(found.pk)))
    )


@router.get(
    _PLACE + "/repetitions/{int:replication}/charts",
    response={200: answer("Figures", charts=[_CHART]), **auth.READ_ERRORS},
)
def read_replication_charts(
    request: TokenRequest, slug: str, name: str, replication: int
) -> dict[str, list[Chart]]:
    """Every seed of both sides, and the interval that decides, as the Decide page draws them."""
    access = auth.reading(request, slug)
    experiment = get_experiment(access, name)
    evidence = evaluate(get_replication(access, experiment, replication))
    page = evidence_page(evidence.document())
    drawn = (("seeds", "Scores of all seeds", page.seeds), ("interval", "Gain", page.interval))
    charts = [Chart(key, title, figure, title) for key, title, figure in drawn if figure]
    return {"charts": charts}


@router.get(
    "/{slug}/compare",
    response={200: schema_of(Comparison, also="same", charts=[_CHART]), **auth.READ_ERRORS},
)
def compare_experiments(
    request: TokenRequest, slug: str, a: Word = "", b: Word = ""
) -> Comparison:
    """Compare two experiments: what differs, and which finds more with equally many trials."""
    access = auth.reading(request, slug)
    if a == b:
        wrong = Problem("b", "expected another experiment than a")
        raise VerdictError("Two experiments are compared.", [wrong])
    first, second = (read_parts(access, get_experiment(access, name)) for name in (a, b))
    return compare(first, second)


@router.get(f"{_PLACE}/schedule", response={200: _PLANNING, **auth.READ_ERRORS})
def plan_schedule(
    request: TokenRequest,
    slug: str,
    name: str,
    looks: Word = "",
    margin: Word = "",
    candidates: Word = "",
) -> Planning:
    """Compute the power of a schedule of looks such as "10, 20, 30"; nothing is queued."""
    access = auth.reading(request, slug)
    experiment = get_experiment(access, name)
    form = PowerForm({"looks": looks, "margin": margin, "candidates": candidates})
    if not form.is_valid():
        wrong = [Problem(where, message) for where, message in form.reasons()]
        raise VerdictError("That is no schedule.", wrong)
    cleaned = form.cleaned_data
    return plan_ahead(
        experiment,
        plan(cleaned["looks"]),
        margin=experiment.margin if cleaned["margin"] is None else cleaned["margin"],
        candidates=cleaned["candidates"] or 1,
    )


@router.get(f"{_PLACE}/checklist", response={200: _CHECKLIST, **auth.READ_ERRORS})
def read_checklist(
    request: TokenRequest, slug: str, name: str
) -> dict[str, str | tuple[CheckRow, ...]]:
    """The playbook's questions, each passed, noticed, warned, dismissed or not checkable yet."""
    parts = _parts(request, slug, name)
    rows = checklist(parts.experiment, parts.findings)
    return {"summary": rows.summary, "questions": rows.rows}


def _parts(request: TokenRequest, slug: str, name: str) -> PathContext:
    access = auth.reading(request, slug)
    return path_context(access, get_experiment(access, name))


def _panel(shown: Panel) -> ChartTab:
    metrics = [group.key for group in shown.groups]
    return joined(ChartTab, shown, tabs=list(TABS), metric=shown.group, metrics=metrics)
