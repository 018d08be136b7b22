"""The numbers of an installation in the format of Prometheus, read from the database when asked.

All of them are gauges of the whole installation, so it does not matter which web process answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector

from experiments.trials.lifecycle.queries import workers

__all__ = ["CONTENT_TYPE", "exposition"]


def exposition() -> bytes:
    """All metrics as text.

    Raises:
        DatabaseError: when the database is away.
    """
    registry = CollectorRegistry()
    registry.register(_Installation())
    return generate_latest(registry)


class _Installation(Collector):
    def describe(self) -> Iterator[Metric]:
        return iter(())  # registering asks for names, and must not cost a scrape

    def collect(self) -> Iterator[Metric]:
        yield _gauge("verdict_trials", "Trials by state.", "state", workers.trials_by_state())
        yield _gauge(
            "verdict_workers", "Worker processes by state.", "state", workers.workers_by_state()
        )
        queues = workers.list_queues()
        now = timezone.now()
        yield _gauge(
            "verdict_queue_depth",
            "Trials that wait or are still to be drawn.",
            "queue",
            {queue.name: queue.depth for queue in queues},
        )
        yield _gauge(
            "verdict_queue_running",
            "Trials that run.",
            "queue",
            {queue.name: queue.running for queue in queues},
        )
        yield _gauge(
            "verdict_queue_slots",
            "Slots of living workers.",
            "queue",
            {queue.name: queue.slots for queue in queues},
        )
        yield _gauge(
            "verdict_queue_oldest_waiting_seconds",
            "How long the oldest of what waits has waited; 0 when nothing waits.",
            "queue",
            {
                queue.name: (now - queue.oldest_at).total_seconds() if queue.oldest_at else 0.0
                for queue in queues
            },
        )


def _gauge(name: str, help_: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
