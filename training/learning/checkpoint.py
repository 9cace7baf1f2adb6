"""One training run: what decides it, what changes while it goes on, and its checkpoints."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.optim.swa_utils import AveragedModel

from training.data.augment import AugmentSettings
from training.data.batches import TrainingData
from training.model.frontend import FrontEndSettings, LogMel, front_end_of
from training.model.network import Network, NetworkSettings

EMA_DECAY = 0.998


@dataclass(frozen=True)
class RunSettings:
    """Everything that, with the data, decides a run."""

    labels: tuple[str, ...]
    network: NetworkSettings
    front_end: FrontEndSettings = FrontEndSettings()
    augment: AugmentSettings = AugmentSettings()
    method: str = "rc"  # or "eos": from the last step of the sequence; or a control, "all-steps" or "max-pool"
    theta: float = 0.97  # an output that reaches it is a spike
    theta_low: float = 0.6  # each sequence draws its threshold from here to theta; Algorithm 1 has one, so theta
    beta: float = 0.05
    epochs: int = 60
    batch: int = 64
    learning_rate: float = 1e-3
    clip_norm: float = 0.25
    patience: int = 30  # epochs without a better validation before a run stops
    seed: int = 0
    streams: bool = True  # train on streams of words too, by rank coding only
    carry_share: float = 0.5  # of sequences that begin where one of the batch before ended, as in a stream
    base: str = ""  # checkpoint whose weights the run begins with
    steps: int = 1  # batches that an epoch has at least

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RunSettings":
        """The settings of a checkpoint, as `asdict` put them there."""
        parts = {"network": NetworkSettings, "front_end": FrontEndSettings, "augment": AugmentSettings}
        return cls(**{name: parts[name](**value) if name in parts else value for name, value in values.items()})


@dataclass
class Run:
    """All that changes while a run goes on, and so all that a checkpoint holds."""

    front_end: LogMel
    network: Network
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    generator: Generator
    data: str
    epoch: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def start(settings: RunSettings, data: TrainingData, device: torch.device) -> Run:
    """A run before its first step: seeded weights, and features normalised on training clips."""
    torch.manual_seed(settings.seed)
    generator = Generator(device).manual_seed(settings.seed)
    front_end = front_end_of(settings.front_end).to(device)
    sample = data.train.samples[:: max(1, len(data.train.samples) // 1000)].to(device).float() / 32768
    front_end.normalise(front_end(sample, front_end.initial_state(len(sample)))[0])
    network = Network(settings.network).to(device)
    average = AveragedModel(network, multi_avg_fn=moving_average)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    return Run(front_end, network, average, optimiser, generator, data.about)


def moving_average(average: Sequence[Tensor], new: Sequence[Tensor], count: Tensor | int) -> None:
    """Exponential average of the weights, over fewer steps while a run is young."""
    decay = min(EMA_DECAY, (1 + int(count)) / (10 + int(count)))
    torch._foreach_lerp_(list(average), list(new), 1 - decay)


def save(run: Run, settings: RunSettings, path: Path) -> None:
    """Checkpoint, and beside it a JSON of facts that is readable without torch."""
    state = {name: getattr(run, name).state_dict() for name in ("front_end", "network", "average", "optimiser")}
    facts = {
        "data": run.data,
        "epoch": run.epoch,
        "best": run.best,
        "best_epoch": run.best_epoch,
        "settings": asdict(settings),
    }
    partial = path.with_suffix(".partial")
    torch.save({**state, **facts, "history": run.history, "generator": run.generator.get_state()}, partial)
    partial.replace(path)
    path.with_suffix(".json").write_text(json.dumps({**facts, **run.history[-1]}, indent=1) + "\n")


def initialise_from(run: Run, settings: RunSettings) -> None:
    """Take the normalisation and the averaged weights of `base`; the output layer only where it has the same labels."""
    saved = torch.load(settings.base, map_location="cpu", weights_only=True)
    run.front_end.load_state_dict(saved["front_end"])
    weights = run.network.state_dict()
    same = tuple(saved["settings"]["labels"]) == settings.labels
    for name in weights:
        if same or not name.startswith("output."):
            weights[name] = saved["average"][f"module.{name}"]
    run.network.load_state_dict(weights)
    run.average.module.load_state_dict(weights)


def load(run: Run, settings: RunSettings, path: Path) -> None:
    """Continue `run` where the checkpoint stood. Raises ValueError when it is of other settings."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    before, now = asdict(RunSettings.from_dict(saved["settings"])), asdict(settings)
    if changed := [name for name in now if before[name] != now[name]]:
        raise ValueError(f"{path}: expected the settings of the run to go on with, got other {', '.join(changed)}")
    for name in ("front_end", "network", "average", "optimiser"):
        getattr(run, name).load_state_dict(saved[name])
    run.generator.set_state(saved["generator"])
    run.epoch, run.best, run.best_epoch, run.history = (
        saved[name] for name in ("epoch", "best", "best_epoch", "history")
    )
