"""The records: columns and invariants, no input or output."""

from experiments.models.access import ApiToken, SharedLink, TestOpening
from experiments.models.decision import Decision, Proposal
from experiments.models.edge_probe import EdgeProbe
from experiments.models.experiment import Experiment, ExperimentTag
from experiments.models.finding import Finding, TrialReading
from experiments.models.importance import ParameterImportance
from experiments.models.invitation import CountedAttempt, Invitation
from experiments.models.outside_run import LatestMetric, LoggedModel, RunDataset
from experiments.models.project import Configuration, Membership, Project, ProjectChange
from experiments.models.registered_model import ModelVersion, RegisteredModel
from experiments.models.replication import Replication
from experiments.models.runs_view import RunsView
from experiments.models.series import Report, SealedScore, SeriesBatch
from experiments.models.trial import Environment, Study, Trial
from experiments.models.webhook import Delivery, Event, MessageChoice, PrunedDeliveries, Webhook
from experiments.models.worker import Artifact, BatchSizeProbe, ObjectiveCheck, Worker
from experiments.models.written_report import FrozenReport, ReportVersion, WrittenReport

__all__ = [
    "ApiToken",
    "Artifact",
    "BatchSizeProbe",
    "Configuration",
    "CountedAttempt",
    "Decision",
    "Delivery",
    "EdgeProbe",
    "Environment",
    "Event",
    "Experiment",
    "ExperimentTag",
    "Finding",
    "FrozenReport",
    "Invitation",
    "LatestMetric",
    "LoggedModel",
    "Membership",
    "MessageChoice",
    "ModelVersion",
    "ObjectiveCheck",
    "ParameterImportance",
    "Project",
    "ProjectChange",
    "Proposal",
    "PrunedDeliveries",
    "RegisteredModel",
    "Replication",
    "Report",
    "ReportVersion",
    "RunDataset",
    "RunsView",
    "SealedScore",
    "SeriesBatch",
    "SharedLink",
    "Study",
    "TestOpening",
    "Trial",
    "TrialReading",
    "Webhook",
    "Worker",
    "WrittenReport",
]
