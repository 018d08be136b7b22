"""With real programs in real working copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until_gone
from tests.workers.repositories import commit, new_repository
from tests.workers.run_memory import Memory
from tests.workers.slot_owner import job
from workers.objectives.command import CommandFailed, function_of
from workers.objectives.python_function import ObjectiveError
from workers.training.messages import Command, OutputFile
from workers.training.run import Run, Stopped

CLIENT = Path(__file__).parents[3] / "client"


class Program:
    """A repository with one program, and what running it gives."""

    def __init__(self, folder: Path, text: str, *arguments: str) -> None:
        repository = new_repository(folder / "repository")
        self.folder = folder
        self.sink = Memory()
        self.files: list[OutputFile] = []
        self.run = Run(job("x", params={"lr": 0.5, "x": "-a"}), self.sink)
        self.command = Command(
            name="train",
            repository=str(repository),
            arguments=("{python}", "train.py", *arguments),
            commit=commit(repository, text),
            copies=str(folder / "copies"),
            folder=str(folder / "artifacts"),
            output="trials/7/attempt-1-output.txt",
            largest_output=1000,
            run_id=7,
        )

    def train(self) -> None:
        try:
            function_of(self.command, self.files.append)(self.run)
        finally:
            self.run.close()

    def output(self) -> str:
        return (self.folder / "artifacts" / self.files[0].path).read_text()


def test_a_program_logs_lines_of_json_and_all_that_it_prints_is_kept(tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        "import json, os, sys\n"
        "print(sys.argv[1:])\n"
        "with open(os.environ['VERDICT_METRICS'], 'a') as file:\n"
        "    file.write('no json\\n')\n"
        "    for step in range(1, 4):\n"
        "        told = {'step': step, 'validation_accuracy': step / 10, 'bad': float('nan')}\n"
        "        file.write(json.dumps(told) + '\\n')\n",
        "--lr={lr}",
        "--seed={train_seed}",
    )
    program.train()
    assert program.sink.curve("validation_accuracy") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert program.run.score.value == 0.3
    assert program.output() == "['--lr=0.5', '--seed=11']\n"
    assert program.files[0].size == len(program.output())


def test_the_client_for_programs_elsewhere_logs_to_its_trial_unchanged(tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        f"import sys; sys.path.insert(0, {str(CLIENT)!r})\n"
        "import os, verdict\n"
        "with verdict.run(project='p', experiment='e') as run:\n"
        "    assert run.id == int(os.environ['VERDICT_RUN'])\n"
        "    run.log({'validation_accuracy': 0.25}, step=5)\n",
    )
    program.train()
    assert program.sink.curve("validation_accuracy") == [(5, 0.25)]


def test_a_program_that_fails_fails_its_trial_and_its_output_is_kept(tmp_path: Path) -> None:
    program = Program(tmp_path, "print('x' * 5000)\nraise SystemExit(3)\n")
    with pytest.raises(CommandFailed, match=r"exited with code 3"):
        program.train()
    assert program.output() == "x" * 1000, "bounded"


def test_a_value_that_would_be_an_option_starts_nothing(tmp_path: Path) -> None:
    program = Program(tmp_path, "print('started')", "{x}")
    with pytest.raises(ObjectiveError, match="would be read as an option"):
        program.train()
    assert program.files == []


def test_a_run_that_is_to_stop_ends_its_program_with_all_that_it_started(tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'])\n"
        "with open(os.environ['VERDICT_METRICS'], 'a') as file:\n"
        '    print(\'{"step": %d, "validation_accuracy": 1}\' % child.pid, file=file)\n'
        "time.sleep(3600)\n",
    )
    pids: list[Any] = []
    log = program.run.log

    def stop(metrics: Any, step: Any = None) -> None:
        pids.append(step)
        program.sink.stop_requested = True
        log(metrics, step)

    program.run.log = stop  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        program.train()
    wait_until_gone(pids[0])


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    program = Program(tmp_path, "import sys; print(sys.argv[1])", "--n=$(id)`id`;{lr}|x")
    program.train()
    assert program.output() == "--n=$(id)`id`;0.5|x\n"


def test_each_fold_is_told_which_it_is_and_keeps_an_output_of_its_own(tmp_path: Path) -> None:
    program = Program(tmp_path, "import sys; print(sys.argv[1:])", "--fold={fold}/{folds}")
    for fold in (0, 1):
        told = job("x", params={}, fold=fold, folds=2, suffix=f"[fold={fold + 1}]")
        program.run = Run(told, program.sink)
        program.train()
    assert [Path(file.path).name for file in program.files] == [
        "attempt-1-output-fold-1.txt",
        "attempt-1-output-fold-2.txt",
    ]
    texts = [(tmp_path / "artifacts" / file.path).read_text() for file in program.files]
    assert texts == ["['--fold=0/2']\n", "['--fold=1/2']\n"]


def test_a_line_that_is_too_long_or_too_deep_costs_no_other(tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        "import os\n"
        "with open(os.environ['VERDICT_METRICS'], 'a') as file:\n"
        "    file.write('[' * 100000 + '\\n' + '{' + 'x' * 3000000 + '\\n')\n"
        '    file.write(\'{"step": 1, "validation_accuracy": 0.5}\\n\')\n',
    )
    program.train()
    assert program.sink.curve("validation_accuracy") == [(1, 0.5)]
