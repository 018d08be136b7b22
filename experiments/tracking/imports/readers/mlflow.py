"""MLflow: the folder `mlruns`, a database in a SQLite file, or a tracking server."""

from __future__ import annotations

import re
from pathlib import Path

from experiments.tracking.imports.foreign_runs import ForeignRuns, ReadOptions, UnreadableSource
from experiments.tracking.imports.readers.mlflow_database import read_database
from experiments.tracking.imports.readers.mlflow_folder import read_folder
from experiments.tracking.imports.readers.mlflow_server import read_server


def read(source: str, options: ReadOptions) -> ForeignRuns:
    """Open a source by its kind: an address, a folder, a file or `sqlite:///` and a path.

    Raises:
        UnreadableSource: when there is no such source, or it is none of MLflow's.
    """
    if source.startswith(("http://", "https://")):
        return read_server(source)
    if re.match(r"(postgres|mysql|mssql)[a-z0-9+]*://", source):  # it may hold a password
        raise UnreadableSource.at(
            source.partition(":")[0],
            "",
            "This database is read through a server of MLflow's: start one with `mlflow server "
            "--backend-store-uri ...` and import its address.",
        )
    path = Path(source.removeprefix("file://").removeprefix("sqlite:///")).expanduser()
    if path.is_dir():
        return read_folder(path)
    if path.is_file():
        return read_database(path)
    raise UnreadableSource.at(
        source, "", "Name a folder mlruns, a SQLite file or the address of a server."
    )
