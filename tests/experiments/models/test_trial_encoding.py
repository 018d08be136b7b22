from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)

from experiments.models import trial_encoding as encoding

keys = st.one_of(st.text(max_size=6), st.sampled_from(["$float", "$$float", "$", "$x", '"$', "x"]))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), keys)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
finite = st.floats(allow_nan=False, allow_infinity=False)


def same(left: Any, right: Any) -> bool:
    """Equal to the last bit, type and order of keys; NaN equals NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        if math.isnan(left):
            return math.isnan(right)
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return bool(left == right)


@st.composite
def distributions(draw: st.DrawFn) -> BaseDistribution:
    kind = draw(st.sampled_from(["float", "stepped", "log", "int", "categorical"]))
    if kind == "categorical":
        return CategoricalDistribution(draw(st.lists(scalars, min_size=1, max_size=4)))
    if kind == "int":
        low = draw(st.integers(-1000, 1000))
        step = draw(st.integers(1, 3))
        return IntDistribution(low, low + step * draw(st.integers(0, 50)), step=step)
    if kind == "stepped":
        found = FloatDistribution(draw(st.floats(-10, 10)), 11.0)
        found.step = draw(st.floats(0.01, 1.0))
        return found
    low, high = sorted(draw(st.tuples(finite, finite)))
    if kind == "log":
        low, high = abs(low) + 1e-300, abs(low) + abs(high) + 1e-300
    return FloatDistribution(low, high, log=kind == "log")


@given(documents)
def test_what_json_can_hold_comes_back_as_it_went_in(value: Any) -> None:
    text = encoding.encode(value)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert same(encoding.decode(text), value)


@given(st.lists(documents, max_size=4))
def test_many_texts_are_read_as_one_by_one(values: list[Any]) -> None:
    read = encoding.decode_all([encoding.encode(value) for value in values])
    assert same(read, values)


@given(distributions())
def test_a_distribution_comes_back_equal(distribution: BaseDistribution) -> None:
    text = encoding.with_item("{}", "x", encoding.encode_distribution(distribution))
    back = encoding.decode_distributions(text)["x"]
    assert back == distribution
    if isinstance(distribution, CategoricalDistribution):
        assert isinstance(back, CategoricalDistribution)
        assert same(list(back.choices), list(distribution.choices))


def test_optuna_reads_the_text_of_a_distribution() -> None:
    for distribution in (
        FloatDistribution(1e-4, 1e-1, log=True),
        FloatDistribution(0.0, 1.0, step=0.25),
        IntDistribution(2, 64, log=True),
        IntDistribution(0, 10, step=5),
        CategoricalDistribution(("adam", None, True, 3)),
    ):
        assert json_to_distribution(encoding.encode_distribution(distribution)) == distribution


@given(st.dictionaries(keys, st.tuples(scalars, distributions()), max_size=5))
def test_parameters_keep_values_distributions_and_order(
    parameters: dict[str, tuple[Any, BaseDistribution]],
) -> None:
    values, texts = encoding.encode_parameters(parameters)
    assert same(encoding.decode(values), {name: value for name, (value, _) in parameters.items()})
    found = encoding.decode_distributions(texts)
    assert list(found) == list(parameters)
    assert all(found[name] == distribution for name, (_, distribution) in parameters.items())


@given(st.dictionaries(keys, documents, max_size=4), keys, documents)
def test_setting_one_key_is_what_a_dictionary_does(
    document: dict[str, Any], key: str, value: Any
) -> None:
    text = encoding.with_item(encoding.encode(document), key, encoding.encode(value))
    assert same(encoding.decode(text), {**document, key: value})


@given(st.dictionaries(st.integers(0, 2**62), st.floats(), max_size=20))
def test_reports_come_back_by_step(reports: dict[int, float]) -> None:
    back = encoding.decode_reports(encoding.encode_reports(reports.items()))
    assert same(back, dict(sorted(reports.items())))


def test_reports_of_an_unknown_version_are_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        encoding.decode_reports(b"\x07" + b"\x00" * 16)


@pytest.mark.parametrize(
    ("values", "first"),
    [(None, None), ([], None), ([math.nan], None), ([math.inf, 1.0], None), ([2, math.nan], 2.0)],
)
def test_only_a_finite_first_value_is_sorted_by(
    values: list[float] | None, first: float | None
) -> None:
    assert encoding.first_finite(values) == first


@given(st.lists(st.floats(), max_size=4))
def test_values_come_back_and_an_empty_list_as_none(values: list[float]) -> None:
    back = encoding.decode_values(encoding.encode_values(values))
    assert (back is None) == (not values)
    assert same(list(back or ()), values)


def test_an_attribute_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        encoding.encode({"model": object()})
