"""The decision log: insert-only, chained, read by deployments."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.experiment import Experiment
from experiments.models.project import Configuration, Project
from experiments.models.replication import Replication


class Choice(models.TextChoices):
    BASELINE = "baseline"
    ADOPT = "adopt"
    REJECT = "reject"
    CONTINUE = "continue"
    REVERT = "revert"
    DROPPED = "dropped without seeds"


CHAMPION_CHOICES = (Choice.BASELINE, Choice.ADOPT, Choice.REVERT)


def override_words(choice: str, verdict: str) -> str:
    """An override in words: what the decision goes against."""
    if verdict == "undecided":
        return "while undecided"
    return "on a retrospective verdict" if verdict == choice else "against the verdict"


class DecisionQuerySet(models.QuerySet["Decision"]):
    def crowning(self, project: Project | int, target: str = "production") -> Decision | None:
        """The decision that made the project's present champion; None before the first one."""
        return (
            self.filter(project=project, target=target, choice__in=CHAMPION_CHOICES)
            .select_related("candidate", "experiment", "replication")
            .order_by("-sequence")
            .first()
        )


class Decision(models.Model):
    """A person's decision and its evidence. The database refuses update and delete."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="decisions")
    target = models.CharField(max_length=60, default="production")
    sequence = models.PositiveIntegerField()
    choice = models.CharField(max_length=21, choices=Choice)
    experiment = models.ForeignKey(
        Experiment, models.PROTECT, null=True, blank=True, related_name="decisions"
    )
    replication = models.ForeignKey(
        Replication, models.PROTECT, null=True, blank=True, related_name="decisions"
    )
    candidate = models.ForeignKey(
        Configuration, models.PROTECT, null=True, blank=True, related_name="+"
    )
    baseline = models.ForeignKey(
        Configuration, models.PROTECT, null=True, blank=True, related_name="+"
    )
    verdict = models.CharField(max_length=9, blank=True)  # adopt, reject, undecided, none
    overrides_verdict = models.BooleanField(default=False)
    reason = models.TextField()
    evidence = models.TextField(default="{}")  # JSON, as it was when the button was pressed
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    decided_by_name = models.CharField(max_length=150)
    decided_at = models.DateTimeField()
    previous_hash = models.CharField(max_length=64, unique=True)
    hash = models.CharField(max_length=64, unique=True)

    objects = DecisionQuerySet.as_manager()

    class Meta:
        ordering = ("project", "-sequence")
        constraints = (
            models.UniqueConstraint(fields=("project", "sequence"), name="decision_sequence_once"),
            models.CheckConstraint(condition=~Q(reason=""), name="decision_has_a_reason"),
            models.CheckConstraint(
                condition=Q(choice__in=Choice.values), name="decision_choice_known"
            ),
            models.CheckConstraint(
                condition=~Q(choice__in=("adopt", "revert", "baseline"))
                | Q(candidate__isnull=False),
                name="decision_champion_has_a_configuration",
            ),
        )

    def __str__(self) -> str:
        return f"{self.project_id} #{self.sequence} {self.choice}"

    @property
    def override(self) -> str:
        """The override in words; empty for a decision with the verdict."""
        if not self.overrides_verdict:
            return ""
        return override_words(self.choice, self.verdict)


class ProposalState(models.TextChoices):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"  # its evidence changed, or its proposer may decide no longer


class Proposal(models.Model):
    """A decision that a second approver has to confirm before it enters the log.

    `state` names the evidence that the proposer saw, as `evidence_state` does; `signature` is made
    with the key of the log, so that nobody who only owns the database proposes in another's name.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="proposals")
    replication = models.ForeignKey(Replication, models.CASCADE, related_name="proposals")
    target = models.CharField(max_length=60, default="production")
    choice = models.CharField(max_length=21, choices=Choice)
    verdict = models.CharField(max_length=9)
    overrides_verdict = models.BooleanField()
    reason = models.TextField()
    state = models.CharField(max_length=64)
    checkpoint = models.BigIntegerField(null=True, blank=True)  # trial whose checkpoint it deploys
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    signature = models.CharField(max_length=64)
    outcome = models.CharField(max_length=9, choices=ProposalState, default=ProposalState.PENDING)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_because = models.TextField(blank=True)

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("replication",),
                condition=Q(outcome="pending"),
                name="proposal_one_pending",
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=ProposalState.values), name="proposal_outcome_known"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="proposal_has_a_reason"),
        )

    def __str__(self) -> str:
        return f"{self.choice} of {self.replication_id}, {self.outcome}"
