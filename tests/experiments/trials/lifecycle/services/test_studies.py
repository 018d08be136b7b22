from __future__ import annotations

import pytest

from experiments.errors import Conflict, NotAllowed, NotFound, StudyCited, VerdictError
from experiments.models import Project, Study
from experiments.trials.lifecycle.queries import studies as queries
from experiments.trials.lifecycle.services import copied_studies, studies
from experiments.trials.lifecycle.services.copied_studies import Original
from tests import cast

pytestmark = pytest.mark.django_db


def test_free_standing_studies_lie_in_a_project_of_their_own() -> None:
    first = studies.create(name="one", directions=["minimize"])
    second = studies.create(name="two", directions=["maximize", "minimize"])
    assert set(Study.objects.values_list("pk", "project__slug", "kind")) == {
        (first, "optuna", "free"),
        (second, "optuna", "free"),
    }
    assert queries.get(second).directions == ("maximize", "minimize")


def test_a_study_may_lie_in_a_named_project_that_is_there() -> None:
    project = cast.project("digits")
    study_id = studies.create(name="mine", directions=["minimize"], project="digits")
    assert Study.objects.get(pk=study_id).project == project
    with pytest.raises(NotFound, match="no project typo"):
        studies.create(name="other", directions=["minimize"], project="typo")
    assert not Project.objects.filter(slug="typo").exists()


def test_nothing_is_written_into_an_archived_project() -> None:
    cast.project("digits")
    original = Original("theirs", ["minimize"], {}, {}, ())
    copied_studies.copy(original, project="digits")
    Project.objects.update(archived_at=cast.START)
    with pytest.raises(NotAllowed, match="digits is archived"):
        studies.create(name="mine", directions=["minimize"], project="digits")
    with pytest.raises(NotAllowed, match="digits is archived"):
        copied_studies.copy(original, project="digits")


def test_a_name_is_taken_until_its_study_is_deleted() -> None:
    first = studies.create(name="same", directions=["minimize"])
    with pytest.raises(Conflict):
        studies.create(name="same", directions=["minimize"])
    studies.delete(study_id=first)
    second = studies.create(name="same", directions=["minimize"])
    assert queries.by_name("same").id == second != first
    assert [row.id for row in queries.everything()] == [second]


def test_nameless_studies_get_names_of_their_own() -> None:
    ids = [studies.create(name=None, directions=["minimize"]) for _ in range(2)]
    names = {queries.get(study_id).name for study_id in ids}
    assert len(names) == 2 and all(name.startswith("no-name-") for name in names)


def test_a_name_that_no_database_holds_is_refused() -> None:
    assert studies.create(name="x" * 512, directions=["minimize"])
    with pytest.raises(VerdictError, match="512"):
        studies.create(name="x" * 513, directions=["minimize"])


def test_a_study_that_is_not_there_is_not_found() -> None:
    gone = studies.create(name="gone", directions=["minimize"])
    studies.delete(study_id=gone)
    for study_id in (gone, 10**9):
        with pytest.raises(NotFound):
            queries.get(study_id)
        with pytest.raises(NotFound):
            studies.delete(study_id=study_id)
        with pytest.raises(NotFound):
            studies.set_user_attribute(study_id=study_id, key="a", value=1)
    with pytest.raises(NotFound):
        queries.by_name("gone")


def test_a_study_that_a_decision_cites_stays() -> None:
    cast.project()
    experiment = cast.decided("cited", "adopt", "It is better by more than the margin.")
    for study in experiment.studies.all():
        with pytest.raises(StudyCited):
            studies.delete(study_id=study.pk)
        assert queries.get(study.pk).name == study.name
    assert issubclass(StudyCited, RuntimeError)


def test_deleting_a_study_takes_its_trials_out_of_the_experiment() -> None:
    cast.project()
    search = cast.finished_search()
    study = search.best_trial.study  # type: ignore[union-attr]
    other = search.studies.exclude(pk=study.pk).get()
    studies.delete(study_id=study.pk)
    search.refresh_from_db()
    assert search.trial_count == other.trials.count()
    assert search.best_trial is not None and search.best_trial.study == other
    studies.delete(study_id=other.pk)
    search.refresh_from_db()
    assert (search.trial_count, search.best_trial, search.best_value) == (0, None, None)
