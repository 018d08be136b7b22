from __future__ import annotations

import json
import math
import re

import pytest

from experiments.charts.logged_figures import logged_plot
from experiments.templatetags import figures


def test_a_figure_cannot_leave_its_script_element() -> None:
    tag = str(figures.kept_figure({"name": "</script><b>&"}, "", "one"))
    assert tag.count("</script>") == 1 and "<b>" not in tag
    inner = re.search(r">(.*)</script>", tag)
    assert inner and json.loads(inner[1]) == {"name": "</script><b>&"}


def test_a_figure_comes_with_its_words() -> None:
    plot = logged_plot({"data": [{"y": [0.5, 0.25], "name": "<b>A0</b>"}]})
    tag = str(figures.figure(plot, "one"))
    assert (
        '<p class="sr">&lt;b&gt;A0&lt;/b&gt;: 2 points, from 0.25 to 0.5, the last 0.25.</p>'
        in tag
    )


def test_a_figure_with_a_number_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        figures.kept_figure({"y": [math.nan]}, "", "one")
