"""Checkpoints: one file with the settings of a run, the states of its parts, and facts about it.

Owns that a file is whole or absent, and that a run only resumes with its own settings. Knows nothing of what is
trained.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch

from training.errors import TrainingError

Checkpoint = dict[str, Any]  # "settings", a state per part, and facts: all plain values and tensors


class CheckpointError(TrainingError):
    """The file is missing, or not a checkpoint of this run; the message says what was expected and what came."""


class Stateful(Protocol):
    """What a checkpoint keeps the state of: a network, an optimiser, a learning-rate schedule."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


Parts = Mapping[str, Stateful | torch.Generator]


def write_checkpoint(path: Path, settings: Mapping[str, Any], parts: Parts, facts: Mapping[str, Any]) -> None:
    states = {
        name: part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
        for name, part in parts.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    torch.save({**states, **facts, "settings": dict(settings)}, draft)
    draft.replace(path)


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises CheckpointError where there is none."""
    if not path.is_file():
        raise CheckpointError(f"{path}: expected the checkpoint of a run, got no such file")
    try:
        checkpoint: Checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError) as error:
        raise CheckpointError(f"{path}: expected the checkpoint of a run, got another file: {error}") from error
    if not isinstance(checkpoint, dict) or "settings" not in checkpoint:
        raise CheckpointError(f"{path}: expected the checkpoint of a run, got a file without settings")
    return checkpoint


def restore(parts: Parts, checkpoint: Checkpoint) -> None:
    """Set the parts of a run to their states in a checkpoint. Raises CheckpointError for a part that it lacks."""
    if missing := [name for name in parts if name not in checkpoint]:
        raise CheckpointError(f"expected a checkpoint with the state of {', '.join(missing)}, got {list(checkpoint)}")
    for name, part in parts.items():
        if isinstance(part, torch.Generator):
            part.set_state(checkpoint[name])
        else:
            part.load_state_dict(checkpoint[name])


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Names of the settings that are new, gone or different."""
    return [name for name in {**before, **now} if name not in before or name not in now or before[name] != now[name]]


def plain_settings(settings: Any) -> Any:
    """A dataclass of settings as a dict of plain values, which is what `torch.load` accepts."""
    if is_dataclass(settings):
        return {field.name: plain_settings(getattr(settings, field.name)) for field in fields(settings)}
    return settings.value if isinstance(settings, Enum) else settings
