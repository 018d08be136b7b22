"""Panels beside a runs table: the layout of an address and of a saved view."""

from __future__ import annotations

import html
import json
import math
import re
import statistics
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import Experiment, Project, RunsView, Trial
from experiments.models.trial_encoding import decode, encode
from experiments.trials.table.queries import run_points
from tests import cast

pytestmark = pytest.mark.django_db
PAGE = "/projects/digits/runs/"
CHARTS = f"{PAGE}charts/"


@pytest.fixture
def experiment() -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=6)


def client(who: str = "ben") -> Client:
    found = Client()
    found.force_login(cast.person(who))
    return found


def charts(*panels: str, who: str = "ben", **more: str) -> str:
    response = client(who).get(CHARTS, {"panel": list(panels), **more})
    assert response.status_code == 200, response
    return html.unescape(response.content.decode())


def laid_out(page: str) -> list[tuple[str, str, str]]:
    """Kind and keys, width, height of each panel."""
    return re.findall(r'data-panel-what="(.*?)" data-width="(\d)" data-height="(\d)"', page)


def figures(page: str) -> list[dict[str, Any]]:
    found = re.findall(r'id="figure-runs-\w+">(.*?)</script>', page, re.S)
    return [json.loads(text) for text in found]


def test_panels_stand_in_the_order_and_the_sizes_of_the_address(experiment: Experiment) -> None:
    page = charts("curves:loss@2x3", "curves:accuracy", "curves:nothing")
    assert laid_out(page) == [
        ("curves:loss", "2", "3"),
        ("curves:accuracy", "1", "1"),
        ("curves:nothing", "1", "1"),
    ]
    assert len(figures(page)) == 2
    assert "No run drawn here logged nothing." in page


def test_a_run_has_one_colour_in_all_panels(experiment: Experiment) -> None:
    first, second = figures(charts("curves:accuracy", "curves:train_loss,accuracy"))
    hues = {
        trace["meta"]["trial"]: trace["line"]["color"]
        for trace in first["data"]
        if "line" in trace
    }
    assert len(hues) == 10
    for trace in second["data"]:
        if "line" in trace:
            assert trace["line"]["color"] == hues[trace["meta"]["trial"]]
    assert {trace["meta"].get("series") for trace in second["data"]} >= {
        "train_loss",
        "validation_accuracy",
    }


def test_a_layout_that_cannot_be_read_is_told_beside_the_rest(experiment: Experiment) -> None:
    page = charts("pie:loss", "curves:loss", "scatter:<b>")
    assert "The panel 'pie:loss' is none of curves" in page
    assert [what for what, *_ in laid_out(page)] == ["curves:loss"]


def test_a_page_may_have_no_panels(experiment: Experiment) -> None:
    assert "No panels. Add one above." in charts("none")
    assert len(laid_out(charts())) == 4, "the usual ones"


def save(query: str, who: str = "cleo", **fields: str) -> str:
    made = client(who).post(
        f"{PAGE}views/", {"name": "Mine", "query": query, **fields}, follow=True
    )
    assert made.status_code == 200
    return " ".join(str(message) for message in made.context["messages"])


def test_a_saved_view_holds_the_layout(experiment: Experiment) -> None:
    query = "panel=curves%3Aloss%402x1&panel=curves%3Aaccuracy"
    assert save(query, **{"for": "project"}) == "View saved."
    view = RunsView.objects.get()
    page = client("ben").get(f"{PAGE}?{view.query}").content.decode()
    assert laid_out(page) == [("curves:loss", "2", "1"), ("curves:accuracy", "1", "1")]


@pytest.mark.parametrize("panel", ["pie:loss", "curves:", "curves:loss@9", "curves:a%2500"])
def test_a_view_of_a_layout_that_cannot_be_drawn_is_refused(
    experiment: Experiment, panel: str
) -> None:
    assert "panel" in save(f"panel={panel}").casefold()
    assert not RunsView.objects.exists()


def test_nobody_lays_out_another_project_or_an_archived_one(experiment: Experiment) -> None:
    query = {"name": "x", "query": "panel=curves:loss", "for": "project"}
    assert client("dan").post(f"{PAGE}views/", query).status_code == 404
    assert client("dan").get(CHARTS, {"panel": "curves:loss"}).status_code == 404
    Project.objects.update(archived_at=timezone.now())
    assert client("cleo").post(f"{PAGE}views/", query).status_code == 403
    assert not RunsView.objects.exists()
    assert laid_out(charts("curves:loss", who="cleo")), "it is still read"


def named(page: str) -> dict[str, list[str]]:
    found = re.findall(r'<script id="runs-named".*?>(.*?)</script>', page, re.S)
    words: dict[str, list[str]] = json.loads(found[0])
    return words


def test_each_run_is_named_with_what_tells_it_apart(experiment: Experiment) -> None:
    pair = list(Trial.objects.filter(study__arm_index=0).order_by("pk")[:2])
    ids = ",".join(str(trial.pk) for trial in pair)
    found = named(charts(trials=ids))
    assert list(found) == [str(trial.pk) for trial in pair]
    for trial in pair:
        name, apart = found[str(trial.pk)]
        assert name == f"label-smoothing A{trial.number}"
        assert apart.startswith(f"learning_rate {decode(trial.parameters)['learning_rate']:.4g}, ")
        assert "label_smoothing" not in apart, "both have the same"


def test_runs_of_one_configuration_are_told_apart_by_their_seeds(experiment: Experiment) -> None:
    first, second = Trial.objects.filter(study__arm_index=0).order_by("pk")[:2]
    Trial.objects.filter(pk=second.pk).update(parameters=first.parameters, train_seed=7)
    Trial.objects.filter(pk=first.pk).update(train_seed=3)
    found = named(charts(trials=f"{first.pk},{second.pk}"))
    assert found[str(second.pk)][1] == "training seed 7"


def trials_of(figure: dict[str, Any]) -> set[int]:
    return {pk for trace in figure["data"] for pk in trace["meta"]["trials"]}


def test_a_scatter_plot_shows_every_run_of_the_filter_in_the_colour_of_its_curve(
    experiment: Experiment,
) -> None:
    first = Trial.objects.filter(study__arm_index=0).earliest("pk")
    page = charts("curves:loss", "scatter:params.learning_rate,score", trials=str(first.pk))
    curves, points = figures(page)
    assert trials_of(points) == set(Trial.objects.values_list("pk", flat=True))
    hue = next(trace["line"]["color"] for trace in curves["data"] if "line" in trace)
    own = points["data"][-1]
    assert (own["meta"]["trials"], own["marker"]["color"]) == ([first.pk], [hue])
    assert own["x"] == pytest.approx([decode(first.parameters)["learning_rate"]], rel=1e-5)
    assert points["layout"]["xaxis"]["type"] == "log", "a learning rate spans decades"
    assert f'"{first.pk}": "/projects/digits/experiments/label-smoothing/trials/A0/"' in page
    narrowed = charts("scatter:params.learning_rate,score", filter="arm = 'B'")
    assert len(trials_of(figures(narrowed)[0])) == 6


def test_runs_without_finite_values_are_left_out_and_counted(experiment: Experiment) -> None:
    Trial.objects.filter(study__arm_index=1).update(value=None, seconds=None)
    page = charts("scatter:seconds,score", "bars:score", "parallel:params.dropout")
    assert [len(trials_of(figure)) for figure in figures(page)] == [6, 6, 6]
    assert "6 runs without a finite time, s and validation_accuracy left out." in page
    Trial.objects.update(value=None)
    assert "No run drawn here has a finite validation_accuracy." in charts("bars:score")


def test_of_many_runs_points_are_an_even_draw_and_say_so(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_points, "MOST_POINTS", 6)
    picked = str(Trial.objects.earliest("pk").pk)
    page = charts("scatter:params.dropout,score", trials=picked)
    assert len(trials_of(figures(page)[0])) == 6
    assert "6 of 12 runs drawn: the table's first and an even draw of the rest." in page


def test_bars_are_the_first_runs_of_the_table_or_groups_with_their_deviation(
    experiment: Experiment,
) -> None:
    best = Trial.objects.order_by("-value").first()
    assert best is not None
    (bars,) = figures(charts("bars:score"))
    assert bars["data"][0]["meta"]["trials"][0] == best.pk
    assert "error_x" not in bars["data"][0]
    (grouped,) = figures(charts("bars:score", group="params.label_smoothing"))
    trace = grouped["data"][0]
    values = [trial.value or 0.0 for trial in Trial.objects.filter(study__arm_index=0)]
    place = trace["meta"]["names"].index("0.0")
    assert trace["x"][place] == pytest.approx(statistics.mean(values), rel=1e-5)
    assert trace["error_x"]["array"][place] == pytest.approx(statistics.stdev(values), rel=1e-4)


def test_lines_outside_a_brush_stay_as_faint_ones(experiment: Experiment) -> None:
    brushed = "params.learning_rate >= 0.0001 and params.learning_rate <= 0.003 and state != 'x'"
    page = charts("parallel:", filter=brushed)
    (figure,) = figures(page)
    assert "data-brush" in page and len(trials_of(figure)) == 12
    assert figure["data"][0]["name"] == "outside the filter"
    axes = [axis["key"] for axis in figure["layout"]["meta"]["axes"]]
    assert axes == ["params.label_smoothing", "params.learning_rate", "params.dropout",
                    "params.hidden_units", "score"]  # fmt: skip
    assert figure["layout"]["meta"]["axes"][1]["chosen"] is not None
    assert "validation_accuracy. 12 trials, the best first." in page, "as a listener hears it"


def test_groups_keep_their_colours_in_all_kinds_of_panels(experiment: Experiment) -> None:
    what = ("curves:loss", "scatter:params.dropout,score", "bars:score", "parallel:params.dropout")
    found = figures(charts(*what, group="params.label_smoothing"))
    curves, scatter, bars, parallel = found
    hues = {
        trace["meta"]["mean"]: trace["line"]["color"]
        for trace in curves["data"]
        if trace.get("meta", {}).get("mean") and trace.get("line", {}).get("width")
    }
    assert set(hues) == {"0.0", "0.1"}
    assert {trace["name"]: trace["marker"]["color"] for trace in scatter["data"]} == hues
    trace = bars["data"][0]
    assert dict(zip(trace["meta"]["names"], trace["marker"]["color"], strict=True)) == hues
    assert {trace["name"]: trace["line"]["color"] for trace in parallel["data"]} == hues


def test_a_broken_filter_is_told_in_place_of_points(experiment: Experiment) -> None:
    picked = str(Trial.objects.earliest("pk").pk)
    page = charts("scatter:params.dropout,score", filter="score <", trials=picked)
    assert not figures(page) and "chart-empty" in page


def test_values_that_no_axis_has_room_for_are_drawn_as_far_as_they_go(
    experiment: Experiment,
) -> None:
    odd = [None, True, "x<b>", "", 1e308, math.inf, math.nan, [1, 2], {"a": 1}, "y" * 900, 0, 3]
    for place, trial in enumerate(Trial.objects.order_by("pk")):
        far = [1e300, -1e308, 1e-320, 1e-300][place % 4]
        parameters = encode({"odd": odd[place], "far": far, "same": 4})
        Trial.objects.filter(pk=trial.pk).update(parameters=parameters, value=far)
    for column in ("params.odd", "params.far", "params.same", "params.none"):
        kinds = ("scatter:{0},score", "bars:{0}", "parallel:{0},start_time,score")
        for group in ("", "params.odd"):
            page = charts(*(kind.format(column) for kind in kinds), group=group)
            assert len(laid_out(page)) == 3
