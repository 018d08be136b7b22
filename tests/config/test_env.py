from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from config import env

NAME = "VERDICT_TEST_VARIABLE"


def test_an_unset_or_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    assert env.env_int(NAME, 7, minimum=0) == 7
    monkeypatch.setenv(NAME, "  ")
    assert env.env_int(NAME, 7, minimum=0) == 7
    assert env.env_text(NAME, "x") == "x"
    assert env.env_list(NAME, ["x"], wanted="") == ["x"]
    assert env.env_bool(NAME, True) is True


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("1", True), ("True", True), (" yes ", True), ("0", False), ("OFF", False), ("no", False)],
)
def test_a_switch_is_read_in_several_spellings(
    monkeypatch: pytest.MonkeyPatch, text: str, meaning: bool
) -> None:
    monkeypatch.setenv(NAME, text)
    assert env.env_bool(NAME, not meaning) is meaning


@given(st.integers(min_value=-(10**9), max_value=10**9))
def test_a_whole_number_is_taken_exactly_when_it_lies_in_the_range(number: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(NAME, str(number))
        if 1 <= number <= 65535:
            assert env.env_int(NAME, 5, minimum=1, maximum=65535) == number
        else:
            with pytest.raises(ImproperlyConfigured, match="from 1 to 65535"):
                env.env_int(NAME, 5, minimum=1, maximum=65535)


def test_a_list_drops_blanks_and_empty_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, " a, b ,,c,")
    assert env.env_list(NAME, [], wanted="words") == ["a", "b", "c"]


def test_a_wrong_value_is_named_with_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def message(text: str, read: object) -> str:
        monkeypatch.setenv(NAME, text)
        with pytest.raises(ImproperlyConfigured) as caught:
            read()  # type: ignore[operator]
        return str(caught.value)

    assert message("maybe", lambda: env.env_bool(NAME, False)) == (
        f"{NAME}: found 'maybe'; expected 1 or 0 (or true or false)"
    )
    assert message("8k", lambda: env.env_int(NAME, 1, minimum=1)) == (
        f"{NAME}: found '8k'; expected a whole number of at least 1"
    )
    assert message("LOUD", lambda: env.env_log_level(NAME, "INFO")) == (
        f"{NAME}: found 'LOUD'; expected DEBUG, INFO, WARNING, ERROR or CRITICAL"
    )
    assert message(
        "a.b,c/d", lambda: env.env_list(NAME, [], wanted="dots", accepts=env.dotted_name)
    ) == (f"{NAME}: found 'c/d'; expected dots")
    assert message("short", lambda: env.env_secret(NAME, file=tmp_path, minimum_length=9)) == (
        f"{NAME}: 5 characters are too few; expected at least 9 random ones, "
        f"or leave it unset and one is generated in {tmp_path}"
    )


def test_a_wrong_url_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "mysql://me:geheim@host/db")
    with pytest.raises(ImproperlyConfigured) as caught:
        env.env_url(NAME, "", schemes=("sqlite", "postgresql"))
    assert str(caught.value) == (
        f"{NAME}: found 'mysql://...'; expected a URL that starts with sqlite:// or postgresql://"
    )


@pytest.mark.parametrize(
    ("origin", "right"),
    [
        ("https://verdict.example.org", True),
        ("http://localhost:8000", True),
        ("verdict.example.org", False),
        ("https://verdict.example.org/", False),
        ("ftp://verdict.example.org", False),
    ],
)
def test_an_origin_is_scheme_and_host_alone(origin: str, right: bool) -> None:
    assert env.web_origin(origin) is right


def test_a_folder_is_made_private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(NAME, str(tmp_path / "new"))
    folder = env.env_folder(NAME, tmp_path)
    assert folder == tmp_path / "new"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_is_a_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(NAME, str(tmp_path / "file"))
    with pytest.raises(ImproperlyConfigured, match=rf"^{NAME}: .*expected a folder"):
        env.env_folder(NAME, tmp_path)


def test_a_secret_is_generated_once_and_only_its_owner_reads_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(NAME, raising=False)
    file = tmp_path / "key"
    with ThreadPoolExecutor(8) as pool:  # as when web and worker start together
        read = list(
            pool.map(lambda _: env.env_secret(NAME, file=file, minimum_length=50), range(32))
        )
    assert len(set(read)) == 1
    assert len(read[0]) >= 50
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_reads_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERDICT_TEST_NEVER_READ", raising=False)
    assert "VERDICT_TEST_NEVER_READ" not in env.names_read()
    env.env_text(NAME, "")
    assert NAME in env.names_read()
