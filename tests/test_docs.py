"""What the documentation names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
CODE = re.compile(
    r"`((?:config|experiments|workers|tests|benchmarks|docs|client|static)/[\w/.-]*)`"
)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def test_every_file_that_the_documentation_names_exists() -> None:
    missing = [
        f"{page.name}: {name}"
        for page in PAGES
        for name in CODE.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    ]
    assert missing == []


def test_every_link_within_the_documentation_leads_somewhere() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_picture_of_the_rooms_shows_every_room() -> None:
    picture = (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8")
    folders = [
        path.name
        for part in ("experiments", "workers")
        for path in sorted((ROOT / part).iterdir())
        if path.is_dir() and any(path.glob("*.py"))
    ]
    unseen = {"migrations", "management", "templatetags"}
    assert [name for name in folders if name not in unseen and f">{name}<" not in picture] == []
