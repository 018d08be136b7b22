"""Fairness of a comparison between different batch sizes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from experiments.analysis.design.hyperparameter_kinds import HyperparameterKind, kind_of, number_of
from experiments.analysis.number_formats import significant


def unfair_batch_size(
    candidate: Mapping[str, Any], baseline: Mapping[str, Any], tuned: Collection[str]
) -> str:
    """Reason that a comparison across batch sizes shows nothing, "" when it is fair.

    `candidate`, `baseline`: parameters by name; `tuned`: names of the hyperparameters that were
    searched at the candidate's batch size. What suits one batch size does not suit another: the
    optimizer's learning rate and, where there is any, the regularisation have to be tuned again.
    Source: Deep Learning Tuning Playbook, "Choosing the batch size": changing it "requires
    re-tuning most of the hyperparameters".
    """
    sizes = [number_of(side, HyperparameterKind.BATCH_SIZE) for side in (candidate, baseline)]
    if None in sizes or sizes[0] == sizes[1]:
        return ""
    searched = {kind_of(name) for name in tuned}
    missing = []
    if HyperparameterKind.LEARNING_RATE not in searched:
        missing.append("the learning rate")
    if (
        any(kind_of(name) is HyperparameterKind.REGULARISER for name in candidate)
        and HyperparameterKind.REGULARISER not in searched
    ):
        missing.append("regularisation")
    if not missing:
        return ""
    was = "were" if len(missing) > 1 else "was"
    ours, theirs = (significant(size) for size in sizes if size is not None)
    return (
        f"the batch size differs ({theirs} to {ours}) and {' and '.join(missing)} {was} "
        "not tuned again for it"
    )
