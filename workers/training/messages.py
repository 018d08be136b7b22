"""Messages between a trial's process, the fork server it comes from and their supervisor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from experiments.analysis.curves.early_stopping import EarlyStopping
from experiments.design.document.fidelity import Rung

CheckpointKind = Literal["checkpoint", "pass checkpoint", "progress"]
Direction = Literal["minimize", "maximize"]
State = Literal["complete", "pruned", "stopped", "infeasible", "failed", "lost", "killed"]


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A checkpoint that lies whole on disk. `path` is relative to the folder of artifacts;
    `value` the official metric's latest one at that time, None when it was not finite.

    `kind`: "pass checkpoint" belongs to one of several passes and has no value to compare with the
    whole training's; "progress" holds the results of finished passes.
    """

    path: str
    step: float
    attempt: int
    size: int
    sha256: str
    value: float | None = None
    kind: CheckpointKind = "checkpoint"


@dataclass(frozen=True, slots=True)
class OutputFile:
    """Output of a command, or the uncommitted diff of a trial's code; `path` is relative to the
    folder of artifacts.
    """

    path: str
    size: int
    sha256: str
    kind: Literal["output", "diff"] = "output"


@dataclass(frozen=True, slots=True)
class LoggedFile:
    """A file that the program logged; `path` is relative to the folder of artifacts, `name` what
    the program calls it, `kind` one of `experiments.trials.artifacts.queries.artifacts.LOGGED`.
    """

    path: str
    size: int
    sha256: str
    name: str
    kind: str
    step: float | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the operator's list, at a full commit hash of its repository.

    `copies` is the folder of working copies, "" to run in the current folder; `folder` that of
    artifacts and `output` where in it the first `largest_output` bytes of what it prints go.
    `run_id` is what the program is told.
    """

    name: str
    repository: str
    arguments: tuple[str, ...]
    commit: str
    copies: str
    folder: str
    output: str
    largest_output: int
    run_id: int


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Folder of a trial's checkpoints and those that are there, the newest first.

    `folder` is that of all artifacts, `place` the trial's in it. A checkpoint larger than
    `largest` bytes is refused, a logged file larger than `largest_file`. `seconds`: after so long
    the next checkpoint is due.

    For one of several passes: its `number` from 0, the suffixes of those that are `finished`, and
    the newest ones of the pass on the `lower` budget.
    """

    folder: str
    place: str
    attempt: int
    largest: int
    seconds: float
    saved: tuple[CheckpointFile, ...] = ()
    number: int | None = None
    finished: tuple[str, ...] = ()
    lower: tuple[CheckpointFile, ...] = ()
    largest_file: int = 10 * 2**30


@dataclass(frozen=True, slots=True)
class Resumed:
    """The run goes on from a checkpoint of attempt `origin`. `reports` are the evaluations of
    the official metric up to it, step and value, for the pruner. `step`, `suffix` and `finished`
    as in `experiments.trials.series.lineage.Resumption`.
    """

    step: float | None
    origin: int
    reports: tuple[tuple[float, float], ...] = ()
    suffix: str = ""
    finished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuiltOnLowerBudget:
    """The pass on one budget goes on from the checkpoint of a lower one."""


@dataclass(frozen=True, slots=True)
class Job:
    """Specification of one trial for its training process.

    `objective` is `package.module:function`; it runs only when its module lies under one of
    `allowed` (dotted prefixes). `splits` holds the declared splits of metrics by name; a name
    that is not in it has the split that its words tell. `environment` is set before anything of
    the objective is imported. `threads` is the number of CPU threads that numeric libraries may
    use; None leaves it to them.

    `budget` is what `run.budget` says. With `folds` the objective runs once for each, with `rungs`
    once on each budget, which then also stands in the parameter `fidelity`; `fold` and `suffix`
    (of the names in series) tell such runs apart.

    `data` is what `run.data` says. Where it is what the arms of a search differ in, it must be
    read: a run that never does has trained on the same data as the other arms.

    `pruner_seconds` is how long a report waits for the pruner's answer. `attempt` stands on every
    message of the trial's process. `code` is the digest of the `packages` that the trial is
    recorded with; "" lets any run.
    """

    label: str
    objective: str
    allowed: tuple[str, ...]
    params: Mapping[str, Any]
    train_seed: int
    split_seed: int
    official_metric: str
    direction: Direction
    search_seed: int | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    pruning: bool = False
    pruner_seconds: float = 1.0
    early_stopping: EarlyStopping | None = None
    budget: float | None = None
    fidelity: str = ""
    rungs: tuple[Rung, ...] = ()
    folds: int = 0
    fold: int | None = None
    suffix: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = 1
    data: Mapping[str, str] = field(default_factory=dict)
    data_must_be_read: bool = False
    checkpoints: Checkpoints | None = None
    command: Command | None = None
    attempt: int = 1
    packages: tuple[str, ...] = ()
    code: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """State of the official metric so far.

    `value` and `best_step` belong to the best finite evaluation (the first of equals);
    `last_value` may be non-finite; `evaluations` counts all of them.
    """

    value: float | None = None
    best_step: float | None = None
    last_value: float | None = None
    last_step: float | None = None
    evaluations: int = 0


@dataclass(frozen=True, slots=True)
class SeriesFlush:
    """Log calls of one flush, packed by `experiments.trials.series.series_encoding`.

    `batch` counts the flushes of this run from 0, `points` the values in it; all steps lie from
    `first_step` to `last_step`.
    """

    batch: int
    payload: bytes
    points: int
    first_step: int
    last_step: int
    names: tuple[str, ...]
    score: Score


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation of the official metric that waits for `ReportAnswer` with its number."""

    number: int
    step: float
    value: float


@dataclass(frozen=True, slots=True)
class ReportAnswer:
    """Answer of the pruner; `prune` is None while the database is away."""

    number: int
    prune: bool | None


@dataclass(frozen=True, slots=True)
class Sealed:
    """Last value of a test metric, which is in no series."""

    name: str
    value: float
    step: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Asks the run to end at its next log call."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """End of a trial.

    infeasible: the official metric was never finite; failed: an exception; lost: the process died;
    killed: on request. `unanswered` counts reports without a pruner's answer, `warnings` names
    metrics that were skipped. `peak_memory_mb` is the largest resident set during the trial,
    `seconds` the time in the objective. `stopped_early`: early stopping ended it. `folds` are the
    values of the folds whose mean is the score.
    """

    state: State
    score: Score = Score()
    reason: str = ""
    traceback: str = ""
    read_split_seed: bool = False
    unanswered: int = 0
    warnings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    peak_memory_mb: float | None = None
    seconds: float = 0.0
    log_tail: str = ""
    stopped_early: bool = False
    folds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    outcome: Outcome


StoredMessage = CheckpointFile | Resumed | BuiltOnLowerBudget | OutputFile | LoggedFile
FromTrial = SeriesFlush | Report | Sealed | StoredMessage | Finished
ToTrial = ReportAnswer | Stop


@dataclass(frozen=True, slots=True)
class Signed:
    """A message of a trial's process with its process id and the attempt it was started for."""

    pid: int
    attempt: int
    message: FromTrial


@dataclass(frozen=True, slots=True)
class Preload:
    """The first message to a fork server: which module to import, "" for none.

    It is imported only when it lies under one of `allowed`. `script` is the program's name, as
    sys.argv holds it, without any arguments. `note` is printed in each trial's
    log; `sources` are files, with their stamps, whose change ends the server, too. `parent` is
    the process to end with.
    """

    module: str
    allowed: tuple[str, ...]
    script: str
    parent: int
    note: str = ""
    sources: Mapping[str, tuple[int, int] | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndTrial:
    """Asks a fork server to kill its trial with all that the trial started."""


@dataclass(frozen=True, slots=True)
class Forked:
    """The trial's process has started; before this nothing of its job has run."""

    pid: int


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """The trial's process and all that it started are gone. `code` as of `Popen.returncode`."""

    code: int


@dataclass(frozen=True, slots=True)
class NotForked:
    """A fork server that forks nothing and ends.

    changed: its code on disk has changed; unforkable: the import did something that a fork does
    not survive, see `reason`; failed: the import raised. `sources` as in
    `Preload`.
    """

    why: Literal["changed", "unforkable", "failed"]
    reason: str = ""
    sources: Mapping[str, tuple[int, int] | None] = field(default_factory=dict)


FromServer = Forked | TrialEnded | NotForked
ToServer = Preload | Job | EndTrial
