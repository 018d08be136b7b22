from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from experiments.design.document import experiment_file
from experiments.design.follow_ups import refinement
from experiments.design.space.search_space import Choices, Fixed, Range, searched_domain
from experiments.errors import Conflict, InvalidExperiment
from experiments.models import Experiment, Project, Study
from experiments.models.trial import Origin, TrialState
from experiments.trials.lifecycle.services import trials
from tests import cast

pytestmark = pytest.mark.django_db

TEXT = """\
project: digits
experiment: wide
goal: Where is it good?
objective: workers.problems.digits:train
notes: First look.
search: {sampler: random, trials: 8, parallel: 3, seed: 3}
stop: {minutes: 60, no_improvement_for: 5}
hyperparameters:
%s
  epochs: {role: fixed, value: 9}
first: [%s]
"""
RATE = "  learning_rate: {role: nuisance, low: 1e-4, high: 1e-1, log: true, natural: [low]}\n"
SIZES = "  units: {role: nuisance, choices: [16, 32, 64, 128], ordered: true}\n"
FORMS = "  form: {role: nuisance, choices: [a, b, c]}\n"
WHOLE = "  layers: {role: nuisance, low: 1, high: 9}\n"
SMOOTH = "  smoothing: {role: scientific, choices: [0.0, 0.1]}\n"


def _search(
    hyperparameters: str, configurations: Sequence[Mapping[str, Any]], *, arms: int = 1
) -> Experiment:
    """An ended random search; the first configuration of each arm is its best, and so on."""
    cast.project()
    first = json.dumps(configurations[0]) if configurations else ""
    experiment = cast.search(source=TEXT % (hyperparameters, first))
    file = experiment_file.parse(experiment.source)
    for study in Study.objects.filter(experiment=experiment).order_by("arm_index"):
        arm = file.arms()[study.arm_index]
        for index, values in enumerate(configurations[study.arm_index :: arms]):
            trials.create(
                study_id=study.pk,
                state=TrialState.COMPLETE,
                origin=Origin.SAMPLER,
                parameters={
                    hyperparameter.name: (
                        values[hyperparameter.name],
                        searched_domain(hyperparameter).distribution(),
                    )
                    for hyperparameter in arm.searched
                },
                values=[1.0 - index / 100],
            )
    cast.end(experiment)
    experiment.refresh_from_db()
    return experiment


def _made(experiment: Experiment, **how: Any) -> experiment_file.ExperimentFile:
    return experiment_file.parse(refinement.grid_file(experiment, **how))


RATES = [3e-3, 1e-3, 1e-4, 1e-1, 1e-2, 5e-2, 2e-4, 5e-4]


def test_the_grid_spans_the_range_of_the_best_quarter() -> None:
    search = _search(RATE, [{"learning_rate": rate} for rate in RATES])
    file = _made(search)
    assert file.space["learning_rate"].domain == Range(1e-3, 3e-3, log=True)
    assert (file.sampler, file.name, file.extends) == ("grid", "wide-grid", "wide")
    assert (file.parallel, file.seed, file.stop, file.first) == (3, 3, {"minutes": 60.0}, ())
    assert file.trials == file.grid_points == 5
    assert file.notes == (
        "First look.\nA grid over the region of the best 2 of 8 complete trials of wide."
    )


def test_an_edge_that_moved_is_no_limit_by_nature_any_more() -> None:
    search = _search(RATE, [{"learning_rate": rate} for rate in RATES])
    assert _made(search).space["learning_rate"].natural == frozenset()
    kept = [{"learning_rate": rate} for rate in (1e-4, 1e-3, *RATES[3:], 5e-3)]
    Experiment.objects.all().delete()
    Project.objects.all().delete()
    assert _made(_search(RATE, kept)).space["learning_rate"].natural == frozenset({"low"})


def test_choices_keep_those_of_the_best_and_a_scale_has_no_gaps() -> None:
    values = [(16, "c"), (64, "a"), *[(128, "b")] * 6]
    search = _search(SIZES + FORMS, [{"units": u, "form": f} for u, f in values])
    file = _made(search)
    assert file.space["units"].domain == Choices((16, 32, 64), ordered=True)
    assert file.space["form"].domain == Choices(("a", "c"))


def test_what_all_of_the_best_share_is_fixed_at_it() -> None:
    values = [(1e-3, 4), (2e-3, 4), *[(1e-1, 9)] * 6]
    search = _search(RATE + WHOLE, [{"learning_rate": r, "layers": n} for r, n in values])
    file = _made(search)
    assert file.space["layers"].role == "fixed" and file.space["layers"].domain == Fixed(4)
    assert file.trials == 5


def test_the_region_of_several_arms_holds_the_best_of_each() -> None:
    pairs = [(1e-3, 1e-2), (2e-3, 3e-2), *[(1e-1, 1e-4)] * 6]
    rates = [{"learning_rate": rate} for pair in pairs for rate in pair]
    search = _search(SMOOTH + RATE, rates, arms=2)
    file = _made(search)
    assert file.space["learning_rate"].domain == Range(1e-3, 3e-2, log=True)
    assert len(file.arms()) == 2


def test_a_taken_name_gets_a_number_and_stays_short() -> None:
    search = _search(RATE, [{"learning_rate": rate} for rate in RATES])
    assert _made(search, taken=["wide", "wide-grid"]).name == "wide-grid-2"
    search.name = "w" * 200
    assert len(_made(search).name) == 200


def test_more_than_two_dimensions_are_refused_with_the_reason_unless_insisted_on() -> None:
    values = [(1e-3, 2, "a"), (2e-3, 4, "b"), *[(1e-1, 9, "c")] * 6]
    names = ("learning_rate", "layers", "form")
    search = _search(RATE + WHOLE + FORMS, [dict(zip(names, v, strict=True)) for v in values])
    with pytest.raises(InvalidExperiment) as raised:
        refinement.grid_file(search)
    assert "a grid over 3 hyperparameters" in raised.value.problems[0].message
    file = _made(search, insist=True)
    assert file.sampler_options == {"allow_high_dimensions": True} and file.trials == 5 * 3 * 2


def test_equal_best_trials_leave_a_grid_nothing() -> None:
    search = _search(FORMS, [{"form": "a"}] * 8)
    with pytest.raises(Conflict, match="nothing left"):
        refinement.grid_file(search)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"state": "running"}, "that has ended"),
        ({"sampler": "tpe"}, "random"),
        ({"sampler": "grid"}, "random"),
    ],
)
def test_only_a_search_that_looked_everywhere_has_a_good_region(
    changed: dict[str, str], says: str
) -> None:
    search = _search(FORMS, [{"form": "a"}] * 8)
    Experiment.objects.filter(pk=search.pk).update(**changed)
    search.refresh_from_db()
    with pytest.raises(Conflict, match=says):
        refinement.good_region(search)


def test_too_few_complete_trials_tell_nothing() -> None:
    search = _search(FORMS, [{"form": "a"}] * 7)
    with pytest.raises(Conflict, match="7 complete trials; at least 8"):
        refinement.good_region(search)
