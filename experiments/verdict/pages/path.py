"""Progress of an experiment from design to decision, and its next step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.urls import reverse

from experiments.design.queries.time_left import look_time
from experiments.verdict.panels.path_context import PathContext
from experiments.verdict.queries.replication_state import ReplicationState
from experiments.verdict.services.replications import DEFAULT_LOOKS
from experiments.web.formatting import time_range

StepState = Literal["done", "warned", "now", "later"]
ENDED = ("finished", "stopped")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the path: its state and the reason in a few words."""

    title: str
    state: StepState
    say: str
    url: str


@dataclass(frozen=True, slots=True)
class NextStep:
    """The one thing to do now: a sentence, and a button unless the person may not press it."""

    say: str
    label: str = ""
    url: str = ""
    who: str = ""
    tone: Literal["", "warning", "problem"] = ""


def state_words(at: PathContext, waits: str) -> str:
    """Details of the state: trials that run, reason of a pause, outcome."""
    experiment = at.experiment
    if experiment.state == "paused" or experiment.state == "stopped":
        return experiment.stop_reason
    if experiment.state == "running":
        return waits or f"{at.tally.running} running now"
    if experiment.has_failed:
        return "no trial completed"
    return "" if at.decision is not None else "not decided"


def decided_choice(at: PathContext) -> str:
    """The decision on it, "" before there is one."""
    if at.replication is not None and at.replication.decision is not None:
        return at.replication.choice
    return "dropped" if at.dropped is not None else ""


def steps(at: PathContext, look: str) -> tuple[Step, ...]:
    """Design, Search, Check, Repeat over seeds, Decide; `look`: as `first_look`."""
    return (_design(at), _search(at), _check(at), _repeat(at, look), _decide(at))


def _design(at: PathContext) -> Step:
    if at.file is None:
        return Step("Design", "done", "described by a program", at.url("experiment") + "#space")
    roles = [
        f"{len(at.file.space.of_role(role))} {role}"
        for role in ("scientific", "nuisance", "fixed")
        if at.file.space.of_role(role)
    ]
    return Step("Design", "done", ", ".join(roles), at.url("experiment") + "#space")


def _search(at: PathContext) -> Step:
    experiment = at.experiment
    done = f"{experiment.trial_count:,} of {experiment.budget:,} trials"
    if at.searching:
        say = f"{done}, {at.tally.running} running"
        if experiment.state == "paused":
            say = f"{done}, paused"
        return Step("Search", "now", say, at.url("experiment") + "#trials")
    say = done if experiment.state == "stopped" else f"{experiment.trial_count:,} trials"
    return Step("Search", "done", say, at.url("experiment") + "#trials")


def _check(at: PathContext) -> Step:
    count = at.counts.answer_summary
    url = at.url("experiment") + "#findings"
    if at.searching:
        return Step("Check", "later", f"{count} so far" if count else "nothing so far", url)
    dismissed = len(at.findings.dismissed)
    if count:
        # They do not bar the way: they go with the evidence.
        if at.replication is not None or at.dropped is not None:
            return Step("Check", "warned", f"{count} open", url)
        return Step("Check", "now", f"{count} to answer", url)
    say = f"{dismissed} dismissed with a reason" if dismissed else "nothing to answer"
    return Step("Check", "done", say, url)


def _repeat(at: PathContext, look: str) -> Step:
    url, replication = at.url("seeds"), at.replication
    title = "Repeat over seeds"
    if replication is None:
        if at.dropped is not None:
            return Step(title, "later", "left out", url)
        if at.searching:
            return Step(title, "later", "after the search", url)
        if at.experiment.is_baseline:
            return Step(title, "done", "a baseline", reverse("baseline", args=[at.access.slug]))
        if not at.experiment.best_trial_id:
            lacks = "score" if at.experiment.complete_count else "complete trial"
            return Step(title, "later", f"needs a {lacks}", url)
        return Step(title, "later" if at.counts.to_answer else "now", look, url)
    if replication.complete:
        return Step(title, "done", replication.progress, url)
    if replication.accidents and not replication.replicates_open:
        return Step(title, "now", f"{replication.accidents} to repeat after accidents", url)
    say = f"{replication.replicates_done} of {2 * replication.pairs_queued} replicates"
    return Step(title, "now", say, url)


def first_look(at: PathContext) -> str:
    """Cost of the first look: first look at 10 pairs, 4 to 6 min."""
    pairs = DEFAULT_LOOKS[0]
    begins = at.replication is None and at.experiment.best_trial_id and not at.searching
    takes = look_time(at.experiment, pairs) if begins else None
    say = f"first look at {pairs} pairs"
    return say if takes is None else f"{say}, {time_range(takes.low, takes.high)}"


def _decide(at: PathContext) -> Step:
    url, replication = at.url("decide"), at.replication
    if at.dropped is not None and replication is None:
        return Step("Decide", "done", "dropped without seeds", url)
    if replication is None:
        return Step("Decide", "later", "needs fresh seeds", url)
    if replication.decision is not None:
        return Step(
            "Decide", "done", f"{replication.choice}, decision {replication.decision}", url
        )
    if replication.complete:
        return Step(
            "Decide", "now", "ready for your decision" if at.access.can_decide else "open", url
        )
    return Step("Decide", "later", "after this look", url)


def next_step(at: PathContext, look: str, waits: str) -> NextStep:
    """The next sensible thing to do; `look`: as `first_look`; `waits`: why no trial starts."""
    if at.decision is not None:
        return NextStep(
            "This experiment is decided.",
            "Read the decision",
            reverse("decision", args=[at.access.slug, at.decision]),
        )
    if at.replication is not None:
        return _next_after_seeds(at, at.replication)
    if at.searching:
        return _next_while_searching(at, waits)
    if at.experiment.is_baseline:
        return NextStep(
            "This is a baseline: one configuration over seeds, nothing is searched.",
            "See its seeds",
            reverse("baseline", args=[at.access.slug]),
        )
    if not at.experiment.best_trial_id:
        return _next_without_a_score(at)
    if at.outside:
        return NextStep(
            "External programs ran these trials. To decide on one, declare what is compared: then "
            "log the candidate and the baseline again, under fresh seeds.",
            *_repeat_button(at),
        )
    cost = f"{look.capitalize()}."
    if at.counts.problems:
        return _next_with_a_problem(at)
    if at.counts.warnings:
        return NextStep(
            f"Search finished, {at.counts.answer_summary} to answer. For a decision, repeat the "
            f"best configuration over fresh seeds. {cost}",
            *_repeat_button(at),
        )
    return NextStep(
        "Search finished, nothing to answer. Its best score is the luckiest of many: repeat the "
        f"configuration over fresh seeds. {cost}",
        *_repeat_button(at),
    )


def _next_with_a_problem(at: PathContext) -> NextStep:
    """The gravest finding, before anything else."""
    gravest = at.findings.first[0]
    say = f"{gravest.title}. {gravest.advice}"
    return NextStep(say, "Read the findings", "#findings", tone="problem")


def _next_without_a_score(at: PathContext) -> NextStep:
    complete, metric = at.experiment.complete_count, at.experiment.official_metric
    if not complete:
        return NextStep("The search ended without a complete trial: read the failures below.")
    if not metric:
        return NextStep("Runs completed; name the official metric to score them.")
    runs = "run completed" if complete == 1 else "runs completed"
    return NextStep(f"{complete:,} {runs} without a score: none logged {metric}.")


def _next_after_seeds(at: PathContext, replication: ReplicationState) -> NextStep:
    if not replication.complete:
        done, total = replication.replicates_done, 2 * replication.pairs_queued
        say = f"{done} of {total} replicates are done; nothing is tested before all are."
        return NextStep(say, "See the seeds", at.url("seeds"))
    if at.access.can_decide:
        return NextStep(
            "All fresh seeds of this look are in.", "Adopt or reject", at.url("decide")
        )
    return NextStep(
        "All fresh seeds of this look are in; an approver decides.",
        "Read the verdict",
        at.url("decide"),
    )


def _next_while_searching(at: PathContext, waits: str) -> NextStep:
    if waits:
        return NextStep(f"{waits}.", "See the workers", reverse("workers"), tone="warning")
    if at.experiment.state == "paused":
        return NextStep("Running trials finish; no new ones start until somebody resumes it.")
    if at.counts.problems:
        return _next_with_a_problem(at)
    if at.counts.warnings:
        say = f"Running. {at.counts.answer_summary} so far."
        return NextStep(say, "Read the findings", "#findings")
    if at.experiment.best_trial_id:
        return NextStep(
            "Running. After the search, repeat the best configuration over fresh seeds.",
            "Show the best trial",
            "#trials",
        )
    return NextStep("Running. Curves appear with the first evaluations.")


def _repeat_button(at: PathContext) -> tuple[str, str, str]:
    if at.access.can_edit:
        return ("Repeat over seeds", at.url("seeds"), "")
    return ("", "", f"An editor can start them; your role is {at.access.role}.")
