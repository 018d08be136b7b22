"""One experiment in each state, and extremes: every page has something to show."""

from __future__ import annotations

from django.contrib.auth.models import User

from experiments.models import Project
from tests.cast.findings import some_findings
from tests.cast.people import project
from tests.cast.recorded_decisions import decided
from tests.cast.reports import frozen_report
from tests.cast.searches import finished_search, running_search, search
from tests.cast.seeds import repeated
from tests.cast.studies import free_study
from tests.cast.training_runs import many_trials


def everything() -> None:
    """A data base for looking at every page: one experiment in each state, and extremes."""
    User.objects.create_superuser("root", password="correct horse")
    digits = project()
    project("speech-recognition", official_metric="word_error_rate", direction="minimize",
            name="Speech recognition", margin=0.0, smallest_gain=None)  # fmt: skip
    decided("wider-network", "adopt", "Twice the width pays for itself; training takes as long.")
    decided("no-dropout", "reject", "Not better than the champion on any split.", gain=-0.002)
    smoothing = finished_search(trials_per_arm=24)
    some_findings(smoothing)
    repeated(smoothing)
    under_way = running_search(recent=True)
    some_findings(under_way)
    between = finished_search("cosine-schedule")
    some_findings(between, warn=False)
    repeated(between, done=6)
    fresh = finished_search("batch-size")
    some_findings(fresh)
    undecided = finished_search("augmentation")
    repeated(undecided, gain=0.0012)
    search("just-created", goal="What does a search look like before its first trial?")
    free_study()
    frozen_report(
        "# Does it pay?\n\nIt does, once the learning rate is tuned again.\n\n"
        "experiments/label-smoothing/?tab=history\n\nruns/?group=arm#trials\n\ndecisions/1/",
        title="Label smoothing after retuning",
    )
    large = finished_search("ten-thousand", trials_per_arm=4)
    many_trials(large, 10_000)
    long = "a-name-of-two-hundred-characters-" + "x" * 160
    search(long, goal="Does it still fit? " + "All of it, on a phone as well. " * 12)
    Project.objects.filter(pk=digits.pk).update(name="Digits")
