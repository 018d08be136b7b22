"""A trial that does nothing, so that all it costs is what runs it."""

from __future__ import annotations

from workers.training.run import Run


def nothing(run: Run) -> None:
    run.log({"validation_accuracy": float(run.params["x"])}, step=1)
