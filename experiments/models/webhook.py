"""Events, webhooks and members that subscribe to them, and deliveries."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.experiment import Experiment
from experiments.models.project import Project


class EventKind(models.TextChoices):
    FINISHED = "finished"  # a search has ended
    FAILED = "failed"  # a search ended, or was paused, without a complete trial
    STALLED = "stalled"  # a running experiment makes no progress
    WANTED = "decision wanted"  # all replicates of a look are complete
    DECIDED = "decided"  # the decision log has a new entry
    TEST = "test"  # an admin tries a webhook; nobody subscribes to it


# What webhooks and members may ask to hear of.
ASKED = tuple(kind for kind in EventKind.values if kind != EventKind.TEST)


class WebhookKind(models.TextChoices):
    JSON = "json"
    SLACK = "slack"


class Webhook(models.Model):
    """An address that hears of a project's events.

    Its secret is stored nowhere: it is derived from `nonce` with a key outside the database.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="webhooks")
    kind = models.CharField(max_length=5, choices=WebhookKind, default=WebhookKind.JSON)
    address = models.CharField(max_length=2000)
    events = models.JSONField(default=list)  # of ASKED
    nonce = models.CharField(max_length=64)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=WebhookKind.values), name="webhook_kind_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} of {self.project_id}"


class MessageChoice(models.Model):
    """Events of a project that a member wants by mail."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="message_choices"
    )
    project = models.ForeignKey(Project, models.CASCADE, related_name="message_choices")
    events = models.JSONField(default=list)  # of ASKED

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("user", "project"), name="message_choice_once"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} of {self.project_id}"


class Event(models.Model):
    """Something that was told, once: `key` says what. `document` is JSON as it was then."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="events")
    experiment = models.ForeignKey(
        Experiment, models.CASCADE, null=True, blank=True, related_name="events"
    )
    kind = models.CharField(max_length=15, choices=EventKind)
    key = models.CharField(max_length=120, unique=True)
    document = models.TextField(default="{}")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=EventKind.values), name="event_kind_known"
            ),
        )

    def __str__(self) -> str:
        return self.key


class DeliveryState(models.TextChoices):
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


class Delivery(models.Model):
    """An event on its way to one webhook or one member's mailbox.

    `attempts` is the fence: whoever raised it sends, and only that sender may record the answer.
    While one sends, `due_at` lies ahead; should it die, the delivery is due again then.
    """

    event = models.ForeignKey(Event, models.CASCADE, related_name="deliveries")
    webhook = models.ForeignKey(
        Webhook, models.CASCADE, null=True, blank=True, related_name="deliveries"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+"
    )
    state = models.CharField(max_length=7, choices=DeliveryState, default=DeliveryState.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    tries_left = models.PositiveSmallIntegerField()
    due_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True, blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True)  # of HTTP
    answer = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=DeliveryState.values), name="delivery_state_known"
            ),
            models.CheckConstraint(
                condition=Q(webhook__isnull=False, user__isnull=True)
                | Q(webhook__isnull=True, user__isnull=False),
                name="delivery_has_one_receiver",
            ),
        )
        indexes = (
            models.Index(fields=("due_at",), condition=Q(state="waiting"), name="delivery_due"),
        )

    def __str__(self) -> str:
        return f"{self.event_id} to {self.webhook_id or self.user_id}"


class PrunedDeliveries(models.Model):
    """Number of a project's finished deliveries that were deleted for their age; `until` is the
    newest attempt among them."""

    project = models.OneToOneField(Project, models.CASCADE, related_name="pruned_deliveries")
    sent = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.sent} sent, {self.failed} failed of {self.project_id}"
