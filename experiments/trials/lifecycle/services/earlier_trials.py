"""Let the samplers of a new search begin with trials of the experiment that it extends."""

from __future__ import annotations

from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.queries.earlier_trials import ATTRIBUTE, EarlierTrials, earlier_trials
from experiments.design.queries.records import AnyExperiment
from experiments.models import Study
from experiments.models.trial import StudyKind
from experiments.models.trial_encoding import decode, encode

MOST_GIVEN = 1000  # in each arm


def attach(experiment: AnyExperiment, file: ExperimentFile, older: AnyExperiment) -> EarlierTrials:
    """Freeze which complete trials of `older` each arm's sampler learns from.

    At most `MOST_GIVEN`, evenly from the best to the worst: a Gaussian process costs their cube.
    Only their ids are written, with the study: no trial is copied, none counts as one of the new
    search, none takes a row or any of its budget. Later trials of `older` change nothing.
    """
    found = earlier_trials(older, file)
    for study in Study.objects.filter(experiment=experiment.pk, kind=StudyKind.SEARCH):
        ids = [trial.id for trial in found.inside if trial.arm == study.arm_index]
        if len(ids) > MOST_GIVEN:
            ids = [ids[rank * len(ids) // MOST_GIVEN] for rank in range(MOST_GIVEN)]
        attributes = {**decode(study.system_attributes), ATTRIBUTE: sorted(ids)}
        Study.objects.filter(pk=study.pk).update(system_attributes=encode(attributes))
    return found
