"""Tags of a run as lines of text: `name: value`, or a name alone; a line for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OWN = "mlflow."  # tags that MLflow's clients set by themselves


def is_shown(tag: str) -> bool:
    """Test whether people see a tag among a run's tags."""
    return not tag.startswith(OWN)


def tag_words(name: str, value: str) -> str:
    """A tag in one line."""
    return " ".join((f"{name}: {value}" if value else name).split())


def tag_lines(tags: Mapping[str, Any]) -> list[str]:
    """The shown tags of a run, a line for each."""
    return [tag_words(name, str(value)) for name, value in tags.items() if is_shown(name)]


def read_tag_lines(text: str, tags: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Names and values that lines hold. The line of one of `tags` is that tag as it was, whatever
    colons and line breaks it has.
    """
    present = {tag_words(name, str(tags[name])): name for name in tags if is_shown(name)}
    found: list[tuple[str, Any]] = []
    for line in (" ".join(typed.split()) for typed in text.splitlines()):
        if line in present:
            found.append((present[line], tags[present[line]]))
        elif line:
            name, _, value = line.partition(":")
            found.append((name.strip(), value.strip()))
    return found
