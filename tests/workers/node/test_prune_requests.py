from __future__ import annotations

import threading

import pytest

from tests.waiting import PATIENCE
from workers.node.prune_requests import PruneRequests
from workers.training.messages import Report, ReportAnswer


def test_reports_are_answered_in_order_in_another_thread() -> None:
    answers: list[ReportAnswer] = []
    threads: set[int] = set()

    def judge(step: int, value: float) -> bool | None:
        threads.add(threading.get_ident())
        return None if step == 2 else value > 0.5

    ended: list[int] = []
    requests = PruneRequests(judge, answers.append, lambda: ended.append(threading.get_ident()))
    for number, value in enumerate([0.2, 0.9, 0.9, 0.1]):
        requests.ask(Report(number, number, value))
    requests.close()
    assert answers == [
        ReportAnswer(0, False),
        ReportAnswer(1, True),
        ReportAnswer(2, None),
        ReportAnswer(3, False),
    ]
    assert threads == set(ended) and threading.get_ident() not in threads


def test_asking_does_not_wait_for_a_judge_that_hangs() -> None:
    go_on = threading.Event()
    answers: list[ReportAnswer] = []
    requests = PruneRequests(lambda *_: go_on.wait(PATIENCE), answers.append)
    for number in range(100):
        requests.ask(Report(number, number, 0.5))
    assert answers == [], "the judge still thinks about the first"
    go_on.set()
    requests.close()
    assert len(answers) == 100


def test_what_the_judge_raises_is_kept_and_ends_the_desk() -> None:
    def judge(step: int, value: float) -> bool:
        raise ValueError("no such trial")

    ended: list[bool] = []
    requests = PruneRequests(judge, lambda _: pytest.fail("answered"), lambda: ended.append(True))
    requests.ask(Report(1, 1, 0.5))
    requests.close()
    assert isinstance(requests.error, ValueError) and ended == [True]


def test_a_desk_that_nobody_asked_starts_no_thread() -> None:
    before = threading.active_count()
    PruneRequests(lambda *_: True, lambda _: None, lambda: pytest.fail("no thread to end")).close()
    assert threading.active_count() == before
