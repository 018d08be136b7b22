"""Parts of an experiment that charts, pages and API share, read once."""

from __future__ import annotations

from dataclasses import dataclass, fields

from experiments.design.document import experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.metrics import (
    DeclaredMetrics,
    Metric,
    declared_metrics,
    scores_on_test,
)
from experiments.design.queries.experiments import ArmRow, Tally, arms_of, tally
from experiments.design.queries.records import ExperimentRecord
from experiments.team.queries.access import Access
from experiments.trials.findings.queries.findings import Findings, findings_of


@dataclass(frozen=True, slots=True)
class ExperimentParts:
    """An experiment as its pages need it."""

    access: Access
    experiment: ExperimentRecord
    file: ExperimentFile | None
    arms: tuple[ArmRow, ...]
    tally: Tally
    findings: Findings

    @property
    def has_replicates(self) -> bool:
        """Test whether its curves may be those of replicates, too."""
        return False

    @property
    def complete_replication(self) -> int | None:
        """Id of the newest replication while every replicate of its look has ended."""
        return None

    @property
    def declared(self) -> dict[str, Metric]:
        return declared_metrics(self.experiment.document)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the searched hyperparameters, in the file's order."""
        if self.file is None:
            return ()
        searched = {
            hyperparameter.name for arm in self.file.arms() for hyperparameter in arm.searched
        }
        every = self.file.space.hyperparameters
        return tuple(
            hyperparameter.name for hyperparameter in every if hyperparameter.name in searched
        )


@dataclass(frozen=True, slots=True)
class SealedParts(ExperimentParts):
    """Parts of an experiment of which no test score is read, whatever it declares of itself."""

    @property
    def declared(self) -> DeclaredMetrics:
        known = declared_metrics(self.experiment.document)
        known.seals_test = True
        return known


def count_arms(experiment: ExperimentRecord) -> int:
    """Number of arms of its search."""
    file = experiment_file.stored_or_none(experiment.document)
    return len(file.arms()) if file else len(arms_of(experiment.pk))


def read_parts(
    access: Access, experiment: ExperimentRecord, findings: Findings | None = None
) -> ExperimentParts:
    """Read the parts of a page. The number of queries does not depend on the number of trials.

    `findings`: those of the page's subject; None for the experiment's.
    """
    arms = arms_of(experiment.pk)
    return ExperimentParts(
        access=access,
        experiment=experiment,
        file=experiment_file.stored_or_none(experiment.document),
        arms=arms,
        tally=tally(experiment.pk),
        findings=findings_of(experiment, len(arms)) if findings is None else findings,
    )


def sealed_parts(access: Access, experiment: ExperimentRecord) -> SealedParts | None:
    """Parts for who leaves the project: without test scores; None where the scores are such."""
    if scores_on_test(experiment.official_metric, declared_metrics(experiment.document)):
        return None
    read = read_parts(access, experiment)
    return SealedParts(**{field.name: getattr(read, field.name) for field in fields(read)})
