"""Tell those who want to know: events, written in the transaction of what they tell of.

A delivery is a row beside its event, so a transaction that is rolled back tells nobody and one
that commits loses nothing; worker nodes send what is due.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from experiments import dispatch
from experiments.errors import Problem, VerdictError
from experiments.models import (
    Delivery,
    Event,
    Experiment,
    Membership,
    MessageChoice,
    Project,
    Webhook,
    Worker,
)
from experiments.models.webhook import ASKED, EventKind
from experiments.team.page_addresses import page
from experiments.team.queries.access import Access
from experiments.team.services.deliveries import MOST_TRIES

_LONGEST_QUOTE = 500  # characters of a failure's message


def announce(
    *,
    project: Project,
    kind: str,
    key: str,
    text: str,
    path: str,
    experiment: Experiment | None = None,
    decision: Mapping[str, object] | None = None,
) -> Event | None:
    """Tell an event once to every webhook and member that asked for its kind.

    `key` says what happened; telling it again does nothing. `path` is the page that shows it.
    Returns None when nobody asked or it was told before. Call it in the transaction of what it
    tells of.
    """
    hooks = [hook for hook in Webhook.objects.filter(project=project) if kind in hook.events]
    readers = _readers(project, kind)
    if not hooks and not readers:
        return None
    now = timezone.now()
    document = _document(project, kind, text, path) | {
        "experiment": experiment.name if experiment else None,
        "decision": decision,
    }
    with transaction.atomic():
        event, told_now = Event.objects.get_or_create(
            key=key,
            defaults={
                "project": project,
                "experiment": experiment,
                "kind": kind,
                "document": json.dumps(document),
            },
        )
        if not told_now:
            return None
        to: list[dict[str, int]] = [{"webhook_id": hook.pk} for hook in hooks]
        to += [{"user_id": reader} for reader in readers]
        Delivery.objects.bulk_create(
            Delivery(event=event, tries_left=MOST_TRIES, due_at=now, **recipient)
            for recipient in to
        )
        call_senders()
    return event


def _document(project: Project, kind: str, text: str, path: str) -> dict[str, Any]:
    """Payload of an event; the same fields for every kind. The sender adds the log's head."""
    return {
        "event": kind,
        "project": project.slug,
        "experiment": None,
        "text": text,
        "address": f"{settings.PUBLIC_URL}{path}",
        "at": timezone.now().isoformat(),
        "decision": None,
    }


def queue_test(hook: Webhook, *, by: str) -> Delivery:
    """Queue a message to one webhook alone that tells of nothing; call it in a transaction."""
    text = f"{by} tests this webhook of {hook.project.name}; nothing has happened."
    path = page("webhooks", hook.project.slug)
    event = Event.objects.create(
        project=hook.project,
        kind=EventKind.TEST,
        key=f"test:{uuid.uuid4()}",
        document=json.dumps(_document(hook.project, EventKind.TEST, text, path)),
    )
    made = Delivery.objects.create(event=event, webhook=hook, tries_left=1, due_at=timezone.now())
    call_senders()
    return made


def call_senders() -> None:
    """Wake a worker node once the transaction has committed."""
    alive = Worker.objects.filter(stopped_at__isnull=True).order_by("-heartbeat_at")
    queues = alive.values_list("queues", flat=True).first() or settings.CELERY_TASK_DEFAULT_QUEUE
    dispatch.deliver(queues.split()[0])


def _readers(project: Project, kind: str) -> list[int]:
    """Ids of the people who want such mails, have an address, and may still see the project."""
    wanting = MessageChoice.objects.filter(project=project, user__is_active=True)
    members = set(Membership.objects.filter(project=project).values_list("user_id", flat=True))
    return [
        choice.user_id
        for choice in wanting.exclude(user__email="").select_related("user")
        if kind in choice.events and (choice.user_id in members or choice.user.is_superuser)
    ]


def ended(experiment_id: int) -> None:
    """A search has ended; called in the transaction that ended it."""
    experiment = Experiment.objects.select_related("project").get(pk=experiment_id)
    nothing = experiment.has_failed
    trials = "1 trial" if experiment.trial_count == 1 else f"{experiment.trial_count} trials"
    if nothing:
        text = f"{experiment.name} failed: none of its {trials} completed."
    else:
        text = f"{experiment.name} is {experiment.state} after {trials}: {experiment.stop_reason}."
    when = experiment.finished_at or timezone.now()
    announce(
        project=experiment.project,
        kind=EventKind.FAILED if nothing else EventKind.FINISHED,
        key=f"ended:{experiment_id}:{when.timestamp():.6f}",
        text=text,
        path=page("experiment", experiment.project.slug, experiment.name),
        experiment=experiment,
    )


def failing(experiment: Experiment, trials: int, message: str) -> None:
    """A search was paused for its first trials; called in the transaction that paused it."""
    announce(
        project=experiment.project,
        kind=EventKind.FAILED,
        key=f"failing:{experiment.pk}",
        text=(
            f"{experiment.name} failed: its first {trials} trials ended with the same error, so "
            f"the search is paused. {message[:_LONGEST_QUOTE]}"
        ),
        path=page("experiment", experiment.project.slug, experiment.name),
        experiment=experiment,
    )


def choose(*, access: Access, events: Collection[str]) -> list[str]:
    """Set which events of a project the person gets by mail, and return them; none ends them.

    Raises:
        VerdictError: for an unknown event, or for a person without a mail address.
    """
    wanted = checked_events(events)
    if wanted and not access.user.email:
        raise VerdictError(
            "Your account has no mail address.",
            [Problem("email", "your account has none; give it one first")],
        )
    MessageChoice.objects.update_or_create(
        user=access.user, project_id=access.project_id, defaults={"events": wanted}
    )
    return wanted


def checked_events(events: Collection[str]) -> list[str]:
    """The events in their usual order, each once.

    Raises:
        VerdictError: for one that there is not.
    """
    unknown = [event for event in events if event not in ASKED]
    if unknown:
        known = ", ".join(ASKED)
        raise VerdictError(
            "There is no such event.",
            [Problem("events", f"found {unknown[0]!r:.80}; expected some of {known}")],
        )
    return [kind for kind in ASKED if kind in events]
