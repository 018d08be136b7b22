"""Confusion matrices, ROC and precision-recall curves as scikit-learn computes them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score, roc_curve

from experiments.charts.logged_figures import logged_plot, matrix_of
from workers.training.media import (
    MOST_CLASSES,
    MOST_POINTS,
    Media,
    media_of_confusion_matrix,
    media_of_pr_curve,
    media_of_roc_curve,
)


def traces(media: Media) -> list[dict[str, Any]]:
    assert (media.kind, media.suffix) == ("figure", ".json")
    found: list[dict[str, Any]] = json.loads(media.content)["data"]
    return found


def examples(count: int, *, ties: bool = False) -> tuple[Any, Any]:
    rng = np.random.default_rng(count)
    labels = rng.integers(0, 2, count)
    scores = labels * 0.6 + rng.normal(0, 1, count)
    return labels, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_areas_are_those_of_scikit_learn(ties: bool) -> None:
    labels, scores = examples(400, ties=ties)
    (roc,) = traces(media_of_roc_curve(labels, scores))
    assert roc["name"] == f"AUC {roc_auc_score(labels, scores):.4f}"
    (pr,) = traces(media_of_pr_curve(torch.tensor(labels), torch.tensor(scores)))
    assert pr["name"] == f"AP {average_precision_score(labels, scores):.4f}"
    assert (pr["x"][0], pr["y"][0], pr["x"][-1]) == (0, 1, 1)


def test_long_curves_keep_few_points_close_to_all_of_them() -> None:
    labels, scores = examples(20_000)
    (roc,) = traces(media_of_roc_curve(labels, scores))
    assert len(roc["x"]) <= MOST_POINTS + 2
    x, y, _ = roc_curve(labels, scores, drop_intermediate=False)
    # The curve may rise steeply, so that its distance is read across and upwards at once.
    thinned = np.interp(np.asarray(x) + y, np.add(roc["x"], roc["y"]), roc["y"])
    assert np.abs(thinned - y).max() < 2 / MOST_POINTS


def test_each_class_of_several_has_a_curve_under_its_name() -> None:
    labels = [0, 1, 2, 2, 1, 0]
    scores = np.eye(3)[labels] + 0.01
    drawn = traces(media_of_roc_curve(labels, scores, classes=["ant", "bee", "cat"]))
    assert [curve["name"] for curve in drawn] == [
        f"{name}, AUC 1.0000" for name in ("ant", "bee", "cat")
    ]
    logged_plot(json.loads(media_of_pr_curve(labels, scores).content))  # the page can draw it


def test_a_confusion_matrix_counts_predictions_by_true_class() -> None:
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 4, 100), rng.integers(0, 4, 100)
    (drawn,) = traces(media_of_confusion_matrix(labels, predictions))
    assert drawn["z"] == confusion_matrix(labels, predictions).tolist()
    (drawn,) = traces(media_of_confusion_matrix([0, 1], [[0.2, 0.8], [0.1, 0.9]], ["no", "yes"]))
    assert (drawn["x"], drawn["z"]) == (["no", "yes"], [[0, 1], [0, 1]])
    matrix = matrix_of(json.loads(media_of_confusion_matrix("aab", "aba").content))
    assert matrix is not None
    assert (matrix.across, matrix.down, matrix.columns) == ("predicted", "true", ("a", "b"))
    assert [cell.share for cell in matrix.rows[0][1]] == ["50 %", "50 %"]
    matrix = matrix_of(
        json.loads(media_of_confusion_matrix([0, 1], [0, 1], ["R&D", "<2"]).content)
    )
    assert matrix is not None  # the page escapes the names
    assert (matrix.columns, matrix.rows[0][0]) == (("R&D", "<2"), "R&D")


def test_rare_ones_of_very_many_classes_are_joined() -> None:
    labels = [*range(200), *range(30), *range(30)]
    (drawn,) = traces(media_of_confusion_matrix(labels, labels))
    assert len(drawn["x"]) == MOST_CLASSES and drawn["x"][-1] == "other"
    assert sum(map(sum, drawn["z"])) == len(labels)


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        ([0, 1], [0.5], "2 labels beside 1 predictions"),
        ([], [], "0 labels beside 0 predictions"),
        ([1, 1], [0.5, 0.6], "examples of both classes"),
        ([0, 1], [0.5, float("nan")], "not finite"),
        ([0, 7], [0.5, 0.6], "expected labels 0 or 1"),
        ([0, 5], [[0.1, 0.9], [0.2, 0.8]], "expected labels 0 to 1"),
        ([0, 1], [[0.1, 0.9], [0.2]], "as many scores"),
        ([[1, 0], [0, 1]], [[0.1, 0.9], [0.2, 0.8]], "one class as the label"),
    ],
)
def test_what_gives_no_curve_is_told(labels: Any, scores: Any, words: str) -> None:
    for make in (media_of_roc_curve, media_of_pr_curve):
        with pytest.raises(ValueError, match=words):
            make(labels, scores)


def test_a_name_for_each_class_is_asked_for() -> None:
    with pytest.raises(ValueError, match="1 names for 2 classes"):
        media_of_roc_curve([0, 1], [0.5, 0.6], ["yes"])


def test_columns_of_one_value_are_taken_as_their_values() -> None:
    labels, scores = np.array([0, 1, 1, 0]), np.array([0.2, 0.7, 0.4, 0.5])
    for make in (media_of_roc_curve, media_of_pr_curve):
        assert make(labels[:, None], scores[:, None]) == make(labels, scores)
    drawn = media_of_confusion_matrix(labels[:, None], labels[::-1, None])
    assert drawn == media_of_confusion_matrix(labels, labels[::-1])
