from __future__ import annotations

import pytest

from experiments.verdict.panels.replication_forms import PRESETS, ReplicationForm

GOOD = {"candidate": "1", "looks": "10, 20,30", "margin": "0.001", "score_rule": "tail_median"}


def test_looks_are_numbers_of_pairs() -> None:
    form = ReplicationForm(GOOD)
    assert form.is_valid() and form.cleaned_data["looks"] == (10, 20, 30)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_chosen(preset: str) -> None:
    assert ReplicationForm(GOOD | {"looks": preset}).is_valid()


@pytest.mark.parametrize(
    ("field", "value"),
    [("looks", "a few"), ("looks", ""), ("margin", "-0.1"), ("candidate", ""), ("score_rule", "")],
)
def test_what_is_wrong_is_named(field: str, value: str) -> None:
    form = ReplicationForm(GOOD | {field: value})
    assert not form.is_valid()
    assert [name for name, _ in form.reasons()] == [field]
