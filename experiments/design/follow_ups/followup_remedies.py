"""Follow-ups that change the training and leave the question: what findings advise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from experiments.design.catalogue import SAMPLERS
from experiments.design.document.search_methods import READ_EARLIER_TRIALS
from experiments.design.follow_ups.experiment_changes import Change
from experiments.design.follow_ups.followup_changes import Asked, Made, set_key, tidy
from experiments.design.space.search_space import Fixed, Range

# Names under which training functions take their length.
LENGTHS = ("epochs", "max_epochs", "num_epochs", "steps", "max_steps", "max_train_steps",
           "train_steps", "num_steps")  # fmt: skip


def longer(asked: Asked, factor: float = 2.0) -> Made:
    """Train `factor` times as long: the budget of a trial, or its fixed epochs or steps."""
    word = "longer" if factor > 1 else "shorter"
    if asked.file.fidelity is not None:
        most = asked.file.fidelity.high * factor
        return Made(
            (Change(("fidelity", "max"), round(most)),), f"Each trial may run {factor:g} times."
        )
    for hyperparameter in asked.file.space.of_role("fixed"):
        domain = hyperparameter.domain
        if hyperparameter.name in LENGTHS and isinstance(domain, Fixed):
            if domain.by:
                by = {"by": domain.by, **{k: _times(v, factor) for k, v in domain.values.items()}}
                return Made(
                    (set_key(hyperparameter.name, "value", by),),
                    f"Trains {word}: {hyperparameter.name}.",
                )
            if isinstance(domain.value, int | float):
                longer = _times(domain.value, factor)
                return Made(
                    (set_key(hyperparameter.name, "value", longer),),
                    f"Trains {word}: {hyperparameter.name} from {domain.value} to {longer}.",
                )
    return Made(refused=f"No fixed hyperparameter is called {', '.join(LENGTHS[:4])} or the like.")


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor


def shorter(asked: Asked) -> Made:
    """Train half as long."""
    return longer(asked, 0.5)


def dropout(asked: Asked) -> Made:
    """Search dropout where it was fixed or absent."""
    entry = {"role": "nuisance", "low": 0.0, "high": 0.5, "natural": ["low"]}
    return _searched(asked, ("dropout",), "dropout", entry)


def warmup(asked: Asked) -> Made:
    """Search the share of warm-up steps where it was fixed or absent."""
    entry = {"role": "nuisance", "low": 0.0, "high": 0.2, "natural": ["low"]}
    return _searched(asked, ("warmup", "warm_up"), "warmup_fraction", entry)


def clipping(asked: Asked) -> Made:
    """Search the largest norm of a gradient where it was fixed or absent."""
    entry = {"role": "nuisance", "low": 0.1, "high": 10.0, "log": True}
    return _searched(asked, ("clip",), "gradient_clipping", entry)


def _searched(asked: Asked, words: tuple[str, ...], name: str, entry: Mapping[str, Any]) -> Made:
    """A hyperparameter searched that was fixed or absent."""
    for hyperparameter in asked.file.space.hyperparameters:
        if any(word in hyperparameter.name.lower() for word in words):
            if not isinstance(hyperparameter.domain, Fixed):
                return Made(
                    refused=f"{hyperparameter.name} is searched already: extend its range."
                )
            name = hyperparameter.name
            break
    return Made(
        (Change(("hyperparameters", name), dict(entry)),),
        f"Searches {name}, as a nuisance that every arm retunes. The training function has to "
        f"read it under this name.",
    )


def lower_rate(asked: Asked) -> Made:
    """Search the lower half of the learning rate's range."""
    for hyperparameter in asked.file.space.hyperparameters:
        if hyperparameter.name.lower() not in ("learning_rate", "lr"):
            continue
        if isinstance(hyperparameter.domain, Range):
            high = tidy(math.sqrt(hyperparameter.domain.low * hyperparameter.domain.high))
            if hyperparameter.domain.log and hyperparameter.domain.low < high:
                return Made(
                    (set_key(hyperparameter.name, "high", high),),
                    f"Searches the lower half of {hyperparameter.name}.",
                )
    return Made(refused="No learning rate is searched on a log scale.")


def more(asked: Asked) -> Made:
    """Twice the trials of each arm in the same space, at other points."""
    trials = 2 * asked.file.trials
    changes = [Change(("search", "trials"), trials)]
    if asked.file.sampler in READ_EARLIER_TRIALS:
        changes.append(Change(("search", "earlier_trials"), True))
    elif SAMPLERS[asked.file.sampler].quasi_random:
        changes.append(Change(("search", "seed"), asked.file.seed + 1))
    return Made(tuple(changes), f"{trials} trials of each arm, other points than before.")
