"""An installation with much of everything: the database for the benchmark of all pages."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks._page_database import EXPERIMENT, METRIC, PERSON, PROJECT, START, fill

TEXTS = ("label smoothing", "wider network", "longer warm-up", "other optimizer")


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many of each there are; `trials` in one experiment, each with 20 metrics."""

    trials: int = 100_000
    points: int = 20
    experiments: int = 2_000
    projects: int = 2_000
    others: int = 5_000  # members, workers, decisions, tags, tokens, files, links, webhooks, ...
    findings: int = 10_000
    running: int = 2_000  # trials, one of one of as many workers


def fill_all(amounts: Amounts) -> None:
    """The benchmark's experiment, and beside it as many of everything; migrated tables given."""
    from django.contrib.auth.models import User
    from django.db import transaction

    from experiments.models import Experiment, Project

    fill(amounts.trials, amounts.points)
    user = User.objects.get(username=PERSON)
    project = Project.objects.get(slug=PROJECT)
    experiment = Experiment.objects.get(project=project, name=EXPERIMENT)
    with transaction.atomic():
        _projects(user, amounts)
        _people(project, user, amounts)
        _experiments(project, experiment, user, amounts)
        _decisions(project, experiment, user, amounts)
        _of_experiment(experiment, amounts)
        _workers(experiment, amounts)
        _outgoing(project, user, amounts)


def _many(rows: Iterable[Any]) -> list[Any]:
    made = list(rows)
    return list(type(made[0]).objects.bulk_create(made)) if made else []


def _projects(user: Any, amounts: Amounts) -> None:
    from experiments.models import Experiment, Membership, Project

    made = _many(
        Project(slug=f"project-{i:04}", name=f"Project {i}", official_metric=METRIC,
                direction="maximize")
        for i in range(amounts.projects)
    )  # fmt: skip
    _many(Membership(user=user, project=one, role="admin") for one in made)
    _many(_experiment(one, f"first-{i}", user, i) for i, one in enumerate(made))
    del Experiment


def _people(project: Any, user: Any, amounts: Amounts) -> None:
    from django.contrib.auth.models import User

    from experiments.models import ApiToken, Invitation, Membership, ProjectChange

    people = _many(User(username=f"person-{i:05}", password="!") for i in range(amounts.others))
    roles = ("viewer", "editor", "approver", "admin")
    _many(Membership(user=one, project=project, role=roles[i % 4]) for i, one in enumerate(people))
    _many(
        ApiToken(owner=user if i % 2 else one, project=project if i % 3 else None,
                 name=f"token {i}", prefix=f"{i:08}", digest=_digest("token", i))
        for i, one in enumerate(people)
    )  # fmt: skip
    late = START + dt.timedelta(days=3650)
    _many(
        Invitation(project=project, role="viewer", email=f"p{i}@example.org", invited_by=user,
                   expires_at=late)
        for i in range(amounts.others)
    )  # fmt: skip
    _many(
        ProjectChange(project=project, made_by=user, made_by_name=PERSON, text=f"change {i}")
        for i in range(amounts.others)
    )


def _experiment(project: Any, name: str, user: Any, i: int, like: Any = None) -> Any:
    from experiments.models import Experiment

    state = ("running", "finished", "paused", "stopped")[i % 4]
    return Experiment(
        project=project, name=name, goal=f"Does {TEXTS[i % 4]} help?", created_by=user,
        official_metric=METRIC, direction="maximize", sampler="halton", budget=100, state=state,
        trial_count=40, complete_count=40 if i % 8 else 0, failed_count=0 if i % 8 else 40,
        failed_alike=2, best_value=0.9 if i % 8 else None,
        document=like.document if like else "{}", source=like.source if like else "",
        objective="workers.problems.digits:train",
    )  # fmt: skip


def _experiments(project: Any, like: Any, user: Any, amounts: Amounts) -> None:
    from experiments.models import ExperimentTag, Study

    made = _many(
        _experiment(project, f"experiment-{i:04}", user, i, like)
        for i in range(amounts.experiments)
    )
    _many(
        Study(project=project, experiment=one, kind="search", name=f"s{one.pk}", budget=100,
              directions="maximize", next_number=40, next_row=40)
        for one in made
    )  # fmt: skip
    _many(
        ExperimentTag(experiment=made[i % len(made)], name=f"tag-{i:05}")
        for i in range(amounts.others)
    )
    _many(ExperimentTag(experiment=like, name=f"own-{i:05}") for i in range(amounts.others // 10))
    _many(
        Study(project=project, kind="free", name=f"free-{i}", directions="minimize")
        for i in range(amounts.others)
    )


def _decisions(project: Any, experiment: Any, user: Any, amounts: Amounts) -> None:
    from experiments.models import Configuration, Decision, SharedLink, Trial
    from experiments.verdict.decision_chain import first_previous_hash, sign, signed_fields

    trial = Trial.objects.filter(study__experiment=experiment, state=1).first()
    document = '{"objective":"a:b","parameters":{}}'
    configuration = Configuration.objects.create(
        project=project, digest=hashlib.sha256(document.encode()).hexdigest(), document=document
    )
    previous, made = first_previous_hash(project.pk), list[Any]()
    for i in range(amounts.others):
        choice = ("adopt", "reject")[i % 2]
        entry = Decision(
            project=project, sequence=i + 1, choice=choice, experiment=experiment,
            candidate=configuration, baseline=configuration, verdict=choice, reason="It is so.",
            evidence=EVIDENCE, decided_by=user, decided_by_name=PERSON,
            decided_at=START + dt.timedelta(minutes=i), previous_hash=previous,
        )  # fmt: skip
        previous = entry.hash = sign(signed_fields(entry))
        made.append(entry)
    made = _many(made)
    _many(
        SharedLink(project=project, decision=one, prefix=f"{i:06}", digest=_digest("link", i),
                   created_by=user)
        for i, one in enumerate(made)
    )  # fmt: skip
    del trial


EVIDENCE = '{"verdict":{"gain":0.01,"lower":0.002,"upper":0.018}}'


def _of_experiment(experiment: Any, amounts: Amounts) -> None:
    from experiments.models import Artifact, Finding, Trial

    trials = list(Trial.objects.filter(study__experiment=experiment)[: amounts.findings])
    rules = ("overfitting", "divergence", "instability", "late_best")
    _many(
        Finding(experiment=experiment, trial=trial, rule=rules[i % 4], subject=str(i), version=1,
                status="fired", severity=("warning", "problem", "notice")[i % 3],
                title="Validation loss rises after epoch 12 (+8 %)", detail="It rises.")
        for i, trial in enumerate(trials)
    )  # fmt: skip
    _many(
        Finding(experiment=experiment, rule="boundary", subject=f"parameter {i}", version=1,
                status="fired", severity="warning", title="The best trials lie at an edge")
        for i in range(amounts.findings)
    )  # fmt: skip
    _many(
        Artifact(trial=trials[0], kind=("file", "image")[i % 2], name=f"file-{i}.png",
                 path=f"none/{i}", size=100, sha256="0" * 64)
        for i in range(amounts.others)
    )  # fmt: skip


def _workers(experiment: Any, amounts: Amounts) -> None:
    from django.utils import timezone

    from experiments.models import Experiment, Study, Trial, Worker

    now = timezone.now()
    made = _many(
        Worker(name=f"node-{i:05}", host=f"host-{i:05}", pid=i, queues=f"cpu gpu q{i % 200}",
               devices="cuda:0 cuda:1", slots=2, started_at=now, heartbeat_at=now)
        for i in range(amounts.others)
    )  # fmt: skip
    study = Study.objects.create(
        project=experiment.project, experiment=experiment, kind="search", name="running",
        arm_index=2, directions="maximize", budget=10**6,
    )  # fmt: skip
    Study.objects.filter(pk=study.pk).update(deleted_at=now)
    other = Experiment.objects.get(project=experiment.project, name="experiment-0000")
    held = Study.objects.get(experiment=other, kind="search")
    _many(
        Trial(study=held, number=i, row=i, state=0, worker=made[i], device="cuda:0",
              started_at=now, heartbeat_at=now, origin="sampler")
        for i in range(min(amounts.running, len(made)))
    )  # fmt: skip


def _outgoing(project: Any, user: Any, amounts: Amounts) -> None:
    from django.utils import timezone

    from experiments.models import BatchSizeProbe, Delivery, Event, RunsView, Webhook

    hooks = _many(
        Webhook(project=project, address=f"https://example.org/{i}", nonce="n" * 40,
                events=["decided"], created_by=user)
        for i in range(amounts.others)
    )  # fmt: skip
    event = Event.objects.create(project=project, kind="decided", key="decided of all")
    _many(
        Delivery(event=event, webhook=one, tries_left=1, due_at=timezone.now(), state="failed")
        for one in hooks
    )
    _many(RunsView(project=project, name=f"view {i}") for i in range(amounts.others))
    _many(
        BatchSizeProbe(project=project, objective="a:b", device="cuda:0", host=f"host-{i}")
        for i in range(amounts.others)
    )


def _digest(kind: str, i: int) -> str:
    return hashlib.sha256(f"{kind} {i}".encode()).hexdigest()
