"""The experiment file: one parser for the file, the form, the API and the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from experiments.analysis.curves.early_stopping import EarlyStopping
from experiments.design import metrics
from experiments.design.catalogue import SAMPLERS
from experiments.design.document import commands, experiment_yaml
from experiments.design.document.arms_parsing import (
    CodeAndDataPart,
    check_named_arms,
    code_and_data,
    parse_arms,
)
from experiments.design.document.fidelity import Fidelity
from experiments.design.document.file_fields import (
    Long,
    Name,
    Part,
    Text,
    check_texts,
    checked,
    matching,
    required,
    short,
)
from experiments.design.document.first_configurations import first_arms, parse_first
from experiments.design.document.grid import grid_size
from experiments.design.document.search_methods import (
    Chosen,
    check_earlier,
    check_space,
    parse_pruner,
    parse_sampler,
)
from experiments.design.document.stop_rules import StopPart, parse_terminator
from experiments.design.document.training_rules import (
    MOST_FOLDS,
    parse_early_stopping,
    parse_fidelity,
    with_budget,
)
from experiments.design.metrics import Metric
from experiments.design.space.search_space import Arm, Scalar, SearchSpace
from experiments.design.space.search_space_parsing import parse_search_space
from experiments.errors import InvalidExperiment, Problem
from experiments.models.project import SLUG, SLUG_WORDS

GPU_QUEUE = "gpu"
_MOST_TRIALS = 1_000_000
_PYTHON = r"[A-Za-z_]\w*"
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Package = Annotated[
    Name, matching(rf"{_PYTHON}(\.{_PYTHON})*", "must be a package such as mylib or team.layers")
]


NAME = r"\w[\w .+=-]{0,199}"


def experiment_name(name: str) -> str:
    """The name of an experiment.

    Raises:
        ValueError: that says why it cannot be one.
    """
    if name == "new":
        raise ValueError("new is the address of the form; choose another")
    if not re.fullmatch(NAME, name):
        raise ValueError(
            "use letters, digits, spaces and . + = _ - only, 200 at most, beginning with a letter "
            f"or digit (found {short(name)})"
        )
    return name


def _link(link: str) -> str:
    try:
        parts = urlsplit(link)
        good = parts.scheme in ("http", "https") and parts.netloc and not re.search(r"\s", link)
    except ValueError:
        good = False
    if link and not good:
        raise ValueError(f"must be an http or https address (found {short(link)})")
    return link


class SearchPart(Part):
    """The `search:` part; `trials` are of each arm."""

    sampler: Any = "halton"
    trials: Annotated[int | None, Field(ge=1, le=_MOST_TRIALS)] = None
    parallel: Annotated[int, Field(ge=1, le=1000)] = 1
    seed: Seed = 0
    split_seed: Seed = 0
    pruner: Any = None
    earlier_trials: bool = False


class ResourcesPart(Part):
    """The `resources:` part: what each trial asks of a node."""

    gpu: Annotated[int | None, Field(ge=0, le=64)] = None


class FilePart(CodeAndDataPart):
    """The keys of a file."""

    project: Annotated[Name, matching(SLUG, SLUG_WORDS)] = required(
        "the name of the project as in its address"
    )
    experiment: Annotated[Name, AfterValidator(experiment_name)] = required(
        "the name of the experiment"
    )
    extends: Text = ""
    goal: Annotated[Long, Field(min_length=1, max_length=2000)] = required(
        "say in a sentence what you want to learn"
    )
    compares: bool = False
    objective: Annotated[
        Text, matching(rf"{_PYTHON}(\.{_PYTHON})*:{_PYTHON}", "must be package.module:function")
    ] = ""
    command: Annotated[Text, matching(commands.NAME.pattern, "use a name of the list")] = ""
    code: list[Package] = Field(default_factory=list, max_length=20, fail_fast=True)
    config_link: Annotated[Long, Field(max_length=1000), AfterValidator(_link)] = ""
    notes: Annotated[Long, Field(max_length=100_000)] = ""
    tags: list[Annotated[Name, Field(max_length=60)]] = Field(default_factory=list, fail_fast=True)
    metrics: Any = None
    search: Any = None
    early_stopping: Any = None
    fidelity: Any = None
    folds: Annotated[int, Field(ge=2, le=MOST_FOLDS)] = 0
    stop: Any = None
    arms: Any = None
    hyperparameters: Any = None
    first: Any = None
    probe: bool = False
    margin: Annotated[float, Field(ge=0)] | None = None  # in the metric's unit
    smallest_gain: Annotated[float, Field(gt=0)] | None = None
    queue: Annotated[Text, matching(r"[a-z0-9_-]{1,40}", "use a name such as cpu or gpu")] = ""
    resources: Any = None


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
    code: tuple[str, ...] = ()  # packages beside the objective's that its code is made of
    probe: bool = False  # edges are probed when the search has finished

    def arms(self) -> tuple[Arm, ...]:
        return self.space.arms()

    def stopping_rule(self, official: str, direction: str) -> EarlyStopping | None:
        """Rule of early stopping, with its metric named."""
        rule = self.early_stopping
        if rule is None or rule.metric not in ("", official):
            return rule
        return EarlyStopping(official, direction == "maximize", rule.patience)

    def budget_of(self, arm: Arm) -> int:
        """The sampler's trials in one arm: `trials`, and never more than a grid has points."""
        most = self.most_trials(arm)
        return self.trials if most is None else min(self.trials, most)

    @property
    def budget(self) -> int:
        """Trials of all arms together: the sampler's and the known-good configurations."""
        firsts = sum(len(first_arms(self.space, first)) for first in self.first)
        return sum(map(self.budget_of, self.arms())) + firsts

    def most_trials(self, arm: Arm) -> int | None:
        """Most trials of an arm: as many as a grid has points, else None."""
        return grid_size(arm, self.grid_points) if self.sampler == "grid" else None

    @property
    def grid_points(self) -> int:
        """Number of values that a grid takes of a range without a step."""
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
            [Problem("", "must be a mapping that starts with project:, experiment: and goal:")],
        )
    problems: list[Problem] = []
    check_texts(document, problems)
    if problems:
        raise InvalidExperiment("The experiment file holds text that cannot be kept.", problems)
    file = checked(FilePart, document, "", problems)
    search = checked(SearchPart, file.search, "search", problems)
    stop = checked(StopPart, file.stop, "stop", problems)
    runs = code_and_data(file, "", problems)
    named = parse_arms(file.arms, runs, problems)
    check_named_arms(file.hyperparameters, named, problems)
    space = parse_search_space(file.hyperparameters, problems, named=named, runs=runs)
    declared = metrics.parse(file.metrics, problems)
    sampler = parse_sampler(search.sampler, problems)
    check_earlier(search.earlier_trials, file.extends, sampler, problems)
    fidelity = parse_fidelity(file.fidelity, file.folds, problems)
    space = with_budget(space, fidelity, problems)
    pruner = parse_pruner(
        search.pruner, sampler, folds=file.folds, fidelity=fidelity, problems=problems
    )
    queue, gpus = _resources(file, problems)
    parsed = ExperimentFile(
        project=file.project,
        name=file.experiment,
        goal=file.goal,
        objective=_objective(file, document, problems),
        space=space,
        metrics=declared,
        official=_official(declared, problems),
        sampler=sampler.name,
        sampler_options=sampler.options,
        pruner=pruner.name,
        pruner_options=pruner.options,
        trials=_trials(search, sampler, space, problems),
        parallel=search.parallel,
        seed=search.seed,
        split_seed=search.split_seed,
        stop=stop.numbers(),
        terminator=parse_terminator(stop.terminator, file.folds, problems),
        early_stopping=parse_early_stopping(file.early_stopping, declared, problems),
        fidelity=fidelity,
        folds=file.folds,
        first=parse_first(file.first, file.hyperparameters, space, problems),
        compares=file.compares,
        config_link=file.config_link,
        notes=file.notes,
        tags=tuple(dict.fromkeys(file.tags)),
        margin=file.margin,
        smallest_gain=file.smallest_gain,
        queue=queue,
        gpus=gpus,
        extends=file.extends,
        earlier_trials=search.earlier_trials,
        code=tuple(dict.fromkeys(file.code)),
        probe=file.probe,
    )
    if file.compares and not space.of_role("scientific"):
        lacks = "no hyperparameter is scientific and no arm is named"
        mend = "Give the one that the goal asks about the role scientific, or leave compares out"
        problems.append(Problem("compares", f"nothing is compared: {lacks}. {mend}"))
    if problems:
        count = len(problems)
        raise InvalidExperiment(
            f"The experiment file has {count} {'error' if count == 1 else 'errors'}.", problems
        )
    return parsed


def _objective(file: FilePart, document: Mapping[str, Any], problems: list[Problem]) -> str:
    """A Python function, or the name of one of the operator's command lines."""
    if "command" not in document:
        if document.get("objective") is None:
            problems.append(Problem("objective", "is missing; give package.module:function"))
        return file.objective
    if "objective" in document:
        problems.append(Problem("command", "cannot be combined with objective; use one of them"))
    if file.code:
        problems.append(Problem("code", "names packages of a Python function; a command has none"))
    if not document["command"]:
        problems.append(Problem("command", "is missing"))
    return f"{commands.PREFIX}{file.command}"


def _resources(file: FilePart, problems: list[Problem]) -> tuple[str, int]:
    """The queue, and the GPUs that each trial asks for.

    Who asks for a GPU waits in the queue `gpu`, and who names that queue asks for one.
    """
    gpus = checked(ResourcesPart, file.resources, "resources", problems).gpu
    if gpus is None:
        gpus = 1 if file.queue == GPU_QUEUE else 0
    return file.queue or (GPU_QUEUE if gpus else "cpu"), gpus


def _official(declared: Mapping[str, Metric], problems: list[Problem]) -> str:
    official = [metric for metric in declared.values() if metric.official]
    if len(official) > 1:
        names = ", ".join(metric.name for metric in official)
        problems.append(Problem("metrics", f"only one metric can be official (found {names})"))
    for metric in official:
        where = f"metrics.{metric.name}"
        if metric.direction is None:
            problems.append(Problem(f"{where}.direction", "is missing; give minimize or maximize"))
        if metric.split == "test":
            reason = "a test metric cannot be official: it would choose what it should judge"
            problems.append(Problem(f"{where}.split", reason))
    return official[0].name if official else ""


def _trials(
    search: SearchPart, sampler: Chosen, space: SearchSpace, problems: list[Problem]
) -> int:
    """Trials of each arm; a grid may leave the number to its size."""
    before = len(problems)
    if sampler.known:
        check_space(sampler, space, search.trials, problems)
    if search.trials is None and sampler.name == "grid" and len(problems) == before:
        points = sampler.option("points", SAMPLERS)
        return max((grid_size(arm, points) for arm in space.arms()), default=1)
    if search.trials is None and "trials" not in search.model_fields_set:
        problems.append(Problem("search.trials", "is missing; give the trials of each arm"))
    return search.trials or 1


_stored = TypeAdapter(ExperimentFile)


def as_document(file: ExperimentFile) -> str:
    """The whole file as JSON text (`Experiment.document`), its keys in the file's order."""
    return _stored.dump_json(file).decode()


def stored(document: str) -> ExperimentFile:
    """The file whose document `as_document` wrote, exactly.

    Raises:
        InvalidExperiment: for an experiment without a file, which an external program described.
    """
    file = stored_or_none(document)
    if file is None:
        raise InvalidExperiment("A program described this experiment; it has no file.")
    return file


@lru_cache(maxsize=128)
def stored_or_none(document: str) -> ExperimentFile | None:
    """As `stored`; None for an experiment without a file."""
    try:
        return _stored.validate_json(document)
    except ValidationError:
        return None
