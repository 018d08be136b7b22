"""What other processes do in the tests of the storage: programs that know a database's URL."""

from __future__ import annotations

import warnings
from multiprocessing.connection import Connection

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import Trial, TrialState

from workers.search.storage import VerdictStorage

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore", ExperimentalWarning)


def open_study(url: str, name: str) -> optuna.Study:
    return optuna.load_study(
        study_name=name, storage=VerdictStorage(url), sampler=optuna.samplers.RandomSampler()
    )


def objective(trial: Trial) -> float:
    value = sum(trial.suggest_float(name, 0.0, 1.0) for name in "abc")
    for step in range(3):
        trial.report(value + step, step)
    trial.set_user_attr("sum", value)
    return value


def optimize(url: str, name: str, count: int) -> int:
    """Returns how many trials were run."""
    study = open_study(url, name)
    study.optimize(objective, n_trials=count)
    return count


def drain(url: str, name: str) -> list[int]:
    """Take waiting trials until there is none; returns their numbers."""
    study = open_study(url, name)
    taken = []
    while any(trial.state == TrialState.WAITING for trial in study.get_trials(deepcopy=False)):
        trial = study.ask()
        if "queued" in trial.user_attrs:
            taken.append(trial.number)
        study.tell(trial, 0.0)
    return taken


def tell(url: str, name: str, number: int, value: float) -> bool:
    """Returns whether this process's result was the first."""
    storage = VerdictStorage(url)
    study_id = storage.get_study_id_from_name(name)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)
    try:
        return storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [value])
    except optuna.exceptions.UpdateFinishedTrialError:
        return False


def set_attributes(url: str, name: str, process: int, count: int) -> None:
    """Write attributes of the study and of its first trial."""
    storage = VerdictStorage(url)
    study_id = storage.get_study_id_from_name(name)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, 0)
    for index in range(count):
        storage.set_study_user_attr(study_id, f"{process}-{index}", index)
        storage.set_trial_user_attr(trial_id, f"{process}-{index}", index)


def read_until(url: str, name: str, trials: int) -> list[int]:
    """Read the whole study again and again, as a page without memory does, until it has so many
    finished trials; returns how many were there each time."""
    seen: list[int] = []
    while not seen or seen[-1] < trials:
        finished = [trial.state.is_finished() for trial in open_study(url, name).trials]
        seen.append(sum(finished))
    return seen


def finish_trials(url: str, study_id: int, values: list[float]) -> None:
    """Create and finish a trial for each value, as our workers do, without Optuna between."""
    VerdictStorage(url)
    from experiments.trials.lifecycle.services import trials

    for value in values:
        trial_id, _ = trials.create(study_id=study_id, state=0, attempt=1)
        trials.finish(trial_id=trial_id, state=1, values=[value], attempt=1)


def answer(url: str, name: str, pipe: Connection) -> None:
    """Say what this process sees of the newest trial, each time it is asked to."""
    storage = VerdictStorage(url)
    study_id = storage.get_study_id_from_name(name)
    pipe.send("ready")
    while pipe.recv() == "look":
        trial = storage.get_all_trials(study_id)[-1]
        pipe.send((trial.state.name, trial.params, trial.intermediate_values, trial.values))
