from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.design.configuration import canonical, digest

parameters = st.dictionaries(
    st.text(max_size=5),
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
)


@given(parameters)
def test_the_order_of_parameters_does_not_change_a_configuration(found: dict[str, object]) -> None:
    backwards = dict(reversed(list(found.items())))
    assert canonical(objective="a:b", parameters=found) == canonical(
        objective="a:b", parameters=backwards
    )


def test_any_change_changes_the_digest() -> None:
    documents = {
        canonical(objective="a:b", parameters={"x": 1.0}),
        canonical(objective="a:b", parameters={"x": 1}),
        canonical(objective="a:c", parameters={"x": 1.0}),
        canonical(objective="a:b", parameters={"x": 1.0}, commit="4f1c2e9"),
        canonical(objective="a:b", parameters={"x": 1.0}, data={"name": "digits"}),
    }
    assert len({digest(document) for document in documents}) == 5


def test_a_value_that_is_not_finite_has_no_canonical_form() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical(objective="a:b", parameters={"x": float("nan")})
