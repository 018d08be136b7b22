"""Run a trial again from a line on its page: `python -m workers.reproduce --objective ...`.

Needs no database, no queue and, for a Python function, no Django. Prints the score beside the
recorded one. Exit code 0: the same to the last bit (or nothing was recorded to compare with),
1: they differ, 2: the run failed or the arguments are wrong.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.analysis.curves.early_stopping import EarlyStopping, Patience
from workers.objectives.python_function import ObjectiveError, TrainingFunction, load
from workers.training.code_on_disk import digest_of, git, packages_of
from workers.training.messages import Command, Job, Score, SeriesFlush
from workers.training.passes import MultiPassRun
from workers.training.run import Run, Stopped
from workers.training.threads import set_threads

SAME, DIFFERS, FAILED = 0, 1, 2
_RESUMED = (
    "note: the recorded run went on from a checkpoint (step {}), this one is unbroken: the same "
    "on a CPU when every generator was kept with it; on a GPU the last bits may differ"
)
_BUILT_ON = (
    "note: the recorded run built on what it had trained on lower budgets, this one begins anew "
    "on its budget alone: scores differ"
)


class LastStep:
    """A `workers.training.run.Sink` that keeps nothing and ends the run after its last step."""

    stop_requested = False

    def __init__(self, last_step: float | None) -> None:
        self._last_step = last_step

    def series(self, flush: SeriesFlush) -> None:
        """Points are not kept: the score is what is compared."""

    def report(self, step: float, value: float) -> bool:
        """Asked at every evaluation: whether it was the recorded run's last one."""
        return self._last_step is not None and step >= self._last_step


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if not isinstance(options.params, dict):
        _parser().error("--params: expected a JSON object")
    if not isinstance(options.data, dict):
        _parser().error("--data: expected a JSON object")
    if bool(options.objective) == bool(options.command):
        _parser().error("expected one of --objective and --command")
    folders = [part for part in options.path.split(":") if part]
    sys.path[:0] = [str(Path(folder_name).resolve()) for folder_name in folders]
    _warn_of_other_code(options)
    if options.resumed:
        print(_RESUMED.format(options.resumed), file=sys.stderr)
    if options.lower_budgets:
        print(_BUILT_ON, file=sys.stderr)
    set_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="verdict-") as folder:
        return _run(options, _job(options, folder))


def _job(options: argparse.Namespace, folder: str) -> Job:
    return Job(
        label="reproduce",
        objective=options.objective,
        # Who types a line trusts it: there is no operator here to protect.
        allowed=(options.objective.partition(":")[0],),
        params=options.params,
        train_seed=options.train_seed,
        split_seed=options.split_seed,
        search_seed=options.search_seed,
        official_metric=options.metric,
        direction=options.direction,
        pruning=options.last_step is not None,
        early_stopping=options.early_stopping,
        budget=options.budget,
        folds=options.folds,
        threads=options.threads,
        data=options.data,
        command=_command(options.command, folder),
    )


def _command(arguments: Sequence[str], folder: str) -> Command | None:
    """A command in the current folder, which prints to a file in `folder` beside the screen."""
    if not arguments:
        return None
    return Command(
        name="reproduce",
        repository="",
        arguments=tuple(arguments),
        commit="",
        copies="",
        folder=folder,
        output="output.txt",
        largest_output=0,
        run_id=0,
    )


def _run(options: argparse.Namespace, job: Job) -> int:
    try:
        score, names = run_again(job, options.last_step)
    except ObjectiveError as error:
        print(error, file=sys.stderr)
        return FAILED
    except Exception:
        traceback.print_exc()
        return FAILED
    if score.evaluations == 0:
        seen = ", ".join(sorted(names)) or "none"
        print(f"{options.metric} was never logged; names seen: {seen}", file=sys.stderr)
        return FAILED
    same, text = compare(score.value, options.score)
    print(f"{options.metric}: {text}")
    return SAME if same else DIFFERS


def run_again(job: Job, last_step: float | None) -> tuple[Score, tuple[str, ...]]:
    """Run the objective in this process: its score and the names it logged.

    Raises what the objective raises.
    """
    function = _function(job)
    set_threads(job.threads)  # again: torch is known only now
    sink = LastStep(last_step)
    run = MultiPassRun(job, sink) if job.folds else Run(job, sink)
    try:
        if isinstance(run, MultiPassRun):
            run.call(function)
        else:
            run.finish(function(run))
    except Stopped:
        pass
    except Exception:
        if not run.ending:
            raise
    finally:
        run.close()
    return run.score, run.names


def _function(job: Job) -> TrainingFunction:
    if job.command is None:
        return load(job.objective, job.allowed)
    from workers.objectives import command  # only here: it needs Django

    return command.function_of(job.command, lambda output: None)


def compare(score: float | None, recorded: float | None) -> tuple[bool, str]:
    """Compare two scores: whether they are the same float, and both in words."""
    found = "no finite score" if score is None else repr(score)
    if recorded is None:
        return True, f"{found}, nothing recorded to compare with"
    if score is None or score == recorded:
        same = score == recorded
        return same, f"{found}, recorded {recorded!r}: {'same' if same else 'differs'}"
    difference = score - recorded
    share = abs(difference / recorded) if recorded else math.inf
    return False, (
        f"{found}, recorded {recorded!r}: differs by {difference:+.3g} "
        f"({share:.2%} of the recorded one)"
    )


def _warn_of_other_code(options: argparse.Namespace) -> None:
    packages = options.packages.split(",") if options.packages else packages_of(options.objective)
    found = digest_of(packages) if options.code else ""
    if options.code and found != options.code:
        print(f"warning: recorded with code {options.code}, this is {found}", file=sys.stderr)
    head = git(Path.cwd(), "rev-parse", "HEAD").strip() if options.commit else ""
    if options.commit != head:
        here = head or "no git repository"
        print(f"warning: recorded at commit {options.commit}, this is {here}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m workers.reproduce", description="Run a recorded trial again."
    )
    parser.add_argument("--path", default="", help="folders to import from, with : between them")
    parser.add_argument("--objective", default="", help="package.module:function")
    parser.add_argument("--command", default=(), type=_json, help="a JSON list: its arguments")
    parser.add_argument("--params", required=True, type=_json, help="a JSON object")
    parser.add_argument("--train-seed", required=True, type=int)
    parser.add_argument("--split-seed", required=True, type=int)
    parser.add_argument("--search-seed", type=int)
    parser.add_argument("--metric", required=True, help="the official metric")
    parser.add_argument("--direction", required=True, choices=("minimize", "maximize"))
    parser.add_argument("--last-step", type=_number, help="end after its evaluation at this step")
    parser.add_argument("--folds", type=int, default=0, help="train once a fold, take the mean")
    parser.add_argument("--budget", type=_number, help="what run.budget says")
    parser.add_argument("--early-stopping", type=_rule, help="a JSON object: the rule of a fold")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the run")
    parser.add_argument("--packages", default="", help="what the code is made of, with commas")
    parser.add_argument("--code", default="", help="the digest that the score was recorded with")
    parser.add_argument("--commit", default="", help="the commit, in lines of earlier versions")
    parser.add_argument(
        "--data", default={}, type=_json, help="a JSON object: name, version, checksum"
    )
    parser.add_argument("--resumed", default="", help="checkpoints that it went on from")
    parser.add_argument("--lower-budgets", default="", help="it built on lower ones: built-on")
    parser.add_argument("--score", type=float, help="the recorded score")
    return parser


def _number(text: str) -> float:
    """A whole number stays one: budgets of epochs are counted with it."""
    number = float(text)
    return int(text) if text.lstrip("-").isdecimal() else number


def _rule(text: str) -> EarlyStopping:
    value = _json(text)
    try:
        metric, maximize = str(value.pop("metric")), bool(value.pop("maximize"))
        return EarlyStopping(metric, maximize, Patience(**value))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"no early-stopping rule: {error}") from error


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
