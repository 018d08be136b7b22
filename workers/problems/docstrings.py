"""The corpus of the text problem: docstrings of Python's standard library, by package.

They are read from the sources without importing them. Each text stands once; one that stands in
two packages belongs to neither. The names of the packages are masked, or the answer would stand
in the text. Another minor version of Python has other docstrings: `checksum` tells them apart.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Packages that every build of Python 3.11 and later has, each with a hundred texts or more.
PACKAGES = (
    "asyncio",
    "email",
    "http",
    "importlib",
    "logging",
    "multiprocessing",
    "unittest",
    "xml",
)
MASK = "package"
FEWEST_WORDS = 4
MOST_WORDS = 40  # of a text; the rest is cut off


@dataclass(frozen=True, slots=True)
class Text:
    """Lower-case words of a docstring and the index of its package in `PACKAGES`."""

    words: tuple[str, ...]
    package: int


@cache
def corpus() -> tuple[Text, ...]:
    """All texts, in the order of packages, files and lines."""
    found: dict[tuple[str, ...], set[int]] = {}
    library = Path(sysconfig.get_paths()["stdlib"])
    for package, name in enumerate(PACKAGES):
        for docstring in _docstrings(library / name):
            words = tuple(_words(docstring))[:MOST_WORDS]
            if len(words) >= FEWEST_WORDS:
                found.setdefault(words, set()).add(package)
    return tuple(
        Text(words, next(iter(packages)))
        for words, packages in found.items()
        if len(packages) == 1
    )


def checksum() -> str:
    """SHA-256 of the corpus, as hexadecimal digits: the version of the data."""
    digest = hashlib.sha256()
    for text in corpus():
        digest.update(f"{text.package} {' '.join(text.words)}\n".encode())
    return digest.hexdigest()


def _docstrings(package: Path) -> Iterator[str]:
    for path in sorted(package.rglob("*.py")):
        if {"test", "tests"} & set(path.relative_to(package).parts):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ):
                yield ast.get_docstring(node) or ""


def _words(docstring: str) -> Iterator[str]:
    for word in re.findall(r"[a-z]+", docstring.lower()):
        yield MASK if word in PACKAGES else word
