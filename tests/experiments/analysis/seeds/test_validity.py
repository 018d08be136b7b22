from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.analysis.seeds.looks import plan
from experiments.analysis.seeds.validity import Invalidity, RunFacts, check_validity
from experiments.analysis.seeds.verdict import judge

A, B = "a" * 40, "b" * 40


def side(start: int, count: int = 6, **facts: object) -> list[RunFacts]:
    return [RunFacts(start + i, **facts) for i in range(count)]  # type: ignore[arg-type]


def kinds(found: Sequence[Invalidity]) -> list[str]:
    return [problem.kind for problem in found]


def test_sides_that_ran_alike_or_of_which_nothing_is_known_are_valid() -> None:
    alike = {"code": A, "data": "cifar 2", "hardware": "1 x cuda", "evaluations": 20}
    assert check_validity(side(0, **alike), side(10, **alike)) == ()
    assert check_validity(side(0), side(10)) == ()
    assert check_validity(side(0, **alike), side(10)) == ()


def test_unequal_numbers_of_finished_replicates_are_named_with_the_side_that_lacks_some() -> None:
    (found,) = check_validity(side(0, 6), side(10, 4))
    assert found.kind == "pairs"
    assert "candidate has 6 finished replicates and the baseline 4" in found.text
    assert found.repair.startswith("Run 2 replicates more of the baseline")


def test_different_code_is_named_and_the_replicates_of_earlier_code_are_to_be_repeated() -> None:
    (found,) = check_validity(side(0, code=B), [*side(10, 2, code=A), *side(12, 4, code=B)])
    assert (found.kind, found.repeat) == ("code", (10, 11))
    assert "aaaaaaaaaa" in found.text and "bbbbbbbbbb" in found.text


def test_code_that_the_experiment_compares_may_differ_between_the_sides_but_not_within() -> None:
    assert check_validity(side(0, code=A), side(10, code=B), code_differs=True) == ()
    mixed = [*side(0, 3, code=A), *side(3, 3, code=B)]
    assert kinds(check_validity(mixed, side(10, code=B), code_differs=True)) == ["code"]


def test_sides_that_ran_the_different_code_that_they_were_declared_with_are_valid() -> None:
    ours, theirs = side(0, code=A, declared_code=A), side(10, code=B, declared_code=B)
    assert check_validity(ours, theirs) == ()


def test_a_candidate_that_ran_other_code_than_declared_is_invalid_and_repeated() -> None:
    ran = {"declared_code": A}
    ours = [*side(0, 4, code=A, **ran), *side(4, 2, code=B, **ran)]
    (found,) = check_validity(ours, side(10, code=A, **ran))
    assert (found.kind, found.repeat, found.blocks) == ("code", (4, 5), True)
    assert found.text == (
        "2 replicates of the candidate ran other code than declared (declared aaaaaaaaaa, ran "
        "bbbbbbbbbb)"
    )
    assert found.repair.startswith("Start a worker with the code aaaaaaaaaa and repeat")


def test_a_baseline_in_the_candidates_code_is_named_and_leaves_the_comparison_valid() -> None:
    ours = side(0, code=B, declared_code=B)
    (found,) = check_validity(ours, side(10, code=B, declared_code=A))
    assert (found.blocks, found.repeat) == (False, (10, 11, 12, 13, 14, 15))
    gains = 1 + np.random.default_rng(0).normal(0, 0.1, size=6)
    said = judge(gains, np.zeros(6), direction="maximize", schedule=plan([6]), invalid=[found])
    assert said.outcome == "adopt" and said.cautions == (found,) and said.invalid == ()
    mixed = [*side(10, 5, code=B, declared_code=A), RunFacts(15, code=A, declared_code=A)]
    (found,) = check_validity(ours, mixed)
    assert found.blocks and found.repeat == (10, 11, 12, 13, 14)


def test_different_data_and_evaluation_counts_are_named() -> None:
    assert kinds(check_validity(side(0, data="v1"), side(10, data="v2"))) == ["data"]
    (found,) = check_validity(side(0, evaluations=50), [*side(10, 5, evaluations=50),
                                                        RunFacts(15, evaluations=40)])  # fmt: skip
    assert (found.kind, found.repeat) == ("evaluations", (15,))


def test_a_side_on_hardware_of_its_own_is_invalid() -> None:
    (found,) = check_validity(side(0, hardware="1 x cuda"), side(10, hardware="1 x cpu"))
    assert found.kind == "hardware"
    assert "candidate 6 runs on 1 x cuda; baseline 6 runs on 1 x cpu" in found.text


def test_nodes_that_chance_shared_out_are_valid_and_clearly_uneven_ones_are_not() -> None:
    gpu, cpu = {"hardware": "1 x cuda"}, {"hardware": "1 x cpu"}
    assert check_validity([*side(0, 9, **gpu), *side(9, 1, **cpu)], side(20, 10, **gpu)) == ()
    uneven = check_validity(
        [*side(0, 9, **gpu), *side(9, 1, **cpu)], [*side(20, 1, **gpu), *side(21, 9, **cpu)]
    )
    assert kinds(uneven) == ["hardware"]


def test_an_invalid_comparison_has_no_verdict_however_clear_the_gain() -> None:
    gains = 1 + np.random.default_rng(0).normal(0, 0.1, size=6)
    invalid = check_validity(side(0, data="v1"), side(10, data="v2"))
    said = judge(gains, np.zeros(6), direction="maximize", schedule=plan([6]), invalid=invalid)
    assert (said.outcome, said.gain) == ("none", None)
    assert said.sentence.startswith("No verdict: the comparison is invalid: the replicates ran on")
    assert said.invalid == invalid
