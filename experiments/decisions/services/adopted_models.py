"""The registry follows decisions: an adopt registers the candidate's logged model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Max

from experiments.decisions.registered_models import MODEL, AdoptedVersion, registered_name
from experiments.models import (
    Decision,
    LoggedModel,
    ModelVersion,
    Project,
    RegisteredModel,
    Replication,
)
from experiments.models.decision import Choice
from experiments.trials.artifacts.queries import deployable_models
from experiments.trials.artifacts.queries.deployable_models import DeployableModel


@dataclass(frozen=True, slots=True)
class NextVersion:
    """The version that an adopt makes of a registered model, which is locked."""

    model: RegisteredModel
    number: int
    found: DeployableModel

    def register(self, decision: Decision) -> None:
        """Record the version with the decision that made it."""
        logged = LoggedModel.objects.filter(key=self.found.key).first()
        ModelVersion.objects.create(
            model=self.model,
            version=self.number,
            trial_id=self.found.trial,
            logged_model=logged,
            folder=self.found.folder,
            source=f"models:/{logged.key}" if logged else self.found.folder,
            decision=decision,
            registered_by=decision.decided_by_name,
        )


def next_version(
    project: Project, target: str, choice: str, replication: Replication | None
) -> NextVersion | None:
    """The version that a decision makes, None unless it adopts a candidate with a logged model.

    The target's registered model is made with its first version. Call it in the transaction of
    the decision.
    """
    if choice != Choice.ADOPT or replication is None:
        return None
    found = deployable_models.model_of(replication)
    if found is None:
        return None
    model, _ = RegisteredModel.objects.select_for_update().get_or_create(
        project=project, name=registered_name(project.slug, target), deleted_at=None
    )
    return NextVersion(model, next_number(model), found)


def frozen(version: NextVersion | None) -> dict[str, Any]:
    """The version as the decision's evidence freezes it; empty for none."""
    if version is None:
        return {}
    name, found = version.model.name, version.found
    document = AdoptedVersion(
        name=name,
        version=version.number,
        uri=f"models:/{name}/{version.number}",
        trial=found.trial,
        folder=found.folder,
        files=found.content.files,
        bytes=found.content.bytes,
        sha256=found.content.sha256,
    )
    return {MODEL: asdict(document)}


def next_number(model: RegisteredModel) -> int:
    """The number of a model's next version; those of deleted ones are not given again."""
    return (model.versions.aggregate(last=Max("version"))["last"] or 0) + 1
