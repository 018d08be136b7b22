"""What keeps a file from running in a project is told before as at its creation."""

from __future__ import annotations

import pytest

from experiments.design.review.design_review import review
from experiments.errors import VerdictError
from experiments.team.queries.access import find_project
from experiments.trials.lifecycle.services import experiments
from tests import cast

pytestmark = pytest.mark.django_db
TEXT = cast.LABEL_SMOOTHING.format(name="fine", goal="Does it help?", trials=4)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("project: digits", "project: other", "project"),
        ("experiment: fine", "experiment: taken", "experiment"),
        ("experiment: fine", "experiment: fine\nextends: nothing", "extends"),
        ("workers.problems.digits:train", "os.path:join", "objective"),
        ("direction: maximize", "direction: minimize", "metrics.validation_accuracy.direction"),
        ("high: 1.0e-1", "high: 1.0e-9", "hyperparameters.learning_rate"),
    ],
)
def test_the_check_and_the_creation_refuse_the_same(old: str, new: str, where: str) -> None:
    cast.project()
    cast.search("taken")
    person = cast.person("ada")
    access = find_project(person, "digits")
    assert access is not None and old in TEXT
    text = TEXT.replace(old, new)
    before = review(text, access)
    with pytest.raises(VerdictError) as raised:
        experiments.create(access=cast.access(person), text=text)
    assert [problem.where for problem in before.problems] == [where]
    assert before.problems == raised.value.problems


def test_what_the_check_passes_is_created() -> None:
    cast.project()
    person = cast.person("ada")
    access = find_project(person, "digits")
    assert access is not None
    found = review(TEXT, access)
    assert not found.error and found.design
    assert experiments.create(access=cast.access(person), text=TEXT).name == "fine"
