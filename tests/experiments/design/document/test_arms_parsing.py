from __future__ import annotations

import pytest

from experiments.design.document import experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.errors import InvalidExperiment

HEAD = """
project: digits
experiment: relabelled
goal: Do the corrected labels help?
objective: workers.problems.digits:train
search: {trials: 8}
hyperparameters:
  learning_rate: {role: nuisance, low: 1e-4, high: 1e-1, log: true}
"""
ARMS = (
    HEAD
    + """
commit: 4f1c2e9
data: {name: digits, version: 1, checksum: "sha256:00"}
arms:
  before: {}
  relabelled: {data: {name: digits, version: 2024-06-01}}
  rewritten: {commit: 9a0b1c2}
"""
)


def _problems(text: str) -> dict[str, str]:
    with pytest.raises(InvalidExperiment) as raised:
        experiment_file.parse(text)
    return {problem.where: problem.message for problem in raised.value.problems}


def test_named_arms_differ_in_code_and_data_and_search_the_same() -> None:
    file: ExperimentFile = experiment_file.parse(ARMS)
    before, relabelled, rewritten = file.arms()
    first = {"name": "digits", "version": "1", "checksum": "sha256:00"}
    assert (before.label, before.runs.commit, before.runs.data) == ("before", "4f1c2e9", first)
    assert relabelled.runs.data == {"name": "digits", "version": "2024-06-01"}
    assert relabelled.runs.commit == "4f1c2e9"
    assert (rewritten.runs.commit, rewritten.runs.data) == ("9a0b1c2", first)
    assert (
        len({tuple(hyperparameter.name for hyperparameter in arm.searched) for arm in file.arms()})
        == 1
    )
    assert [file.budget_of(arm) for arm in file.arms()] == [8, 8, 8]


def test_the_name_of_an_arm_is_no_parameter_of_the_training() -> None:
    arm = experiment_file.parse(ARMS).arms()[1]
    assert arm.values == {"arm": "relabelled"}
    assert arm.complete({"learning_rate": 0.1}) == {"learning_rate": 0.1}


def test_a_hyperparameter_called_arm_stays_one_where_no_arms_are_named() -> None:
    text = HEAD + "  arm: {role: scientific, choices: [left, right]}\n"
    assert experiment_file.parse(text).arms()[0].complete({"learning_rate": 0.1}) == {
        "learning_rate": 0.1,
        "arm": "left",
    }


def test_named_arms_and_scientific_values_make_the_product_and_conditions_may_name_arms() -> None:
    text = ARMS.replace(
        "commit: 4f1c2e9",
        "  dropout: {role: nuisance, low: 0.0, high: 0.5, when: {arm: rewritten}}\n"
        "  smoothing: {role: scientific, choices: [0.0, 0.1]}\n"
        "  epochs: {role: fixed, value: {by: arm, before: 5, relabelled: 6, rewritten: 7}}\n"
        "commit: 4f1c2e9",
    )
    arms = experiment_file.parse(text).arms()
    assert len(arms) == 6 and arms[5].label == "rewritten, smoothing = 0.1"
    assert [len(arm.searched) for arm in arms] == [1, 1, 1, 1, 2, 2]
    assert [arm.fixed["epochs"] for arm in arms] == [5, 5, 6, 6, 7, 7]


def test_one_commit_and_data_for_all_arms_need_no_names() -> None:
    file = experiment_file.parse(HEAD + "commit: 4f1c2e9\ndata: {name: digits}\n")
    (arm,) = file.arms()
    assert (arm.label, arm.runs.commit, arm.runs.data) == ("", "4f1c2e9", {"name": "digits"})


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("arms: [a, b]", "arms", "must be a mapping of 2 to 12 names"),
        ("arms: {only: {commit: 4f1c2e9}}", "arms", "for one, write commit: and data:"),
        ("arms: {a: {}, b: {}}", "arms.b", "the same code on the same data as a"),
        ("arms: {a: {comit: 4f1c2e9}, b: {}}", "arms.a.comit", "unknown key"),
        ("arms: {a: {commit: main}, b: {}}", "arms.a.commit", "7 to 64 of the digits"),
        ("arms: {a: {commit: 1234567}, b: {}}", "arms.a.commit", "put it in quotes"),
        ("arms: {a: {commit: 4e12345}, b: {}}", "arms.a.commit", "put it in quotes"),
        ("arms: {a: {data: digits}, b: {}}", "arms.a.data", "must be a mapping"),
        ("arms: {a: {data: {version: 2}}, b: {}}", "arms.a.data.name", "is missing"),
        ("arms: {a: {data: {name: d, version: 1.10}}, b: {}}", "arms.a.data.version", "quotes"),
        ("data: {name: d, checksum: 12}", "data.checksum", "put it in quotes"),
        ("data: {name: d, sha: x}", "data.sha", "unknown key"),
        ("commit: [1]", "commit", "found [1]"),
    ],
)
def test_a_wrong_arm_is_named_with_what_would_be_right(text: str, where: str, says: str) -> None:
    assert says in _problems(f"{HEAD}{text}\n")[where]


def test_a_hyperparameter_may_not_be_called_arm_beside_named_arms() -> None:
    text = ARMS.replace("commit: 4f1c2e9", "  arm: {role: fixed, value: 1}\ncommit: 4f1c2e9")
    assert "choose another name" in _problems(text)["hyperparameters.arm"]


def test_named_arms_in_a_mixed_space_are_refused() -> None:
    text = ARMS.replace(
        "commit: 4f1c2e9",
        "  width: {role: scientific, low: 16, high: 512}\ncommit: 4f1c2e9",
    )
    assert "needs a study of its own" in _problems(text)["arms"]
