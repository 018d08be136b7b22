"""Formats that can be imported, by name."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass

from experiments.errors import VerdictError
from experiments.tracking.imports.foreign_runs import ForeignRuns, ReadOptions

READERS = "experiments.tracking.imports.readers"


@dataclass(frozen=True, slots=True)
class Format:
    """A format: the reader's module, and the optional group with the packages that it needs."""

    summary: str
    module: str
    needs: tuple[str, ...] = ()
    group: str = ""


FORMATS = {
    "csv": Format("CSV: a file with one row a run, or one row a step of a run", "csv_file"),
    "mlflow": Format(
        "MLflow: a folder mlruns, sqlite:///mlflow.db or the http(s) address of a server",
        "mlflow",
        ("urllib3",),
        "imports",
    ),
    "tensorboard": Format(
        "TensorBoard: a folder with folders of event files",
        "tensorboard",
        ("google.protobuf", "google_crc32c"),
        "imports",
    ),
    "wandb": Format(
        "Weights & Biases: a folder wandb with offline-run-... in it",
        "wandb_folder",
        ("google.protobuf",),
        "imports",
    ),
    "neptune": Format(
        "Neptune: the folder that neptune-exporter wrote", "neptune", ("pyarrow",), "imports"
    ),
}


def title_of(name: str) -> str:
    """The name of a format as people write it."""
    return FORMATS[name].summary.partition(":")[0] if name in FORMATS else name


def read(name: str, source: str, options: ReadOptions) -> ForeignRuns:
    """Open a source of a format; its runs are read as they are asked for.

    Raises:
        VerdictError: for an unknown format, or one whose packages are not installed.
        UnreadableSource: when the source cannot be read.
    """
    found = FORMATS.get(name)
    if found is None:
        raise VerdictError(f"{name} is no format; choose one of {', '.join(FORMATS)}.")
    missing = [package for package in found.needs if not _is_installed(package)]
    if missing:
        raise VerdictError(
            f"Reading {name} needs {', '.join(missing)}, which is not installed: "
            f'pip install ".[{found.group}]" in the folder of Verdict.'
        )
    opened: ForeignRuns = importlib.import_module(f"{READERS}.{found.module}").read(
        source, options
    )
    return opened


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # of the package around it
        return False
