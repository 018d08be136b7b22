"""Files that a run logs; see `Run.log_file` and those beside it."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, SupportsFloat

from workers.training.checkpoints import CheckpointSink
from workers.training.media import (
    BINS,
    Media,
    media_of_confusion_matrix,
    media_of_figure,
    media_of_histogram,
    media_of_image,
    media_of_pr_curve,
    media_of_roc_curve,
    media_of_table,
    media_of_text,
)
from workers.training.messages import Job, LoggedFile
from workers.training.metric_values import to_step
from workers.training.run_inputs import RunInputs
from workers.training.run_warnings import RunWarnings
from workers.training.sink import Sink

_BLOCK = 2**20
Warn = Callable[[object, str], None]


class LoggedFiles(RunInputs):
    """Calls that keep files of the trial. None raises: what is wrong is warned about, once for
    each name, and training goes on.
    """

    def __init__(self, job: Job, sink: Sink) -> None:
        super().__init__(job)
        self._warnings = RunWarnings()
        self._warn = self._warnings.add
        self._sink = sink
        # Of a training job of several processes the first one logs.
        self._is_another_rank = os.environ.get("RANK", "0").strip() not in ("", "0")
        self._files = _FileWriter(job, sink, self._warn)

    def log_file(
        self, path: str | os.PathLike[str], name: str = "", step: SupportsFloat | None = None
    ) -> None:
        """Keep a copy of a file, under its own name unless another one is given."""
        if self._is_silent("log_file"):
            return
        try:
            path = Path(path)
        except TypeError as error:
            self._warn("log_file", f"log_file: {error}")
            return
        self._files.write(name or path.name, "file", step, lambda: _blocks(path))

    def log_text(self, name: str, text: str, step: SupportsFloat | None = None) -> None:
        """Keep a text."""
        self._log_media("log_text", name, step, lambda: media_of_text(text))

    def log_image(self, name: str, image: Any, step: SupportsFloat | None = None) -> None:
        """Keep an image: a PNG, JPEG, GIF or WebP (path or bytes), a Pillow image, or an array
        [H, W] or [H, W, channels] of bytes or of floats from 0 to 1."""
        self._log_media("log_image", name, step, lambda: media_of_image(image))

    def log_figure(self, name: str, figure: Any, step: SupportsFloat | None = None) -> None:
        """Keep a figure of matplotlib (as an image) or of Plotly (it stays interactive)."""
        self._log_media("log_figure", name, step, lambda: media_of_figure(figure))

    def log_table(
        self,
        name: str,
        rows: Any,
        columns: Sequence[Any] | None = None,
        step: SupportsFloat | None = None,
    ) -> None:
        """Keep a table: a data frame, a mapping of columns, or rows."""
        self._log_media("log_table", name, step, lambda: media_of_table(rows, columns))

    def log_histogram(
        self, name: str, values: Any, step: SupportsFloat | None = None, bins: int = BINS
    ) -> None:
        """Keep a histogram of values."""
        self._log_media("log_histogram", name, step, lambda: media_of_histogram(values, bins))

    def log_confusion_matrix(
        self,
        labels: Any,
        predictions: Any,
        name: str = "confusion matrix",
        step: SupportsFloat | None = None,
        classes: Sequence[Any] | None = None,
    ) -> None:
        """Keep the counts of predicted classes by true class: `labels` [N] beside `predictions`
        [N], or scores [N, C]. `classes` name the classes 0 to C - 1."""
        self._log_media(
            "log_confusion_matrix",
            name,
            step,
            lambda: media_of_confusion_matrix(labels, predictions, classes),
        )

    def log_roc_curve(
        self,
        labels: Any,
        scores: Any,
        name: str = "roc",
        step: SupportsFloat | None = None,
        classes: Sequence[Any] | None = None,
    ) -> None:
        """Keep a ROC curve with its area: `labels` [N] of 0 and 1 beside `scores` [N] of class 1,
        or classes beside scores [N, C], for a curve of each class against the rest."""
        self._log_media(
            "log_roc_curve", name, step, lambda: media_of_roc_curve(labels, scores, classes)
        )

    def log_pr_curve(
        self,
        labels: Any,
        scores: Any,
        name: str = "precision-recall",
        step: SupportsFloat | None = None,
        classes: Sequence[Any] | None = None,
    ) -> None:
        """Keep precision by recall with the average precision, of what `log_roc_curve` takes."""
        self._log_media(
            "log_pr_curve", name, step, lambda: media_of_pr_curve(labels, scores, classes)
        )

    def _log_media(
        self, call: str, name: str, step: SupportsFloat | None, make: Callable[[], Media]
    ) -> None:
        if self._is_silent(call):
            return
        try:
            media = make()
        except Exception as error:  # of any library
            self._warn((call, name), f"{call} {name!r:.100}: {error}")
            return
        self._files.write(name, media.kind, step, lambda: iter([media.content]), media.suffix)

    def _is_silent(self, call: str) -> bool:
        is_silent = self._is_another_rank or self._warnings.is_forked(call)
        return is_silent or not self._files.keeps()


class _FileWriter:
    """Writes files into the trial's folder of artifacts and reports them to the worker."""

    def __init__(self, job: Job, sink: Sink, warn: Warn) -> None:
        self._about = job.checkpoints
        self._suffix = job.suffix
        self._sink = sink if isinstance(sink, CheckpointSink) else None
        self._warn = warn

    def keeps(self) -> bool:
        """Test whether the trial has a folder for files; warn where it has none."""
        if self._about is None or self._sink is None:
            self._warn("files", "no files are kept here")
        return self._about is not None and self._sink is not None

    def write(
        self,
        name: object,
        kind: str,
        step: SupportsFloat | None,
        blocks: Callable[[], Iterator[bytes]],
        suffix: str = "",
    ) -> None:
        about = self._about
        if about is None or self._sink is None:
            return
        name = str(name)
        name += "" if name.endswith(suffix) else suffix
        at = None if step is None else to_step(step)
        if step is not None and at is None:
            self._warn(("step", name), f"file {name!r:.100}: step {step!r:.50} is no number")
            return
        path = Path(about.place) / f"file-{uuid.uuid4().hex}{_plain_suffix(name)}"
        whole = Path(about.folder) / path
        digest, size = hashlib.sha256(), 0
        try:
            whole.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with whole.open("xb") as file:
                for block in blocks():
                    size += len(block)
                    if size > about.largest_file:
                        raise OSError(f"it has more than {about.largest_file / 2**20:g} MiB")
                    digest.update(block)
                    file.write(block)
        except (OSError, ValueError) as error:  # a path with NUL is a ValueError
            with suppress(OSError):
                whole.unlink()
            reason = getattr(error, "strerror", None) or error
            self._warn(("file", name), f"file {name!r:.100} not kept: {reason}")
            return
        self._sink.tell(
            LoggedFile(path.as_posix(), size, digest.hexdigest(), name + self._suffix, kind, at)
        )


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _plain_suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if suffix[1:].isalnum() and suffix.isascii() and len(suffix) <= 11 else ""
