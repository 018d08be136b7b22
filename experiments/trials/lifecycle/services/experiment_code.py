"""Code version of an experiment's trials: the same on all nodes."""

from __future__ import annotations

import datetime as dt
import json

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from experiments.design import configuration as configurations
from experiments.errors import Conflict
from experiments.models import Configuration, Experiment, Replication, Trial, Worker
from experiments.models.replication import Purpose


def change(
    *, experiment_id: int, code: str, source: str, worker_id: int | None, ran_before: str
) -> None:
    """Go on with other code than the experiment's last trial had; `source` says where it lies.

    A worker may: the first one, one whose own code has changed since it ran `ran_before`, and
    any once no other live worker has run the present code.

    Raises:
        Conflict: with both digests, when other nodes still run the present code.
    """
    with transaction.atomic():
        experiment = Experiment.objects.select_for_update(no_key=True).get(pk=experiment_id)
        if experiment.code == code:
            return
        if experiment.code and ran_before in ("", code):
            _check_no_other(experiment, code, worker_id)
        versions = experiment.code_versions
        if code and code not in (digest for digest, _ in versions):
            versions.append([code, source])
        Experiment.objects.filter(pk=experiment_id).update(code=code, codes=json.dumps(versions))


def _check_no_other(experiment: Experiment, code: str, worker_id: int | None) -> None:
    alive = timezone.now() - dt.timedelta(seconds=settings.STALE_AFTER_SECONDS)
    others = Worker.objects.filter(
        stopped_at__isnull=True,
        heartbeat_at__gte=alive,
        trials__study__experiment=experiment,
        trials__configuration__document__contains=f'"code":"{experiment.code}"',
    )
    other = others.exclude(pk=worker_id or 0).first()
    if other is not None:
        raise Conflict(
            f"the code differs between nodes: {other.name} runs {experiment.code[:10]} in this "
            f"experiment, this worker has {code[:10] or 'none'}. Bring the same code to both, or "
            "stop one of them, and try it again"
        )


def complete_baseline(*, trial_id: int, code: str) -> None:
    """Enter the code of a project's baseline, known when its first replicate begins."""
    with transaction.atomic():
        replication = (
            Replication.objects.select_for_update(of=("self",))
            .select_related("candidate")
            .filter(studies__trials=trial_id, purpose=Purpose.BASELINE)
            .first()
        )
        if replication is None:
            return
        known = json.loads(replication.candidate.document)
        if known.get("code") or not code:
            return
        document = configurations.canonical(**{**known, "code": code})
        with_code, _ = Configuration.objects.get_or_create(
            project_id=replication.candidate.project_id,
            digest=configurations.digest(document),
            defaults={"document": document},
        )
        Trial.objects.filter(study__replication=replication).update(configuration=with_code)
        Replication.objects.filter(pk=replication.pk).update(candidate=with_code)
