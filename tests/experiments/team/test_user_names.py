from __future__ import annotations

import pytest
from django.contrib.auth.forms import UsernameField
from hypothesis import given
from hypothesis import strategies as st

from experiments.team import user_names


@given(st.text(max_size=20))
def test_a_name_is_read_as_the_login_form_reads_it(name: str) -> None:
    assert user_names.written(UsernameField().to_python(name)) == user_names.written(name)
    assert user_names.key(UsernameField().to_python(name)) == user_names.key(name)


@given(st.text(max_size=20))
def test_normalising_twice_changes_nothing(name: str) -> None:
    assert user_names.key(user_names.key(name)) == user_names.key(name)
    assert user_names.key(user_names.written(name)) == user_names.key(name)


@pytest.mark.parametrize("other", ["Straße", "STRASSE", " strasse", "\uff53trasse"])
def test_spellings_of_one_name_have_one_key(other: str) -> None:
    assert user_names.key(other) == user_names.key("strasse")
