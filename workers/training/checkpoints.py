"""Checkpoints of a run: written whole or not at all, read only when their checksum holds.

A checkpoint holds what the training function gave, the states of all random generators and what
the run itself remembers, so that a resumed run goes on as if it had never ended. Loading one runs
no code: tensors are read with `weights_only`, everything else is plain data.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from workers.training.messages import (
    BuiltOnLowerBudget,
    CheckpointFile,
    CheckpointKind,
    Checkpoints,
    LoggedFile,
    Resumed,
)

_PLAIN = (type(None), bool, int, float, str, bytes)
_ARRAY = "verdict:array"


class CheckpointError(ValueError):
    """The state cannot be saved; the message says how to mend it."""


class _Unreadable(Exception):
    """A file is missing, cut off or altered."""


@runtime_checkable
class CheckpointSink(Protocol):
    """Sink that stores checkpoints; a run with another sink has none."""

    def tell(
        self, message: CheckpointFile | Resumed | BuiltOnLowerBudget | LoggedFile
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checkpoint as read: state of the training function, state of the run."""

    state: Any
    memory: dict[str, Any]
    file: CheckpointFile
    unreadable: tuple[str, ...] = ()  # what was wrong with newer ones


@dataclass(slots=True)
class CheckpointStore:
    """The checkpoints of one trial as its training process sees them."""

    about: Checkpoints
    _written: int = field(default=0, init=False)

    def write(
        self,
        state: Any,
        *,
        step: float,
        value: float | None,
        memory: dict[str, Any],
        generators: Sequence[Any] = (),
        kind: CheckpointKind = "checkpoint",
    ) -> CheckpointFile:
        """Write a checkpoint to disk.

        Raises:
            CheckpointError: for a state that could not be read back, or one that is too large.
            OSError: when the disk does not take it.
        """
        content = _packed(
            {"state": state, "memory": memory, "random": random_states(generators)},
            check=self._written == 0,
        )
        if len(content) > self.about.largest:
            raise CheckpointError(
                f"the checkpoint at step {step} has {len(content) / 2**20:.1f} MiB; the operator "
                f"allows {self.about.largest / 2**20:g}. Keep less in it, or have "
                "CHECKPOINT_MEGABYTES raised"
            )
        self._written += 1
        what = "finished" if kind == "progress" else f"{self._written:06}-step-{step}"
        name = f"{self._prefix()}-{what}.pt"
        path = Path(self.about.place) / name
        _write_whole(Path(self.about.folder) / path, content)
        return CheckpointFile(
            path=path.as_posix(),
            step=step,
            attempt=self.about.attempt,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            value=value,
            kind=kind,
        )

    def _prefix(self) -> str:
        number = self.about.number
        one_pass = "" if number is None else f"-pass-{number + 1}"
        return f"attempt-{self.about.attempt}{one_pass}"

    def read(self, generators: Sequence[Any] = ()) -> Loaded | None:
        """The newest checkpoint that is whole, its random states restored; None without one.

        Raises:
            CheckpointError: when it holds other generators than are given.
        """
        wrong: list[str] = []
        for file in self.about.saved:
            try:
                content = _unpacked(self._content(file))
            except _Unreadable as error:
                wrong.append(f"checkpoint at step {file.step}: {error}; an older one is tried")
                continue
            restore_random_states(content["random"], generators)
            return Loaded(content["state"], content["memory"], file, tuple(wrong))
        if wrong:
            return Loaded(None, {}, self.about.saved[-1], tuple(wrong))
        return None

    def _content(self, file: CheckpointFile) -> bytes:
        try:
            content = (Path(self.about.folder) / file.path).read_bytes()
        except OSError as error:
            raise _Unreadable(error.strerror or str(error)) from error
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise _Unreadable("its checksum is not the recorded one")
        return content


def random_states(generators: Sequence[Any] = ()) -> dict[str, Any]:
    """States of Python's, NumPy's and torch's shared generators, CUDA's included, and of those
    given: `torch.Generator`, `numpy.random.Generator` or `random.Random`, in their order.

    Libraries that nobody has imported have no state to keep.
    """
    states: dict[str, Any] = {"python": random.getstate()}
    if "numpy" in sys.modules:
        import numpy as np

        states["numpy"] = _without_arrays(np.random.get_state(legacy=False))
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = torch.get_rng_state()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            states["cuda"] = torch.cuda.get_rng_state_all()
    states["generators"] = [_state_of(generator) for generator in generators]
    return states


def restore_random_states(states: dict[str, Any], generators: Sequence[Any] = ()) -> None:
    """Raises CheckpointError when other generators were kept than are given."""
    stored = states["generators"]
    if len(stored) != len(generators):
        raise CheckpointError(
            f"the checkpoint holds {len(stored)} generators and {len(generators)} were given; "
            "give save_checkpoint and load_checkpoint the same ones in the same order"
        )
    random.setstate(_as_tuples(states["python"]))
    if "numpy" in states:
        import numpy as np

        np.random.set_state(_with_arrays(states["numpy"]))
    if "torch" in states:
        import torch

        torch.set_rng_state(states["torch"])
        if "cuda" in states and torch.cuda.device_count() == len(states["cuda"]):
            torch.cuda.set_rng_state_all(states["cuda"])
    for generator, state in zip(generators, stored, strict=True):
        _set_state(generator, state)


def _state_of(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if hasattr(generator, "bit_generator"):
        return _without_arrays(generator.bit_generator.state)
    if hasattr(generator, "get_state"):
        return generator.get_state()
    raise CheckpointError(
        f"no state can be had of a {type(generator).__name__}; expected a torch.Generator, a "
        "numpy.random.Generator or a random.Random"
    )


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(_as_tuples(state))
    elif hasattr(generator, "bit_generator"):
        generator.bit_generator.state = _with_arrays(state)
    else:
        generator.set_state(state)


def _without_arrays(value: Any) -> Any:
    """Nested dictionaries with NumPy's arrays and numbers as plain ones."""
    if isinstance(value, dict):
        return {key: _without_arrays(member) for key, member in value.items()}
    if hasattr(value, "tolist"):
        plain = value.tolist()
        return {_ARRAY: plain, "dtype": str(value.dtype)} if isinstance(plain, list) else plain
    return value


def _with_arrays(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        import numpy as np

        return np.array(value[_ARRAY], dtype=value["dtype"])
    return {key: _with_arrays(member) for key, member in value.items()}


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def _packed(content: dict[str, Any], *, check: bool) -> bytes:
    """As bytes; with `check` read back at once, so that the first one tells what is wrong."""
    if _is_plain(content):  # a function without torch need not wait for its import
        return pickle.dumps(content)
    import torch

    buffer = io.BytesIO()
    try:
        torch.save(content, buffer)
        if check:
            torch.load(io.BytesIO(buffer.getbuffer()), weights_only=True, map_location="cpu")
    except (pickle.PicklingError, pickle.UnpicklingError, AttributeError, TypeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            "the state can hold tensors, numbers, text, and lists, tuples and dictionaries of "
            f"them, such as state_dict() gives: {first}"
        ) from error
    return buffer.getvalue()


def _unpacked(content: bytes) -> Any:
    try:
        if content[:2] != b"PK":
            return _PlainUnpickler(io.BytesIO(content)).load()
        import torch

        # To the CPU: load_state_dict copies to where a tensor belongs, whatever the device was.
        return torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, EOFError, RuntimeError, OSError, ValueError) as error:
        raise _Unreadable(f"it cannot be read ({error})") from error


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain data")


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(map(_is_plain, value.keys())) and all(map(_is_plain, value.values()))
    return type(value) in _PLAIN


def _write_whole(path: Path, content: bytes) -> None:
    """All of it under its name, or nothing: also when the machine goes down."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
