from __future__ import annotations

from experiments.charts.importance import ImportancePlot, Share


def test_the_most_important_stands_at_the_top() -> None:
    shares = [Share("dropout", 0.1, 0.6), Share("learning_rate", 0.9, 0.4)]
    figure = ImportancePlot(shares).figure()
    near, whole = figure["data"]
    assert figure["layout"]["yaxis"]["ticktext"][-1] == "learning_rate"
    assert whole["x"] == [10, 90] and near["x"] == [60, 40]


def test_names_that_look_alike_when_cut_stay_two_bars() -> None:
    names = [f"{'layer_' * 10}{'x' * 30}{i}{'y' * 10}" for i in range(2)]
    figure = ImportancePlot([Share(name, 0.5, 0.0) for name in names]).figure()
    assert len(figure["data"]) == 1, "nothing is known of the better half"
    assert figure["data"][0]["y"] == [0, 1]
