"""What decides a training run, together with its data. Read from and written to checkpoints as plain values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from training.data.augment import AugmentSettings
from training.data.labels import Labels
from training.learning.checkpoint import CheckpointError, plain_settings
from training.model.frontend import SAMPLE_RATE, FrontEndSettings
from training.model.network import NetworkSettings


class TrainingMethod(StrEnum):
    """From which steps of a sequence the loss is back-propagated."""

    RC = "rc"  # the first spike: Algorithm 1
    STREAMS = "streams"  # every step of labelled streams, with people talking in the background
    EOS = "eos"  # the end of the sequence
    CERTAINTY = "certainty"  # every step, by how certain the network is there
    ALL_STEPS = "all-steps"  # a control
    MAX_POOL = "max-pool"  # a control


OLD_NAMES = {"base": "initial_checkpoint", "steps": "min_batches"}  # names of settings in older checkpoints


READERS: dict[str, Callable[[Any], Any]] = {  # settings that are not plain values -> how they are read
    "labels": Labels.from_all,
    "network": lambda values: NetworkSettings(**values),
    "front_end": lambda values: FrontEndSettings(**values),
    "augment": lambda values: AugmentSettings(**values),
    "method": TrainingMethod,
}


@dataclass(frozen=True)
class RunSettings:
    """Everything that, with the data, decides a run."""

    labels: Labels
    network: NetworkSettings
    front_end: FrontEndSettings = field(default_factory=FrontEndSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    method: TrainingMethod = TrainingMethod.RC
    theta: float = 0.97  # an output that reaches it is a spike
    theta_low: float = 0.6  # each sequence draws its threshold from here to theta; Algorithm 1 has one, so theta
    beta: float = 0.05  # weight of the entropy term
    epochs: int = 60
    batch: int = 64
    learning_rate: float = 1e-3
    clip_norm: float = 0.25
    patience: int = 30  # epochs without a better validation before a run stops
    seed: int = 0
    streams: bool = True  # train on streams of words too, by rank coding only
    carry_share: float = 0.5  # share of sequences that begin with the final state of another one, as in a stream
    initial_checkpoint: str = ""  # checkpoint whose weights the run begins with
    min_batches: int = 1  # minimum number of batches in an epoch

    @property
    def step_s(self) -> float:
        """Seconds of audio per step of the network."""
        return self.front_end.hop * self.network.stride / SAMPLE_RATE

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunSettings":
        """The settings of a checkpoint, as `to_dict` put them there; those it lacks have their defaults.

        Raises CheckpointError where they are not the settings of a run that this version knows.
        """
        values = {OLD_NAMES.get(name, name): value for name, value in values.items()}
        try:
            return cls(**{name: READERS[name](value) if name in READERS else value for name, value in values.items()})
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"expected the settings of a run of this version, got others: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain values that a checkpoint can hold; the labels as a tuple of all of them."""
        return {**plain_settings(self), "labels": self.labels.all}
