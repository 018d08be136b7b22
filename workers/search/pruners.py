"""Build Optuna pruners from their names and options in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
    WilcoxonPruner,
)
from optuna.study import Study
from optuna.trial import FrozenTrial

from experiments.design.document.fidelity import REDUCTION_FACTORS, RUNG_PRUNERS, Fidelity, Rung
from workers.search.extrapolation import ExtrapolationPruner

_Options = Mapping[str, Any]


class SeededHyperbandPruner(HyperbandPruner):
    """Hyperband whose brackets go by a seed.

    Optuna's go by the name of the study: a study of the same file under another name, or one
    that is renamed on the way, would have others.
    """

    def __init__(self, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self._named_by_seed = SimpleNamespace(study_name=str(seed))

    def _get_bracket_id(self, study: Study, trial: FrozenTrial) -> int:
        return super()._get_bracket_id(cast(Study, self._named_by_seed), trial)


def _patient(options: _Options, seed: int) -> BasePruner:
    rest = dict(options)
    wrapped = rest.pop("wrapped_pruner", None)
    inner = None
    if wrapped is not None:
        inside = dict(wrapped)
        inner = build_pruner(inside.pop("name"), inside, seed=seed)
        if isinstance(inner, NopPruner):
            inner = None
    return PatientPruner(inner, **rest)


_BUILDERS: Mapping[str, Callable[[_Options, int], BasePruner]] = {
    "none": lambda _, __: NopPruner(),
    "median": lambda options, _: MedianPruner(**options),
    "percentile": lambda options, _: PercentilePruner(**options),
    "successive_halving": lambda options, _: SuccessiveHalvingPruner(**options),
    "hyperband": lambda options, seed: SeededHyperbandPruner(seed, **options),
    "patient": _patient,
    "threshold": lambda options, _: ThresholdPruner(**options),
    "wilcoxon": lambda options, _: WilcoxonPruner(**options),
    "extrapolation": lambda options, _: ExtrapolationPruner(**options),
}


def build_pruner(
    name: str, options: Mapping[str, Any], fidelity: Fidelity | None = None, *, seed: int = 0
) -> BasePruner:
    """The pruner of a study; a fidelity gives its resources their smallest and largest value.

    `seed`: of the search; the same one has the same brackets of Hyperband.

    Raises:
        ValueError: for a name that is not in the catalogue.
    """
    if name not in _BUILDERS:
        raise ValueError(f"no pruner is called {name!r}")
    return _BUILDERS[name]({**options, **_resources(name, options, fidelity)}, seed)


def rungs(name: str, options: Mapping[str, Any], fidelity: Fidelity | None) -> tuple[Rung, ...]:
    """The budgets on which a trial is trained anew, one after the other.

    Empty when one training passes them all, or when the pruner does not go by budgets.
    """
    if fidelity is None or fidelity.grows_within_a_run or name not in RUNG_PRUNERS:
        return ()
    return fidelity.rungs(options.get("reduction_factor", REDUCTION_FACTORS[name]))


def _resources(name: str, options: _Options, fidelity: Fidelity | None) -> dict[str, Any]:
    if fidelity is None:
        return {}
    if name == "extrapolation" and fidelity.grows_within_a_run:
        return {"max_resource": int(fidelity.high), **options}
    if name not in RUNG_PRUNERS:
        return {}
    anew = rungs(name, options, fidelity)
    low, high = (anew[0].step, anew[-1].step) if anew else (int(fidelity.low), int(fidelity.high))
    return {"min_resource": low} | ({"max_resource": high} if name == "hyperband" else {})
