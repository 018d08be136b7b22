"""Flusher of log calls: packs and sends them outside the training loop."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

from experiments.trials.series.series_encoding import Call, encode
from workers.training.messages import Score, SeriesFlush

FLUSH_SECONDS = 0.5
MAX_POINTS = 20_000  # of one flush: about 160 kB, well under what a reader accepts


class Flusher:
    """Collects log calls and hands them on, packed, twice a second and at the end.

    `add` is all that the training loop does: it never waits. Whatever goes wrong while packing
    or sending is kept in `error` and ends the flushing, not the training.
    """

    def __init__(
        self,
        send: Callable[[SeriesFlush], None],
        score: Callable[[], Score],
        seconds: float = FLUSH_SECONDS,
    ) -> None:
        self._calls: deque[Call] = deque()  # its append and popleft are atomic
        self.add = self._calls.append
        self.error: Exception | None = None
        self._send = send
        self._score = score
        self._seconds = seconds
        self._batch = 0
        self._wake = threading.Event()
        self._closing = False
        self._asked: deque[threading.Event] = deque()
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)
        self._thread.start()

    def flush(self) -> None:
        """Wait until all calls added before are sent. Raises the error of a failed send."""
        sent = threading.Event()
        self._asked.append(sent)
        self._wake.set()
        while not sent.wait(0.1):
            if not self._thread.is_alive():
                break
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Send what is left, then end."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._closing:
                self._wake.wait(self._seconds)
                self._wake.clear()
                asked = [self._asked.popleft() for _ in range(len(self._asked))]
                self._flush()
                for sent in asked:
                    sent.set()
            self._flush()
        except Exception as error:
            self.error = error

    def _flush(self) -> None:
        calls: list[Call] = []
        points = 0
        # Only what was there at the start: a fast loop must not keep one flush open for ever.
        for _ in range(len(self._calls)):
            for call in _pieces(self._calls.popleft()):
                if points + len(call[2]) > MAX_POINTS and calls:
                    self._send_batch(calls, points)
                    calls, points = [], 0
                calls.append(call)
                points += len(call[2])
        if calls:
            self._send_batch(calls, points)

    def _send_batch(self, calls: list[Call], points: int) -> None:
        steps = [call[0] for call in calls]
        flush = SeriesFlush(
            batch=self._batch,
            payload=encode(calls),
            points=points,
            first_step=math.floor(min(steps)),
            last_step=math.ceil(max(steps)),
            names=tuple(dict.fromkeys(name for call in calls for name in call[2])),
            score=self._score(),
        )
        self._batch += 1
        self._send(flush)


def _pieces(call: Call) -> Iterator[Call]:
    """A call with more names than fit into a flush, as several; every name stays in order."""
    step, time_ms, values = call
    if len(values) <= MAX_POINTS:
        yield call
        return
    items = iter(values.items())
    while piece := dict(islice(items, MAX_POINTS)):
        yield step, time_ms, piece
