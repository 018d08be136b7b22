"""Pruner requests in a thread, so that a slow database does not block the supervisor."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from workers.training.messages import Report, ReportAnswer

_END_SECONDS = 10.0


def _nothing() -> None:
    pass


class PruneRequests:
    """Answers the reports of one job in order.

    Args:
        judge: whether to prune after a value at a step; None while that is unknown.
        answer: called with each answer, in its thread.
        on_end: called in that thread when it ends.
    """

    def __init__(
        self,
        judge: Callable[[float, float], bool | None],
        answer: Callable[[ReportAnswer], None],
        on_end: Callable[[], None] = _nothing,
    ) -> None:
        self.error: BaseException | None = None
        self._judge = judge
        self._answer = answer
        self._on_end = on_end
        self._reports: queue.SimpleQueue[Report | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def ask(self, report: Report) -> None:
        """Enqueue a report and return at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="prune requests", daemon=True)
            self._thread.start()
        self._reports.put(report)

    def close(self) -> None:
        """Answer the queued reports, for `_END_SECONDS` at most."""
        self._reports.put(None)
        if self._thread is not None:
            self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        try:
            while (report := self._reports.get()) is not None:
                prune = self._judge(report.step, report.value)
                self._answer(ReportAnswer(report.number, prune))
        except BaseException as error:
            self.error = error
        finally:
            self._on_end()
