"""The experiment file: one parser for the file, the form, the API and the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from experiments.analysis.curves.early_stopping import EarlyStopping
from experiments.design import metrics
from experiments.design.catalogue import SAMPLERS
from experiments.design.document import commands, experiment_yaml
from experiments.design.document.arms_parsing import (
    check_named_arms,
    parse_arms,
    parse_code_and_data,
)
from experiments.design.document.extension_rules import parse_extension
from experiments.design.document.fidelity import Fidelity
from experiments.design.document.file_fields import (
    check_texts,
    is_number,
    mapping,
    short,
    text,
    unknown_keys,
    whole,
)
from experiments.design.document.first_configurations import parse_first
from experiments.design.document.grid import grid_size
from experiments.design.document.resources import parse_resources
from experiments.design.document.search_methods import (
    Chosen,
    check_space,
    parse_pruner,
    parse_sampler,
)
from experiments.design.document.stop_rules import parse_stop, parse_terminator
from experiments.design.document.training_rules import (
    parse_early_stopping,
    parse_fidelity,
    parse_folds,
    with_budget,
)
from experiments.design.metrics import Metric
from experiments.design.space.search_space import Arm, Scalar, SearchSpace
from experiments.design.space.search_space_parsing import parse_search_space
from experiments.errors import InvalidExperiment, Problem

_KEYS = (
    "project",
    "experiment",
    "extends",
    "goal",
    "compares",
    "objective",
    "command",
    "commit",
    "data",
    "config_link",
    "notes",
    "tags",
    "metrics",
    "search",
    "early_stopping",
    "fidelity",
    "folds",
    "stop",
    "arms",
    "hyperparameters",
    "first",
    "margin",
    "smallest_gain",
    "queue",
    "resources",
)
_SEARCH_KEYS = ("sampler", "trials", "parallel", "seed", "split_seed", "pruner", "earlier_trials")
_MOST_TRIALS = 1_000_000


@dataclass(frozen=True, slots=True)
class ExperimentFile:
    """A valid experiment file. `trials` is the sampler's budget of each arm.

    `folds` is how often the objective runs for one value, 0 when once and for all data.
    """

    project: str
    name: str
    goal: str
    objective: str
    space: SearchSpace
    metrics: Mapping[str, Metric]
    official: str  # "" leaves it to the project
    sampler: str
    sampler_options: Mapping[str, Any]
    pruner: str
    pruner_options: Mapping[str, Any]
    trials: int
    parallel: int
    seed: int
    split_seed: int
    stop: Mapping[str, float] = field(default_factory=dict)
    terminator: Chosen | None = None
    early_stopping: EarlyStopping | None = None
    fidelity: Fidelity | None = None
    folds: int = 0
    first: tuple[Mapping[str, Scalar], ...] = ()
    compares: bool = False  # the goal is a comparison, which needs something scientific
    config_link: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    margin: float | None = None
    smallest_gain: float | None = None
    queue: str = "cpu"
    gpus: int = 0  # that each trial asks for
    extends: str = ""  # name of an experiment of the project
    earlier_trials: bool = False  # the sampler begins with its trials

    def arms(self) -> tuple[Arm, ...]:
        return self.space.arms()

    def budget_of(self, arm: Arm) -> int:
        """The sampler's trials in one arm: `trials`, and never more than a grid has points."""
        most = self.most_trials(arm)
        return self.trials if most is None else min(self.trials, most)

    def most_trials(self, arm: Arm) -> int | None:
        """How many trials an arm can have: as many as a grid has points, else None."""
        return grid_size(arm, self.grid_points) if self.sampler == "grid" else None

    @property
    def grid_points(self) -> int:
        """How many values a grid takes of a range without a step."""
        chosen = Chosen("grid", self.sampler_options)
        points: int = chosen.option("points", SAMPLERS)
        return points


def parse(source: str) -> ExperimentFile:
    """Parse and validate an experiment file.

    Raises:
        InvalidExperiment: with one problem for every key that is wrong, all together.
    """
    problems: list[Problem] = []
    document = experiment_yaml.load(source, problems)
    if problems:
        raise InvalidExperiment("The experiment file cannot be read.", problems)
    return parse_document(document)


def parse_document(document: Any) -> ExperimentFile:
    """As `parse`, from plain data."""
    if not isinstance(document, Mapping):
        raise InvalidExperiment(
            "The experiment file is empty.",
            [Problem("", "want a mapping that starts with project:, experiment: and goal:")],
        )
    problems: list[Problem] = []
    check_texts(document, problems)
    if problems:
        raise InvalidExperiment("The experiment file holds text that cannot be kept.", problems)
    unknown_keys(document, _KEYS, "", problems)
    runs = parse_code_and_data(document, "", problems)
    named = parse_arms(document, runs, problems)
    check_named_arms(document, named, problems)
    space = parse_search_space(document.get("hyperparameters"), problems, named=named, runs=runs)
    declared = metrics.parse(document.get("metrics"), problems)
    search = mapping(document, "search", problems)
    unknown_keys(search, _SEARCH_KEYS, "search.", problems)
    sampler = parse_sampler(search, problems)
    folds = parse_folds(document, problems)
    fidelity = parse_fidelity(document, folds, problems)
    space = with_budget(space, fidelity, problems)
    pruner = parse_pruner(search, sampler, folds=folds, fidelity=fidelity, problems=problems)
    queue, gpus = parse_resources(document, problems)
    extends, earlier_trials = parse_extension(document, search, sampler, problems)
    parsed = ExperimentFile(
        project=_slug(document, problems),
        name=name_in(document, problems),
        goal=text(document, "goal", problems, required=True, longest=2000),
        objective=_objective(document, problems),
        space=space,
        metrics=declared,
        official=_official(declared, problems),
        sampler=sampler.name,
        sampler_options=sampler.options,
        pruner=pruner.name,
        pruner_options=pruner.options,
        trials=_trials(search, sampler, space, problems),
        parallel=whole(search, "search.parallel", problems, low=1, high=1000, default=1),
        seed=whole(search, "search.seed", problems, low=0, high=2**31 - 1, default=0),
        split_seed=whole(search, "search.split_seed", problems, low=0, high=2**31 - 1, default=0),
        stop=parse_stop(document, problems),
        terminator=parse_terminator(document, folds, problems),
        early_stopping=parse_early_stopping(document, declared, problems),
        fidelity=fidelity,
        folds=folds,
        first=parse_first(document, space, problems),
        compares=_yes(document, "compares", problems),
        config_link=_link(document, problems),
        notes=text(document, "notes", problems, longest=100_000),
        tags=_tags(document, problems),
        margin=_gain(document, "margin", problems, zero=True),
        smallest_gain=_gain(document, "smallest_gain", problems, zero=False),
        queue=queue,
        gpus=gpus,
        extends=extends,
        earlier_trials=earlier_trials,
    )
    if parsed.compares and not space.of_role("scientific"):
        problems.append(
            Problem(
                "compares",
                "nothing is compared: no hyperparameter is scientific and no arm is named. Give "
                "the one that the goal asks about the role scientific, or leave compares out",
            )
        )
    if problems:
        count = len(problems)
        raise InvalidExperiment(
            f"The experiment file has {count} {'error' if count == 1 else 'errors'}.", problems
        )
    return parsed


def _slug(document: Mapping[str, Any], problems: list[Problem]) -> str:
    slug = text(document, "project", problems, required=True, longest=100)
    if slug and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", slug):
        problems.append(
            Problem("project", f"found {short(slug)}, want lower-case letters, digits, - and _")
        )
    return slug


def name_in(document: Mapping[str, Any], problems: list[Problem]) -> str:
    """The name of an experiment, adding to `problems` why it cannot be one."""
    name = text(document, "experiment", problems, required=True)
    if name and not re.fullmatch(r"[\w][\w .+=-]*", name):
        problems.append(
            Problem(
                "experiment", f"found {short(name)}, want letters, digits, spaces and . + = _ -"
            )
        )
    if name == "new":
        problems.append(Problem("experiment", "new is the address of the form; choose another"))
    return name


def _objective(document: Mapping[str, Any], problems: list[Problem]) -> str:
    if "command" in document:
        return _command(document, problems)
    objective = text(document, "objective", problems, required=True, longest=300)
    part = r"[A-Za-z_]\w*"
    if objective and not re.fullmatch(rf"{part}(\.{part})*:{part}", objective, re.ASCII):
        problems.append(
            Problem("objective", f"found {short(objective)}, want package.module:function")
        )
    return objective


def _command(document: Mapping[str, Any], problems: list[Problem]) -> str:
    """An objective that names one of the operator's command lines."""
    name = text(document, "command", problems, required=True, longest=100)
    if "objective" in document:
        problems.append(Problem("command", "stands beside objective; write one of them"))
    if name and not commands.NAME.fullmatch(name):
        problems.append(
            Problem("command", f"found {short(name)}, want a name from the operator's list")
        )
    return f"{commands.PREFIX}{name}"


def _official(declared: Mapping[str, Metric], problems: list[Problem]) -> str:
    official = [metric for metric in declared.values() if metric.official]
    if len(official) > 1:
        names = ", ".join(metric.name for metric in official)
        problems.append(Problem("metrics", f"one metric can be official, found {names}"))
    for metric in official:
        if metric.direction is None:
            problems.append(
                Problem(
                    f"metrics.{metric.name}.direction", "is missing; want minimize or maximize"
                )
            )
        if metric.split == "test":
            problems.append(
                Problem(
                    f"metrics.{metric.name}.split",
                    "a test metric cannot be official: it would choose what it should judge",
                )
            )
    return official[0].name if official else ""


def _trials(
    search: Mapping[str, Any], sampler: Chosen, space: SearchSpace, problems: list[Problem]
) -> int:
    """Trials of each arm; a grid may leave the number to its size."""
    before = len(problems)
    if sampler.known:
        given = search.get("trials")
        check_space(sampler, space, given if isinstance(given, int) else None, problems)
    default = None
    if sampler.name == "grid" and len(problems) == before:
        points = sampler.option("points", SAMPLERS)
        default = max((grid_size(arm, points) for arm in space.arms()), default=1)
    return whole(search, "search.trials", problems, low=1, high=_MOST_TRIALS, default=default)


def _yes(document: Mapping[str, Any], key: str, problems: list[Problem]) -> bool:
    value = document.get(key, False)
    if not isinstance(value, bool):
        problems.append(Problem(key, f"found {short(value)}, want true or false"))
    return value is True


def _link(document: Mapping[str, Any], problems: list[Problem]) -> str:
    link = text(document, "config_link", problems, longest=1000)
    try:
        good = not link or (urlsplit(link).scheme in ("http", "https") and urlsplit(link).netloc)
    except ValueError:
        good = False
    if not good or re.search(r"\s", link):
        problems.append(
            Problem("config_link", f"found {short(link)}, want an http or https address")
        )
        return ""
    return link


def _tags(document: Mapping[str, Any], problems: list[Problem]) -> tuple[str, ...]:
    tags = document.get("tags", [])
    if not isinstance(tags, list) or not all(
        isinstance(tag, str) and 0 < len(tag.strip()) <= 60 for tag in tags
    ):
        problems.append(Problem("tags", "want a list of words of at most 60 characters"))
        return ()
    return tuple(dict.fromkeys(tag.strip() for tag in tags))


def _gain(
    document: Mapping[str, Any], key: str, problems: list[Problem], *, zero: bool
) -> float | None:
    value = document.get(key)
    if value is None:
        return None
    if not is_number(value) or value < 0 or (value == 0 and not zero):
        want = "0 or more" if zero else "more than 0"
        problems.append(Problem(key, f"found {short(value)}, want {want}, in the metric's unit"))
        return None
    return float(value)


_stored = TypeAdapter(ExperimentFile)


def as_document(file: ExperimentFile) -> str:
    """The whole file as JSON text (`Experiment.document`), its keys in the file's order."""
    return _stored.dump_json(file).decode()


@lru_cache(maxsize=128)
def stored(document: str) -> ExperimentFile:
    """The file whose document `as_document` wrote, exactly.

    Raises:
        InvalidExperiment: for an experiment without a file, which a program outside described.
    """
    try:
        return _stored.validate_json(document)
    except ValidationError:
        raise InvalidExperiment("A program described this experiment; it has no file.") from None
