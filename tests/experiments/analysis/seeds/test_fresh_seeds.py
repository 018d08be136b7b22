from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.seeds.fresh_seeds import fresh_seeds

roots = st.integers(0, 2**64)


@given(roots, st.integers(0, 50), st.integers(0, 50))
def test_seeds_are_distinct_31_bit_and_never_taken(root: int, n: int, more: int) -> None:
    first = fresh_seeds(n, root=root)
    second = fresh_seeds(more, root=root, taken=set(first))
    drawn = first + second
    assert len(set(drawn)) == n + more
    assert all(0 <= seed < 2**31 for seed in drawn)


@given(roots, st.integers(0, 40), st.integers(0, 40))
def test_drawing_on_continues_the_same_sequence(root: int, n: int, more: int) -> None:
    first = fresh_seeds(n, root=root)
    assert first + fresh_seeds(more, root=root, taken=first) == fresh_seeds(n + more, root=root)


def test_another_root_gives_other_seeds() -> None:
    assert not set(fresh_seeds(100, root=1)) & set(fresh_seeds(100, root=2))


def test_the_seeds_of_a_root_are_numpys_seed_sequence() -> None:
    words = np.random.SeedSequence(5).generate_state(3)
    assert fresh_seeds(3, root=5) == [word >> 1 for word in words.tolist()]


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        fresh_seeds(-1, root=0)
