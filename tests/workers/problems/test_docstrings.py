from __future__ import annotations

import asyncio.queues
from collections import Counter

import pytest

from workers.problems import docstrings

pytestmark = pytest.mark.thorough


def test_every_package_has_at_least_a_hundred_texts() -> None:
    counts = Counter(text.package for text in docstrings.corpus())
    assert sorted(counts) == list(range(len(docstrings.PACKAGES)))
    assert min(counts.values()) >= 100


def test_no_text_stands_there_twice() -> None:
    words = [text.words for text in docstrings.corpus()]
    assert len(set(words)) == len(words)


def test_no_text_names_a_package() -> None:
    assert not any(set(docstrings.PACKAGES) & set(text.words) for text in docstrings.corpus())


def test_texts_are_what_python_itself_shows() -> None:
    said = asyncio.queues.Queue.join.__doc__ or ""
    words = tuple(docstrings._words(said))[: docstrings.MOST_WORDS]
    (found,) = (text for text in docstrings.corpus() if text.words == words)
    assert docstrings.PACKAGES[found.package] == "asyncio"


def test_the_checksum_is_that_of_the_texts() -> None:
    first = docstrings.checksum()
    docstrings.corpus.cache_clear()
    assert docstrings.checksum() == first and len(first) == 64
