"""Files of Optuna's own storages (a journal, an SQLite database), read in a process of its own.

Whoever uploads a file decides what SQLite and Optuna read from it: a view without an end, texts
without measure. The process has no more than its share of time and memory and writes nothing but
its answer, as JSON, since Optuna reads and nobody unpickles.
"""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from experiments.errors import Problem
from experiments.models import trial_encoding as encoding
from experiments.tracking.imports.foreign_runs import UnreadableSource
from experiments.trials.lifecycle.services.copied_studies import Original
from experiments.trials.lifecycle.services.trial_creation import TrialFields

COMMAND = "read_studies"  # of the workers, who have Optuna's storages
SECONDS = 120
MOST_BYTES = 2**31, 2**28  # of memory, of the answer
_SQLITE = b"SQLite format 3\0"
_TIMES = ("started_at", "finished_at")
_PLAIN = ("state", "values", "user_attributes", "system_attributes", "failure_kind")


def is_storage(path: Path) -> bool:
    """Tell by its first bytes if a file is a database or a journal, whose lines are objects."""
    with path.open("rb") as file:
        head = file.read(len(_SQLITE))
    return head == _SQLITE or head[:1] == b"{"


def read_studies(path: Path, name: str) -> list[Original]:
    """All studies of a file; `name` is what messages call it.

    Raises:
        UnreadableSource: when it holds none, or more than may be read.
    """
    # What the process prints besides, of warnings or its death, is no answer to a person.
    with tempfile.TemporaryFile() as answer:
        try:
            code = subprocess.run(
                [sys.executable, "-m", "django", COMMAND, str(path)],
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                timeout=SECONDS,
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:
            limits = f"{SECONDS} s and {MOST_BYTES[0] // 2**30} GiB of memory"
            raise UnreadableSource.at(
                name, "", f"It cannot be read within {limits}; import it by the command."
            )
        answer.seek(0)
        found = encoding.decode(answer.read().decode())
    if "problems" in found:
        problems = [Problem(*problem) for problem in found["problems"]]
        raise UnreadableSource(f"{name} cannot be imported.", problems)
    return [_original(study) for study in found["studies"]]


def as_text(studies: Iterable[Original]) -> str:
    """The answer that `read_studies` reads."""
    return encoding.encode({"studies": [_document(study) for study in studies]})


def refusal(error: UnreadableSource) -> str:
    """The answer for a file that cannot be read."""
    problems = [(problem.where, problem.message) for problem in error.problems]
    return encoding.encode({"problems": problems})


def _document(study: Original) -> dict[str, Any]:
    return {
        "name": study.name,
        "directions": list(study.directions),
        "user_attributes": study.user_attributes,
        "system_attributes": study.system_attributes,
        "trials": [_trial_document(trial) for trial in study.trials],
    }


def _trial_document(trial: TrialFields) -> dict[str, Any]:
    found = {key: value for key, value in trial.items() if key in _PLAIN}
    found |= {key: moment and cast(dt.datetime, moment).isoformat()
              for key, moment in trial.items() if key in _TIMES}  # fmt: skip
    found["parameters"] = encoding.encode_parameters(trial["parameters"] or {})
    found["reports"] = [*(trial.get("reports") or {}).items()]
    return found


def _original(document: Mapping[str, Any]) -> Original:
    trials = [_fields(trial) for trial in document["trials"]]
    return Original(**{**document, "trials": trials})


def _fields(document: Mapping[str, Any]) -> TrialFields:
    values, distributions = document["parameters"]
    known = encoding.decode_distributions(distributions)
    found = {key: document[key] for key in _PLAIN if key in document}
    found |= {
        key: document[key] and dt.datetime.fromisoformat(document[key])
        for key in _TIMES
        if key in document
    }
    found["parameters"] = {
        name: (value, known[name]) for name, value in encoding.decode(values).items()
    }
    found["reports"] = {int(step): float(value) for step, value in document["reports"]}
    return cast(TrialFields, found)
