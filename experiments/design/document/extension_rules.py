"""What an experiment file says about the experiment that it continues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.design.document.file_fields import text
from experiments.design.document.search_methods import Chosen
from experiments.errors import Problem

# Samplers that fit a model to all complete trials of a study, whoever ran them. CMA-ES, genetic
# search and annealing continue their own steps only; BOHB compares within its own rungs.
READ_EARLIER_TRIALS = ("tpe", "gp")


def parse_extension(
    document: Mapping[str, Any],
    search: Mapping[str, Any],
    sampler: Chosen,
    problems: list[Problem],
) -> tuple[str, bool]:
    """`extends:`, the name of an experiment of the same project, and `search.earlier_trials:`.

    The second lets a sampler that learns from trials begin with those of the extended experiment
    that lie inside the new space. A quasi-random set stays as it was drawn.
    """
    extends = text(document, "extends", problems)
    earlier = search.get("earlier_trials", False)
    where = "search.earlier_trials"
    if not isinstance(earlier, bool):
        problems.append(Problem(where, f"found {earlier!r}, want true or false"))
        return extends, False
    if earlier and not extends:
        problems.append(Problem(where, "say with extends: whose trials they are"))
    if earlier and sampler.known and sampler.name not in READ_EARLIER_TRIALS:
        allowed = " and ".join(READ_EARLIER_TRIALS)
        problems.append(
            Problem(
                where,
                f"only {allowed} learn from earlier trials; {sampler.name} draws its own "
                "points and they are never mixed with others",
            )
        )
    return extends, earlier
