"""Pages of studies that Optuna ran elsewhere: imported by the command, charted, found."""

from __future__ import annotations

import json
import math
import re
from io import StringIO
from pathlib import Path
from typing import Any

import optuna
import pytest
from django.core.management import call_command
from django.test import Client

from experiments.models import Study
from experiments.trials.panels.study_panels import TABS
from tests import cast
from workers.search.exchange import open_storage

pytestmark = pytest.mark.django_db


LISTS: Any = ([1, 2], [3], None)  # Optuna warns of them, and stores them


def train(trial: optuna.Trial) -> float:
    """An objective with every kind of hyperparameter, one of them conditional."""
    rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    units = trial.suggest_int("units", 8, 512, log=True)
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd", None])
    momentum = trial.suggest_float("momentum", 0.0, 0.9) if optimizer == "sgd" else 0.0
    trial.suggest_int("constant", 3, 3)
    loss = (math.log10(rate) + 3) ** 2 + 0.01 * math.log(units) + 0.05 * momentum
    for step in range(4):
        trial.report(loss + 1 / (step + 1), step)
        if step == 2 and loss > 3:
            raise optuna.TrialPruned
    if trial.number % 9 == 8:
        raise ValueError("out of memory")
    return loss if trial.number % 7 else math.nan if trial.number == 14 else loss


def imported(path: Path) -> Study:
    source = open_storage(str(path), must_exist=False)
    study = optuna.create_study(
        storage=source, study_name="<b>lab</b>", sampler=optuna.samplers.RandomSampler(seed=1)
    )
    study.set_user_attr("owner", "eve & co")
    study.optimize(train, n_trials=40, catch=(ValueError,))
    study.ask()
    call_command("import", "optuna", str(path), "--project", "digits", stdout=StringIO())
    return Study.objects.get(name="<b>lab</b>")


def read(address: str, who: str = "ben") -> str:
    client = Client()
    client.force_login(cast.person(who))
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()


def figures(html: str) -> dict[str, object]:
    found = re.findall(
        r'<script type="application/json" id="(figure-[^"]+)">(.*?)</script>', html, re.S
    )
    return {name: json.loads(text) for name, text in found}


def test_an_imported_study_has_every_chart_and_is_found_everywhere(tmp_path: Path) -> None:
    cast.project()
    study = imported(tmp_path / "journal.log")
    address = f"/projects/digits/studies/{study.pk}/"
    drawn = {tab: len(figures(read(f"{address}?tab={tab}"))) for tab in TABS}
    assert drawn == {
        "history": 3, "slices": 4, "importance": 1, "parallel": 1, "contour": 1, "reports": 1
    }  # fmt: skip
    page = read(address)
    assert "&lt;b&gt;lab&lt;/b&gt;" in page and "<b>lab" not in page
    assert "eve &amp; co" in page and "pruned" in page and "running or waiting" in page
    assert "data-panel" in read(f"{address}charts/?tab=slices")

    for listing in ("/projects/digits/", "/projects/digits/studies/?q=lab"):
        assert address in read(listing)
    assert address in read("/projects/digits/runs/")
    (link,) = re.findall(r'href="(/projects/digits/runs/\?filter=[^"]+)"', page)
    assert "41" in read(link.replace("&amp;", "&"))
    found = json.loads(read("/jump/?q=lab"))["places"]
    assert [place["url"] for place in found if place["kind"] == "study"] == [address]


def test_several_objectives_are_shown_one_at_a_time(tmp_path: Path) -> None:
    cast.project()
    source = open_storage(str(tmp_path / "journal.log"), must_exist=False)
    study = optuna.create_study(
        storage=source,
        study_name="two",
        directions=["minimize", "maximize"],
        sampler=optuna.samplers.RandomSampler(seed=2),
    )
    study.set_metric_names(["loss", "accuracy"])
    study.optimize(lambda t: (t.suggest_float("x", 0, 1), t.suggest_float("y", 0, 1)), n_trials=12)
    call_command("import", "optuna", f"{tmp_path}/journal.log", "--project", "digits",
                 stdout=StringIO())  # fmt: skip
    address = f"/projects/digits/studies/{Study.objects.get().pk}/"
    best = [f"{value:.4f}" for value in (
        min(t.values[0] for t in study.trials), max(t.values[1] for t in study.trials)
    )]  # fmt: skip
    first, second = read(address), read(f"{address}?objective=2")
    assert "2 objectives" in first and "best loss" in first and best[0][:5] in first
    assert "best accuracy" in second and best[1][:5] in second
    assert "one objective" in read(f"{address}?tab=reports")
    for number in ("0", "3", "-1", "x", "99999999999"):
        assert "best loss" in read(f"{address}?objective={number}")


@pytest.mark.filterwarnings("ignore:Choices for a categorical")
def test_a_study_without_trials_and_one_of_odd_values_show_what_is_missing() -> None:
    cast.project()
    from workers.search.storage import VerdictStorage

    storage = VerdictStorage(project="digits")
    empty = optuna.create_study(storage=storage, study_name="empty")
    odd = optuna.create_study(storage=storage, study_name="odd")
    distributions = {
        "layers": optuna.distributions.CategoricalDistribution(LISTS),
        "nan": optuna.distributions.CategoricalDistribution((math.nan, 1, True, "1")),
        "moved": optuna.distributions.FloatDistribution(0, 1),
        "wide": optuna.distributions.FloatDistribution(-1.7e308, 1.7e308),
        "long": optuna.distributions.FloatDistribution(1e-308, 1.7e308, log=True),
    }
    wide = (-1.7e308, 1.7e308, 0.0, 1e300, -5e307)
    long = (1e-308, 1.7e308, 1.0, 1e300)
    wider = {**distributions, "moved": optuna.distributions.FloatDistribution(-5, 0.5)}
    for number in range(12):
        chosen = distributions if number % 2 else wider
        layers = chosen["layers"].choices[number % 3]  # type: ignore[attr-defined]
        other = chosen["nan"].choices[number % 4]  # type: ignore[attr-defined]
        odd.add_trial(
            optuna.trial.create_trial(
                params={
                    "layers": layers,
                    "nan": other,
                    "moved": 0.25,
                    "wide": wide[number % 5],
                    "long": long[number % 4],
                },
                distributions=chosen,
                value={3: 1.7e308, 4: math.inf, 5: -1.7e308}.get(number, number),
                intermediate_values={0: math.nan, -(2**62): math.inf},
            )
        )
    for study in (empty, odd):
        for tab in TABS:
            page = read(f"/projects/digits/studies/{study._study_id}/?tab={tab}")
            assert "data-figure" in page or "chart-empty" in page


def test_a_study_of_another_project_and_one_of_an_experiment_have_no_page() -> None:
    cast.project()
    cast.project("other")
    mine = cast.finished_search(trials_per_arm=2).studies.get(arm_index=0)
    client = Client()
    client.force_login(cast.person("ben"))
    theirs = Study.objects.create(
        project_id=mine.project_id, kind="free", name="x", directions="minimize"
    )
    for address in (f"other/studies/{theirs.pk}", f"digits/studies/{mine.pk}"):
        assert client.get(f"/projects/{address}/").status_code == 404
