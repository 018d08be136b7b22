"""Celery alone: a task that returns what it is given. Also the module that its worker imports."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from celery import Celery

BROKER = "DISPATCH_CELERY_BROKER"

app = Celery("dispatch", broker=os.environ.get(BROKER), backend=os.environ.get(BROKER))
app.conf.update(
    worker_prefetch_multiplier=1,
    task_acks_late=True,
    broker_connection_retry_on_startup=True,
    result_backend_transport_options={"health_check_interval": 0},
)


@app.task(name="nothing")
def nothing(value: int) -> int:
    return value


def round_trip_ms(broker: str, count: int = 300) -> float:
    """Median milliseconds from sending a task to holding its result, one at a time."""
    command = [sys.executable, "-m", "celery", "-A", "benchmarks._dispatch_celery:app", "worker"]
    command += ["--pool=prefork", "--concurrency=2", "--loglevel=ERROR"]
    worker = subprocess.Popen(
        [*command, "--without-gossip", "--without-mingle"], env={**os.environ, BROKER: broker}
    )
    try:
        app.conf.update(broker_url=broker, result_backend=broker)
        nothing.delay(0).get(timeout=300)  # it starts first, on a machine that may be busy
        times = []
        for number in range(count):
            started = time.perf_counter()
            nothing.delay(number).get(timeout=60)
            times.append(1e3 * (time.perf_counter() - started))
        return statistics.median(times)
    finally:
        worker.terminate()
        worker.wait(20)
