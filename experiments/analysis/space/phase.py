"""May the team leave exploration and let Bayesian optimisation search the refined space?

Source: Tuning Playbook, "After exploration concludes" and "Why use quasi-random search".
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Diagnosis, Rule, Severity, Status
from experiments.analysis.space.axis import Axis, Edge, better_first

EXPLOITATION = Rule(
    name="ready_to_exploit",
    version=1,
    severity=Severity.NOTICE,
    question="Is the space ready for Bayesian optimisation?",
    passed_title="The space is ready for Bayesian optimisation",
    meaning="Optimising now would refine the wrong space.",
    advice="Settle the open points with quasi-random search first.",
    section="Tuning Playbook, 'After exploration concludes'",
)

# What must be settled: the space comfortably holds the best region and was sampled well.
BLOCKING = (
    "boundary",
    "edge_slope",
    "edge_probe",
    "density",
    "infeasible_share",
    "instability_edge",
)


def ready_to_exploit(
    diagnoses: Sequence[Diagnosis], axes: Sequence[Axis], direction: Direction
) -> Diagnosis:
    """Tell what keeps an experiment in exploration.

    diagnoses: of the latest experiment. Warnings and problems about boundary, density and
    infeasible trials block, as does a best trial in the outer tenth of a range (natural limits,
    unordered choices and edges that a probe dismissed aside). Fires while something blocks.
    """
    open_rules = sorted(
        {
            d.rule
            for d in diagnoses
            if d.fired and d.rule in BLOCKING and d.severity is not Severity.NOTICE
        }
    )
    dismissed = {
        d.subject for d in diagnoses if d.rule == "edge_probe" and d.status is Status.PASSED
    }
    near = [axis.name for axis in axes if _best_near_edge(axis, direction, dismissed)]
    usable = max((int(axis.usable.sum()) for axis in axes), default=0)
    evidence = {"open": open_rules, "near_edge": near, "trials": usable}
    if usable < thresholds.EDGE_MIN_TRIALS:
        return EXPLOITATION.cannot_tell(
            f"{usable} feasible trials; the rule needs {thresholds.EDGE_MIN_TRIALS}.", evidence
        )
    if not open_rules and not near:
        return EXPLOITATION.passes("No open warning; the best trial lies well inside.", evidence)
    words = [rule.replace("_", " ") for rule in open_rules] + [
        f"{name} at its edge" for name in near
    ]
    return EXPLOITATION.fires(
        "The space is not ready for Bayesian optimisation", f"Open: {', '.join(words)}.", evidence
    )


def _best_near_edge(axis: Axis, direction: Direction, dismissed: AbstractSet[str]) -> bool:
    usable = axis.usable
    if not axis.has_edges or not bool(usable.any()):
        return False
    errors = better_first(axis.scores[usable], direction)
    best = axis.unit[usable][errors == errors.min()]
    distances = {Edge.LOW: best, Edge.HIGH: 1 - best}
    return any(
        edge not in axis.natural
        and f"{axis.name}:{edge}" not in dismissed
        and bool((distance < thresholds.COMFORTABLE_MARGIN).all())
        for edge, distance in distances.items()
    )
