"""Whatever stands in a file, it is a valid experiment or a list of problems that name keys."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.analysis.design.checks import DESIGN_RULES, check_design
from experiments.design import configuration
from experiments.design.document import experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.review.design_description import describe
from experiments.design.space.search_space import Range, searched_domain
from experiments.design.space.search_space_parsing import parse_search_space
from experiments.errors import InvalidExperiment, Problem
from tests import cast

EXTREMES = (
    0.0, -0.0, 5e-324, 1e-300, 1e300, -1e300, 1.7e308, math.nan, math.inf, -math.inf,
    0, 1, -1, 2**31, 2**53, 2**53 + 1, 2**63, -(2**63), 10**400, True, False, None,
)  # fmt: skip
numbers = st.sampled_from(EXTREMES) | st.floats() | st.integers(-3, 300)
words = st.sampled_from(
    ["adam", "sgd", "x", "a", "学習率", "weight\u0301", "e" * 200, "1", "true"]
)
scalars = numbers | words | st.text(max_size=4)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3),
    max_leaves=6,
)
names = words | st.text(min_size=1, max_size=200)


def _or_anything(expected: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what is wanted there, sometimes whatever."""
    return st.one_of(expected, expected, expected, expected, anything)


entries = st.one_of(
    st.fixed_dictionaries(
        {"role": _or_anything(st.sampled_from(["scientific", "nuisance"]))},
        optional={
            "low": numbers, "high": numbers, "log": _or_anything(st.booleans()), "step": numbers,
            "type": _or_anything(st.sampled_from(["int", "float"])),
            "natural": _or_anything(st.just(["low"])),
            "when": _or_anything(
                st.dictionaries(words, scalars | st.lists(scalars, max_size=2), max_size=2)
            ),
        },
    ),
    st.fixed_dictionaries(
        {
            "role": _or_anything(st.sampled_from(["scientific", "nuisance"])),
            "choices": _or_anything(st.lists(scalars, min_size=2, max_size=4)),
        },
        optional={
            "ordered": st.booleans(), "natural": st.just(["high"]),
            "when": st.dictionaries(words, scalars, max_size=2),
        },
    ),
    st.fixed_dictionaries(
        {
            "role": st.just("fixed"),
            "value": _or_anything(
                scalars
                | st.dictionaries(scalars, scalars, max_size=3).map(lambda d: {"by": "x", **d})
            ),
        },
        optional={"when": st.dictionaries(words, scalars, max_size=2)},
    ),
    anything,
)  # fmt: skip
arms = st.dictionaries(
    words,
    st.fixed_dictionaries(
        {},
        optional={
            "commit": _or_anything(st.sampled_from(["4f1c2e9", "9a0b1c2"])),
            "data": _or_anything(
                st.fixed_dictionaries(
                    {"name": words}, optional={"version": scalars, "checksum": scalars}
                )
            ),
        },
    ),
    max_size=3,
)
documents = st.fixed_dictionaries(
    {
        "project": st.just("digits"),
        "experiment": st.just("any"),
        "goal": st.just("Does it hold?"),
        "objective": st.just("workers.problems.digits:train"),
        "hyperparameters": _or_anything(st.dictionaries(names, entries, max_size=4)),
        "search": _or_anything(
            st.fixed_dictionaries(
                {"trials": _or_anything(st.integers(1, 50))},
                optional={
                    "sampler": _or_anything(st.sampled_from(["halton", "grid", "tpe"])),
                    "pruner": anything, "parallel": numbers, "seed": numbers,
                },
            )
        ),
    },
    optional={
        "arms": _or_anything(arms), "commit": scalars, "data": anything, "metrics": anything,
        "early_stopping": anything, "fidelity": anything, "folds": numbers, "stop": anything,
        "first": _or_anything(st.lists(st.dictionaries(words, scalars, max_size=2), max_size=2)),
        "margin": numbers, "smallest_gain": numbers, "tags": anything, "notes": scalars,
        "queue": scalars, "config_link": scalars, "extends": scalars, "compares": scalars,
        "probe": scalars,
    },
)  # fmt: skip


def _holds(file: ExperimentFile) -> None:
    """Everything that is done with a valid file before a trial runs can be done with this one."""
    held = experiment_file.stored(experiment_file.as_document(file))
    assert cast.exactly(held) == cast.exactly(file)  # 1 and 1.0, and the order of keys, stay apart
    assert len(check_design(describe(file))) == len(DESIGN_RULES)
    for arm in file.arms():
        arm.distributions()
        for u in (0.0, 0.5, math.nextafter(1, 0)):
            point = arm.from_unit([u] * len(arm.searched))
            for hyperparameter in arm.searched:
                domain = searched_domain(hyperparameter)
                assert domain.holds(point[hyperparameter.name])
                assert -1e-9 <= domain.to_unit(point[hyperparameter.name]) <= 1 + 1e-9  # type: ignore[arg-type]
            text = configuration.canonical(
                objective=file.objective,
                parameters=arm.complete(point),
                commit=arm.runs.commit,
                data=arm.runs.data,
            )
            assert "\x00" not in text and configuration.digest(text)
        assert file.budget_of(arm) >= 1


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(documents)
def test_any_document_is_an_experiment_or_a_list_of_problems(document: dict[str, Any]) -> None:
    try:
        file = experiment_file.parse_document(document)
    except InvalidExperiment as error:
        assert error.problems
        known = tuple(document)
        for problem in error.problems:
            assert problem.where.split(".")[0] in known or "missing" in problem.message
            assert len(problem.where) < 500 and 0 < len(problem.message) < 1000
    else:
        _holds(file)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(documents)
def test_the_same_document_in_json_says_the_same(document: dict[str, Any]) -> None:
    """JSON is YAML: only keys that are no text differ."""
    if not _all_keys_are_text(document):
        return
    try:
        text = json.dumps(document, allow_nan=False)
    except ValueError:  # NaN, or a number that Python does not write
        return
    assert _outcome(lambda: experiment_file.parse(text)) == _outcome(
        lambda: experiment_file.parse_document(document)
    )


def _all_keys_are_text(value: Any) -> bool:
    if isinstance(value, dict):
        return all(
            isinstance(key, str) and _all_keys_are_text(member) for key, member in value.items()
        )
    return all(map(_all_keys_are_text, value)) if isinstance(value, list) else True


def _outcome(parse: Any) -> Any:
    try:
        return parse()
    except InvalidExperiment as error:
        return {problem.where for problem in error.problems} or error.message


@settings(max_examples=40)
@given(st.text(alphabet="{}[]:,-&*!?|>'\"#%@` \n\tax01.e~<", max_size=60))
def test_any_scrap_of_yaml_gives_problems_and_never_another_exception(text: str) -> None:
    for whole in (text, f"hyperparameters:\n  x: {text}"):
        with pytest.raises(InvalidExperiment) as raised:
            experiment_file.parse(whole)
        assert raised.value.problems


HEAD = """
project: digits
experiment: any
goal: Does it hold?
objective: workers.problems.digits:train
search: {trials: 3}
hyperparameters:
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "  x: !!int ''", "tags"),
        (HEAD + "  x: !!bool maybe", "tags"),
        (HEAD + "  x: !!binary aGVsbG8=", "tags"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases"),
        (HEAD + "  x: " + "[" * 100_000, "deeper"),
        (HEAD + "  x: {role: fixed, value: " + "1" * 100_000 + "}", "too many digits"),
        (HEAD + "  x: {role: fixed, value: 0x" + "f" * 50_000 + "}", "of 200000 bits"),
        (HEAD + "  x: {role: fixed, value: " + "1:" * 50_000 + "1}", "must be text"),
        (HEAD + '  x: {role: fixed, value: "\\0"}', "NUL"),
        (HEAD + '  "\\ud800": {role: fixed, value: 1}', "half a character"),
        (HEAD + "  x: {role: nuisance, low: 0.0, high: 1e300, step: 1e-300}", "2**31"),
        (HEAD + "  x: {role: nuisance, low: -1e308, high: 1e308}", "too wide"),
        (HEAD + "  x: {role: nuisance, low: .nan, high: 1.0}", "finite"),
        (HEAD + "  x: {role: nuisance, low: 0.0, high: 1e400}", "finite"),
        (HEAD + "  " + "e" * 201 + ": {role: fixed, value: 1}", "1 to 200 characters"),
        (HEAD.replace("{trials: 3}", "{sampler: grid}")
         + "  x: {role: nuisance, low: 0.0, high: 1.0, step: 1e-9}", "expected 100000 at most"),
        (HEAD + "".join(f"  x{i}: {{role: fixed, value: 1}}\n" for i in range(201)), "200 or"),
    ],
)  # fmt: skip
def test_bombs_and_extremes_are_refused_in_a_sentence(text: str, says: str) -> None:
    with pytest.raises(InvalidExperiment) as raised:
        experiment_file.parse(text)
    told = [str(problem) for problem in raised.value.problems]
    assert says in " ".join(told) and all(len(message) < 1500 for message in told)


def test_forty_hyperparameters_with_long_names_in_any_script_make_a_search() -> None:
    long = [f"{letter}{number:02d}".ljust(200, "ü") for number in range(40) for letter in "λ"]
    document = {
        **yaml.safe_load(HEAD),
        "hyperparameters": {
            name: {"role": "nuisance", "low": 1e-300, "high": 1e300, "log": True} for name in long
        },
    }
    file = experiment_file.parse(yaml.safe_dump(document, allow_unicode=True))
    assert [hyperparameter.name for hyperparameter in file.arms()[0].searched] == long
    _holds(file)
    middle = file.arms()[0].from_unit([0.5] * 40)
    assert all(value == pytest.approx(1.0, rel=1e-9) for value in middle.values())


def test_what_looks_like_a_date_an_hour_or_a_commit_stays_text() -> None:
    file = experiment_file.parse(
        HEAD + "  day: {role: fixed, value: 2024-06-01}\n  at: {role: fixed, value: 12:30}\n"
        "  code: {role: fixed, value: 0123456}\n  rate: {role: fixed, value: 1e-4}\n"
    )
    assert file.arms()[0].fixed == {
        "day": "2024-06-01", "at": "12:30", "code": "0123456", "rate": 1e-4
    }  # fmt: skip


@given(st.dictionaries(names, entries, min_size=1, max_size=5))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_left_of_a_space_with_errors_can_still_be_split_into_arms(
    document: dict[str, Any],
) -> None:
    problems: list[Problem] = []
    space = parse_search_space(document, problems)
    for arm in space.arms():
        arm.from_unit([0.5] * len(arm.searched))
    assert all(isinstance(domain.bins, int | None) for domain in _ranges(space.hyperparameters))


def _ranges(hyperparameters: Any) -> list[Range]:
    return [
        hyperparameter.domain
        for hyperparameter in hyperparameters
        if isinstance(hyperparameter.domain, Range)
    ]
