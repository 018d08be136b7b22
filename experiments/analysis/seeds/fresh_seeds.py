"""Fresh seeds: reproducible, and never one that a run of the experiment has used."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

SEED_BITS = 31  # every framework takes a non-negative int32


def fresh_seeds(n: int, *, root: int, taken: Collection[int] = ()) -> list[int]:
    """`n` distinct seeds in 0 .. 2**31 - 1, none of them in `taken`.

    The same `root` and `taken` always give the same seeds, and a longer draw begins with the
    shorter one; drawing again with the first draw in `taken` continues it. `root` is any integer
    from 0 up. Raises ValueError for a negative `n` or `root`.
    """
    if n < 0:
        raise ValueError(f"Cannot draw {n} seeds.")
    used = set(taken)
    seeds: list[int] = []
    # generate_state(k) is a prefix of generate_state(k + 1): the stream may be read again, longer.
    length = n + len(used) + 16
    position = 0
    while len(seeds) < n:
        words = np.random.SeedSequence(root).generate_state(length)
        for word in words[position:].tolist():
            seed = word >> (32 - SEED_BITS)
            if seed in used:
                continue
            used.add(seed)
            seeds.append(seed)
            if len(seeds) == n:
                break
        position, length = length, 2 * length
    return seeds
