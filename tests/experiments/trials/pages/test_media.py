from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client, override_settings

from experiments.models import Artifact, Experiment, Trial
from experiments.models.trial import TrialState
from experiments.models.trial_encoding import encode
from experiments.trials.artifacts.queries.artifacts import KeptFile
from experiments.trials.artifacts.services import files
from experiments.trials.artifacts.services.files import LoggedKind
from experiments.trials.table.queries.filtered_trials import NOTE
from tests import cast

pytestmark = pytest.mark.django_db

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    cast.project()
    search = cast.finished_search(trials_per_arm=2)
    with override_settings(ARTIFACTS_DIR=tmp_path):
        yield search.studies.get(arm_index=1).trials.get(number=0)


@pytest.fixture
def member(client: Client) -> Client:
    client.force_login(cast.person("ben"))
    return client


def log(
    trial: Trial, name: str, content: bytes | str, kind: LoggedKind = "file", step: Any = None
) -> KeptFile:
    given = content.encode() if isinstance(content, str) else content
    return files.store(trial_id=trial.pk, name=name, parts=[given], kind=kind, step=step)


def address(trial: Trial, rest: str) -> str:
    experiment = trial.study.experiment
    assert isinstance(experiment, Experiment)
    return cast.address(experiment, f"trials/B0/{rest}")


def preview(client: Client, trial: Trial, file: KeptFile) -> str:
    answer = client.get(address(trial, f"media/{file.id}/"))
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_trials_page_has_a_gallery_with_the_steps_of_each_name(
    trial: Trial, member: Client
) -> None:
    for step in (10, 2):
        log(trial, "samples.png", PNG, "image", step)
    log(trial, "notes.txt", "fine", "text")
    page = member.get(address(trial, "")).content.decode()
    assert page.count("<figure data-media=") == 2
    assert page.index('data-step="2"') < page.index('data-step="10"')
    assert page.count("data-media-steps") == 1, "one step needs no slider"
    assert 'max="1" value="1"' in page


def test_an_image_is_shown_in_a_sandbox_and_told_by_its_bytes(
    trial: Trial, member: Client
) -> None:
    file = log(trial, "samples.html", PNG, step=3)
    assert f'image/{file.id}/" alt="samples.html, step 3"' in preview(member, trial, file)
    answer = member.get(address(trial, f"image/{file.id}/"))
    assert b"".join(answer.streaming_content) == PNG  # type: ignore[attr-defined]
    assert answer["Content-Type"] == "image/png"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.svg", f"<svg xmlns='http://www.w3.org/2000/svg'>{SCRIPT}</svg>", "image"),
        ("a.html", SCRIPT, "text"),
        ("a.png", SCRIPT, "image"),
        ("a.csv", f"{SCRIPT},b\n1,{SCRIPT}", "table"),
        (f"{SCRIPT.replace('/', '')}.txt", SCRIPT, "text"),
        ("a.json", json.dumps({"data": [{"y": [1, 2], "name": SCRIPT}], "layout": {
            "images": [{"source": "https://evil.example/"}], "title": SCRIPT,
            "xaxis": {"title": {"text": f"<a href='javascript:alert(1)'>{SCRIPT}"}},
        }}), "figure"),
        ("h.json", json.dumps({"edges": [0, 1], "counts": [SCRIPT]}), "histogram"),
    ],
)  # fmt: skip
def test_nothing_that_a_program_wrote_can_run(
    trial: Trial, member: Client, name: str, content: str, kind: LoggedKind
) -> None:
    file = log(trial, name, content, kind)
    shown = preview(member, trial, file)
    page = member.get(address(trial, "")).content.decode()
    for live in ("<svg xmlns", "<a href='j", "evil.example", "<script>alert"):
        assert live not in shown and live not in page
    assert member.get(address(trial, f"image/{file.id}/")).status_code == 404
    saved = member.get(address(trial, f"files/{file.id}/"))
    assert saved["Content-Type"] == "application/octet-stream"
    assert saved["Content-Disposition"].startswith("attachment")


def test_text_tables_histograms_and_figures_are_previewed(trial: Trial, member: Client) -> None:
    text = log(trial, "notes.txt", "a < b", "text")
    assert '<pre class="block" tabindex="0">a &lt; b</pre>' in preview(member, trial, text)
    long = log(trial, "long.txt", "x" * 70_000, "text")
    assert "The first 64 KiB." in preview(member, trial, long)
    table = log(trial, "t.csv", "a,b\r\n" + "1,2\r\n" * 120, "table")
    shown = preview(member, trial, table)
    assert shown.count("<tr>") == 101 and "The first 100 rows" in shown
    bars = log(
        trial, "h.json", '{"edges": [0, 1, 2], "counts": [3, 4], "not_finite": 2}', "histogram"
    )
    shown = preview(member, trial, bars)
    assert '"y":[3,4]' in shown and "2 values are not finite." in shown
    packed = base64.b64encode(np.arange(4.0).tobytes()).decode()
    matrix = {"type": "heatmap", "z": {"dtype": "f8", "bdata": packed, "shape": "2, 2"}}
    figure = log(trial, "confusion.json", json.dumps({"data": [matrix]}), "figure")
    shown = preview(member, trial, figure)
    assert '<th scope="col">0</th><th scope="col">1</th>' in shown
    assert re.findall(r'<td class="shade-(\d)">(\d)<span.*?>(\d+ %)', shown) == [
        ("8", "1", "100 %"),
        ("4", "2", "40 %"),
        ("5", "3", "60 %"),
    ]
    lines = {"type": "scattergl", "y": [1, None, 3], "name": "one", "mode": "markers"}
    figure = log(trial, "lines.json", json.dumps({"data": [lines, lines]}), "figure")
    shown = preview(member, trial, figure)
    assert '"y":[1,null,3]' in shown and '"type":"scatter"' in shown


def test_what_a_running_trial_logs_comes_to_its_open_page(member: Client, tmp_path: Path) -> None:
    cast.project()
    search = cast.running_search(done=1)
    running = Trial.objects.filter(study__experiment=search, state=TrialState.RUNNING).first()
    assert running is not None
    page = cast.address(search, f"trials/{'AB'[running.study.arm_index]}{running.number}/")
    with override_settings(ARTIFACTS_DIR=tmp_path):
        html = member.get(page).content.decode()
        assert "<h2>Media</h2>" not in html
        cursor = re.findall(r'data-live="[^"]+" data-cursor="([^"]+)"', html)[0]
        assert member.get(f"{page}live/", {"since": cursor}).status_code == 204
        log(running, "samples.png", PNG, "image", 3)
        news = member.get(f"{page}live/", {"since": cursor}).json()
        assert 'data-media="samples.png"' in news["parts"]["media"]
        assert news["again"] and not news["reload"]
        assert member.get(f"{page}live/", {"since": news["since"]}).status_code == 204


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("[" * 5000, "figure"),
        ('{"data": [{"type": "sankey"}]}', "figure"),
        ('{"data": [{"y": {"dtype": "f8", "bdata": "!"}}]}', "figure"),
        ('{"data": [{"y": [[1]], "x": {}}]}', "figure"),
        ('{"data": 3}', "figure"),
        ('{"data": [{"type": "heatmap", "z": 3}]}', "figure"),
        ('{"data": [{"type": "heatmap", "z": [3]}]}', "figure"),
        ("no JSON", "histogram"),
        ('{"edges": [NaN, 1], "counts": [1]}', "histogram"),
    ],
)
def test_what_cannot_be_previewed_can_be_downloaded(
    trial: Trial, member: Client, content: str, kind: LoggedKind
) -> None:
    shown = preview(member, trial, log(trial, "a.json", content, kind))
    assert "No preview" in shown and "Download" in shown


def test_a_file_that_is_gone_or_of_another_trial_or_a_checkpoint_is_not_shown(
    trial: Trial, member: Client, tmp_path: Path
) -> None:
    file = log(trial, "a.txt", "x", "text")
    (tmp_path / file.path).unlink()
    assert "No preview" in preview(member, trial, file)
    other = cast.address(trial.study.experiment, f"trials/B1/media/{file.id}/")  # type: ignore[arg-type]
    assert member.get(other).status_code == 404
    checkpoint = Artifact.objects.create(
        trial=trial, kind="checkpoint", name="c.pt", path="x", size=1, sha256="0" * 64
    )
    for part in ("media", "image"):
        assert member.get(address(trial, f"{part}/{checkpoint.pk}/")).status_code == 404
    member.force_login(cast.person("dan"))
    assert member.get(address(trial, f"media/{file.id}/")).status_code == 404


def test_notes_show_images_of_their_run_and_of_nothing_else(trial: Trial, member: Client) -> None:
    plot = log(trial, "plots/loss.png", PNG, "image", 1)
    newer = log(trial, "plots/loss.png", PNG + b"\0", "image", 2)
    log(trial, "drawing.svg", "<svg/>")
    note = "![loss](file:plots/loss.png) ![svg](file:drawing.svg) ![B0](file:B0/plots/loss.png)"
    Trial.objects.filter(pk=trial.pk).update(user_attributes=encode({NOTE: note}))
    page = member.get(address(trial, "")).content.decode()
    shown = re.findall(r'<img src="([^"]+)"', page)
    assert shown == [address(trial, f"image/{newer.id}/")] and newer.id != plot.id
    assert "[no image drawing.svg]" in page and "[no image B0/plots/loss.png]" in page
    answer = member.get(shown[0])
    assert answer["X-Content-Type-Options"] == "nosniff" and answer["Content-Type"] == "image/png"


def test_notes_of_an_experiment_show_images_of_its_trials(trial: Trial, client: Client) -> None:
    client.force_login(cast.person("cleo"))
    plot = log(trial, "plots/loss.png", PNG, "image", 1)
    other = Trial.objects.get(study__arm_index=0, number=0, study__kind="search")
    log(other, "own.png", PNG, "image")
    experiment = trial.study.experiment
    assert isinstance(experiment, Experiment)
    edit = client.get(cast.address(experiment, "edit/")).content.decode()
    assert re.findall(r'<option value="([^"]+\.png)"', edit) == ["A0/own.png", "B0/plots/loss.png"]
    notes = "![x](file:B0/plots/loss.png) ![y](file:B1/plots/loss.png) ![z](file:B0/own.png)"
    client.post(cast.address(experiment, "edit/"), {"notes": notes, "tags": ""})
    page = client.get(cast.address(experiment)).content.decode()
    assert re.findall(r'<img src="([^"]+)"', page) == [address(trial, f"image/{plot.id}/")]
    assert "[no image B1/plots/loss.png]" in page and "[no image B0/own.png]" in page
