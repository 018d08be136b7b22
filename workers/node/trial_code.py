"""Code check before a trial runs on this worker."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace

from django.conf import settings

from experiments.design import code_version
from experiments.design.document import commands
from experiments.design.document.objectives import is_allowed
from experiments.design.objective_code import ObjectiveCode, PackageCode
from experiments.trials.artifacts.storage import local_path
from experiments.trials.lifecycle.queries.trial_spec import TrialSpec
from experiments.trials.lifecycle.services import experiment_code
from workers.training.code_on_disk import packages_of, read_code
from workers.training.messages import OutputFile

logger = logging.getLogger(__name__)


class TrialCode:
    """The code of a worker's trials; one for a worker process."""

    def __init__(self, worker_id: int | None) -> None:
        self._worker_id = worker_id
        self._ran: dict[int, str] = {}  # by experiment: code digest of its last trial here

    def check(self, spec: TrialSpec) -> tuple[ObjectiveCode, bytes]:
        """The code that a trial would run, and its uncommitted diff.

        Raises:
            ValueError: when the code is not the commit that an arm names, or this worker does not
                allow the objective; its files are then not read.
            Conflict: when another node runs the experiment with other code.
        """
        name = commands.name_of(spec.objective)
        if name is not None:  # it runs in a working copy of its own
            return _command_code(name, spec.runs.commit), b""
        if not is_allowed(spec.objective, settings.OBJECTIVES):
            raise ValueError(f"{spec.objective} is not on this worker's list (OBJECTIVES)")
        packages = packages_of(spec.objective, spec.file.code)
        allowed = [prefix.partition(".")[0] for prefix in settings.OBJECTIVES]
        code, diff = read_code(packages, shown=allowed)
        code = _with_own_commit(code)
        wanted = spec.runs.commit
        if wanted:
            check_commit(wanted, code)
        elif code.digest != spec.experiment_code:
            experiment_code.change(
                experiment_id=spec.experiment_id,
                code=code.digest,
                source=code.packages[0].source,
                worker_id=self._worker_id,
                ran_before=self._ran.get(spec.experiment_id, ""),
            )
        if not wanted:
            self._ran[spec.experiment_id] = code.digest
        if spec.lacks_code:
            experiment_code.complete_baseline(trial_id=spec.trial_id, code=code.digest)
        return code, diff


def _command_code(name: str, commit: str) -> ObjectiveCode:
    template = commands.templates().get(name)
    remote = template.address if template else ""
    return ObjectiveCode(packages=(PackageCode(name, commit=commit, remote=remote),))


def _with_own_commit(code: ObjectiveCode) -> ObjectiveCode:
    """With the commit of VERDICT_COMMIT for bundled problems in an image without a repository."""
    if not code.packages or code.packages[0].commit or code.packages[0].name != "workers":
        return code
    own = replace(code.packages[0], commit=code_version.commit())
    return replace(code, packages=(own, *code.packages[1:]))


def check_commit(wanted: str, code: ObjectiveCode) -> None:
    """Refuse other code than a commit of the objective's repository, which may be abbreviated.

    Raises:
        ValueError: when this worker's code is not that commit: its result would stand under a
            wrong name.
    """
    own = code.packages[0]
    same_repository = [package for package in code.packages if package.commit == own.commit]
    if own.commit.startswith(wanted) and not any(package.changed for package in same_repository):
        return
    raise ValueError(
        f"this arm needs the code of commit {wanted}, and this worker has {code.label}. Start a "
        "worker in a clean checkout of that commit, on a queue of its own, and try it again"
    )


def keep_diff(trial_id: int, attempt: int, diff: bytes) -> OutputFile | None:
    """Write the diff of a trial's code from its commit as a file of the trial; None when it is
    empty, larger than DIFF_KILOBYTES or the disk is full.
    """
    if not diff or len(diff) > settings.DIFF_KILOBYTES * 2**10:
        return None
    name = f"trials/{trial_id}/attempt-{attempt}-code.diff"
    path = local_path(name)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(diff)
    except OSError as error:
        logger.warning("the diff of trial %s's code was not kept: %s", trial_id, error)
        return None
    return OutputFile(name, len(diff), hashlib.sha256(diff).hexdigest(), "diff")
