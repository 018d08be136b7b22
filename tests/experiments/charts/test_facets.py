from __future__ import annotations

import pytest

from experiments.charts.facets import facets


@pytest.mark.parametrize("count", range(1, 13))
def test_frames_lie_inside_the_figure_and_never_overlap(count: int) -> None:
    places = facets(count)
    assert len({tuple(place.axes.values()) for place in places}) == count
    for place in places:
        assert 0 <= place.x[0] < place.x[1] <= 1 and 0 <= place.y[0] < place.y[1] < 1
    for one in places:
        for other in places[one.number + 1 :]:
            beside = one.x[1] <= other.x[0] or other.x[1] <= one.x[0]
            below = one.y[1] < other.y[0] or other.y[1] < one.y[0]
            assert beside or below
    assert any(place.at_left for place in places) and any(place.at_bottom for place in places)
