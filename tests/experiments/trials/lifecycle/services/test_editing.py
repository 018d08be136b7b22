from __future__ import annotations

import copy
import json

import pytest

from experiments.design.queries.citations import citations
from experiments.design.queries.experiments import (
    ExperimentFilter,
    list_experiments,
    tags_in,
    tags_of,
)
from experiments.errors import Conflict, NotAllowed, NotFound, StudyCited, VerdictError
from experiments.models import Decision, Experiment, SeriesBatch, Study, Trial
from experiments.models.trial import TrialState
from experiments.team.queries.access import find_project
from experiments.trials.lifecycle.services import editing, experiments
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def made_experiment(module_db: None) -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=2)


@pytest.fixture
def experiment(made_experiment: Experiment) -> Experiment:
    return copy.deepcopy(made_experiment)


def names(**more: object) -> list[str]:
    access = find_project(cast.person("ada"), "digits")
    assert access is not None
    wanted = ExperimentFilter(**more)  # type: ignore[arg-type]
    return [row.name for row in list_experiments(access, wanted).rows]


def delete(experiment: Experiment, *, who: str = "ada", typed: str = "") -> None:
    editing.delete(
        access=cast.access(cast.person(who), experiment),
        experiment=experiment,
        typed_name=typed or experiment.name,
    )


def test_notes_and_tags_are_replaced_and_the_file_stays(experiment: Experiment) -> None:
    source = experiment.source
    editing.write_notes(
        access=cast.access("cleo", experiment),
        experiment=experiment,
        notes="**Bold**\r\nline",
        tags=["vision", " vision ", "", "june"],
    )
    experiment.refresh_from_db()
    assert (experiment.notes, experiment.source) == ("**Bold**\nline", source)
    assert tags_of(experiment.pk) == ("june", "vision")


def test_a_tag_filters_the_list(experiment: Experiment) -> None:
    cast.search(
        "other",
        source=experiment.source.replace("label-smoothing", "other", 1).replace(
            "regularisation", "june"
        ),
    )
    assert names(tag="june") == ["other"] and names(tag="nothing") == []
    access = find_project(cast.person("ada"), "digits")
    assert access is not None and tags_in(access) == ("june", "regularisation")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"notes": "x" * 100_001}, "notes"),
        ({"notes": "\x00"}, "notes"),
        ({"tags": ["x" * 61]}, "tags"),
        ({"tags": [str(n) for n in range(31)]}, "tags"),
    ],
)
def test_notes_that_cannot_be_kept_are_refused(
    experiment: Experiment, change: dict[str, object], where: str
) -> None:
    with pytest.raises(VerdictError) as raised:
        editing.write_notes(
            access=cast.access("cleo", experiment),
            experiment=experiment,
            **({"notes": "", "tags": []} | change),  # type: ignore[arg-type]
        )
    assert raised.value.problems[0].where == where


def test_an_archived_experiment_is_left_out_of_lists_and_comes_back(
    experiment: Experiment,
) -> None:
    cleo = cast.person("cleo")
    editing.archive(access=cast.access(cleo, experiment), experiment=experiment)
    assert names() == [] and names(archived=True) == ["label-smoothing"]
    with pytest.raises(Conflict, match="already"):
        editing.archive(access=cast.access(cleo, experiment), experiment=experiment)
    editing.bring_back(access=cast.access(cleo, experiment), experiment=experiment)
    assert names() == ["label-smoothing"] and names(archived=True) == []
    with pytest.raises(Conflict, match="not archived"):
        editing.bring_back(access=cast.access(cleo, experiment), experiment=experiment)


def test_what_is_under_way_is_neither_archived_nor_deleted() -> None:
    cast.project()
    running = cast.search("running")
    with pytest.raises(Conflict, match="stop it first"):
        editing.archive(access=cast.access("cleo", running), experiment=running)
    with pytest.raises(Conflict, match="stop it first"):
        delete(running)


def test_a_new_name_reaches_its_studies_and_frees_the_old_one(experiment: Experiment) -> None:
    editing.rename(access=cast.access("cleo", experiment), experiment=experiment, name="smoothing")
    experiment.refresh_from_db()
    assert experiment.name == "smoothing"
    assert set(Study.objects.values_list("name", flat=True)) == {
        "digits/smoothing/0",
        "digits/smoothing/1",
    }
    cast.search("label-smoothing")


@pytest.mark.parametrize("name", ["", "new", "a/b", "x" * 201, "\x00"])
def test_a_name_that_cannot_be_is_refused(experiment: Experiment, name: str) -> None:
    with pytest.raises(VerdictError) as raised:
        editing.rename(access=cast.access("cleo", experiment), experiment=experiment, name=name)
    assert raised.value.problems[0].where == "name"


def test_a_taken_name_and_running_trials_keep_the_old_name(experiment: Experiment) -> None:
    cast.search("taken")
    with pytest.raises(Conflict, match="already"):
        editing.rename(access=cast.access("cleo", experiment), experiment=experiment, name="taken")
    Trial.objects.filter(study__experiment=experiment).update(state=TrialState.RUNNING)
    with pytest.raises(Conflict, match="running"):
        editing.rename(access=cast.access("cleo", experiment), experiment=experiment, name="free")
    experiment.refresh_from_db()
    assert experiment.name == "label-smoothing"


def test_deleting_takes_trials_and_series_along(experiment: Experiment) -> None:
    delete(experiment)
    for model in (Experiment, Study, Trial, SeriesBatch):
        assert not model.objects.exists()


def test_deleting_needs_the_name_and_an_admin(experiment: Experiment) -> None:
    with pytest.raises(VerdictError) as raised:
        delete(experiment, typed="label")
    assert raised.value.problems[0].where == "typed_name"
    with pytest.raises(NotAllowed, match="admin"):
        delete(experiment, who="cleo")
    with pytest.raises(NotFound):
        delete(experiment, who="dan")
    assert Experiment.objects.exists()


def refused(experiment: Experiment) -> list[str]:
    with pytest.raises(StudyCited) as raised:
        delete(experiment)
    assert Experiment.objects.filter(pk=experiment.pk).exists()
    return [problem.message for problem in raised.value.problems]


def test_a_decision_and_its_replication_keep_it() -> None:
    cast.project()
    words = refused(cast.decided("wider", "reject", "No.", gain=-0.002))
    assert words[0] == "decision 1 (reject) rests on it"
    assert "replication" in words[1] and Decision.objects.exists()


def test_declared_looks_keep_it_before_any_decision(experiment: Experiment) -> None:
    cast.repeated(experiment, done=0)
    assert "its looks stay on record" in refused(experiment)[0]


def test_what_extends_it_keeps_it(experiment: Experiment) -> None:
    text = experiment.source.replace("experiment: label-smoothing", "experiment: next")
    text = text.replace("goal:", "extends: label-smoothing\ngoal:", 1)
    later = experiments.create(access=cast.access("cleo"), text=text)
    assert refused(experiment) == ["next extends it"]
    cast.end(later)
    delete(Experiment.objects.get(name="next"))
    delete(experiment)


def test_a_finding_of_another_experiment_whose_evidence_names_it_keeps_it(
    experiment: Experiment,
) -> None:
    other = cast.search("other")
    evidence = json.dumps({"earlier": [{"experiment": experiment.name}]})
    cast.finding(other, evidence=evidence, title="Interacts with width")
    assert refused(experiment) == ["a finding of other rests on it: Interacts with width"]


def test_a_name_inside_a_longer_one_is_no_citation(experiment: Experiment) -> None:
    other = cast.search("other")
    cast.finding(other, evidence=json.dumps({"label-smoothing": 1, "at": "label-smoothing-2"}))
    assert citations(experiment) == ()


def test_viewers_change_nothing(experiment: Experiment) -> None:
    ben = cast.person("ben")
    for act in (editing.archive, editing.bring_back):
        with pytest.raises(NotAllowed):
            act(access=cast.access(ben, experiment), experiment=experiment)
    with pytest.raises(NotAllowed):
        editing.rename(access=cast.access(ben, experiment), experiment=experiment, name="mine")
    with pytest.raises(NotAllowed):
        editing.write_notes(
            access=cast.access(ben, experiment), experiment=experiment, notes="", tags=[]
        )
