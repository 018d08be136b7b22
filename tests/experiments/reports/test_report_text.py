"""Lines of a report that are addresses, and those that only hold one."""

from __future__ import annotations

import pytest

from experiments.reports.report_text import Address, Prose, page_of, parts_of


@pytest.mark.parametrize(
    "line",
    [
        "experiments/wider/?tab=axes",
        "  /projects/digits/runs/?sort=score#trials  ",
        "http://localhost:8000/projects/digits/compare/?run=1,2",
        "https://verdict.example.org/projects/digits/decisions/3/",
        "decisions/3/",
    ],
)
def test_an_address_alone_on_its_line_is_embedded(line: str) -> None:
    hosts = ("localhost:8000", "verdict.example.org")
    found = parts_of(f"Before.\n\n{line}\n\nAfter.", hosts)
    assert found == [Prose("Before.\n"), Address(line.strip(), 0, 0), Prose("\nAfter.")]


@pytest.mark.parametrize(
    "text",
    [
        "See experiments/wider/ for more.",
        "Words\nruns/\n",
        "```\nruns/\n\nruns/\n```",
        "~~~\n```\n\nruns/\n\n~~~",
        "    runs/",
        "https://elsewhere.example/projects/digits/runs/",
        "javascript://localhost/projects/digits/runs/",
        "- runs/",
        "experiments are runs/",
    ],
)
def test_an_address_within_prose_code_or_of_another_server_stays_text(text: str) -> None:
    assert not any(isinstance(part, Address) for part in parts_of(text, ("localhost",)))


def test_neighbouring_addresses_are_counted_and_told_apart() -> None:
    found = parts_of("runs/\nruns/\ndecisions/1/")
    assert [(part.place, part.copy) for part in found if isinstance(part, Address)] == [
        (0, 0),
        (1, 1),
        (2, 0),
    ]


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("runs/?sort=score#trials", "/projects/digits/runs/?sort=score#trials"),
        ("experiments/a b/", "/projects/digits/experiments/a%20b/"),
        ("/projects/speech/decisions/2/", "/projects/speech/decisions/2/"),
        ("http://h/projects/digits/compare/?run=1,2", "/projects/digits/compare/?run=1,2"),
    ],
)
def test_an_address_leads_to_its_page(address: str, path: str) -> None:
    page = page_of(address, "digits")
    assert page is not None and page.path == path


@pytest.mark.parametrize(
    "address",
    ["/nothing/", "runs/\0", "runs/?x=%00", "experiments/%ff/", "runs/?" + "a=1&" * 2000,
     "http://[/projects/digits/runs/", "decisions/../../../"],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_none(address: str) -> None:
    assert page_of(address, "digits") is None
