"""One training run: what changes during it, and its checkpoints."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from service.spotting.audio import FULL_SCALE
from training.data.training_data import TrainingData
from training.learning.checkpoint import (
    Checkpoint,
    CheckpointError,
    Parts,
    changed_settings,
    read_checkpoint,
    restore,
    write_checkpoint,
)
from training.learning.settings import RunSettings
from training.model.frontend import LogMel, front_end_of
from training.model.network import Network
from training.records import Record

EMA_DECAY = 0.998


@dataclass(frozen=True)
class EpochMetrics(Record):
    """What an epoch cost and came to: a line of metrics.jsonl."""

    epoch: int  # 1 for the first
    seconds: float
    cpu_s: float
    loss: float
    accuracy: float
    spike_s: float | None  # of the answers; a run on labelled streams has none
    steps_run: int | None
    validation_accuracy: float
    validation_spike_s: float
    validation_end_accuracy: float


@dataclass
class TrainingRun:
    """All that changes during a run, and so all that a checkpoint holds."""

    front_end: LogMel
    network: Network
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    schedule: LambdaLR
    generator: torch.Generator
    data: str  # what the data are
    epoch: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    history: list[EpochMetrics] = field(default_factory=list)

    @property
    def parts(self) -> Parts:
        names = ("front_end", "network", "average", "optimiser", "schedule", "generator")
        return {name: getattr(self, name) for name in names}


def open_run(
    settings: RunSettings, data: TrainingData, batches: int, out: Path, device: torch.device, resume: bool
) -> TrainingRun:
    """A run in the folder `out`: from its last.pt, from the initial checkpoint of the settings, or from nothing."""
    out.mkdir(parents=True, exist_ok=True)
    run = start_run(settings, data, batches, device)
    if resume:
        resume_run(run, settings, out / "last.pt")
    elif settings.initial_checkpoint:
        initialise_from(run, settings)
    return run


def start_run(settings: RunSettings, data: TrainingData, batches: int, device: torch.device) -> TrainingRun:
    """A run before its first step: seeded weights, features normalised on training clips, `batches` per epoch."""
    torch.manual_seed(settings.seed)
    generator = torch.Generator(device).manual_seed(settings.seed)
    front_end = front_end_of(settings.front_end).to(device)
    sample = data.train.samples[:: max(1, len(data.train.samples) // 1000)].to(device).float() / FULL_SCALE
    front_end.normalise(front_end(sample, front_end.initial_state(len(sample)))[0])
    network = Network(settings.network).to(device)
    average = AveragedModel(network, multi_avg_fn=moving_average)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    schedule = LambdaLR(optimiser, lambda batch: rate_at(batch // batches + batch % batches / batches, settings.epochs))
    return TrainingRun(front_end, network, average, optimiser, schedule, generator, data.about)


def rate_at(epoch: float, epochs: int) -> float:
    """Share of the learning rate after `epoch` epochs: one epoch of warm-up, then half a cosine down to a fiftieth."""
    return min(1.0, 0.1 + epoch) * (0.51 + 0.49 * math.cos(math.pi * epoch / epochs))


def moving_average(average: Sequence[Tensor], new: Sequence[Tensor], count: Tensor | int) -> None:
    """Exponential average of the weights, over fewer steps while a run is young."""
    decay = min(EMA_DECAY, (1 + int(count)) / (10 + int(count)))
    for averaged, weights in zip(average, new, strict=True):
        averaged.lerp_(weights, 1 - decay)


def record_epoch(run: TrainingRun, metrics: EpochMetrics, out: Path) -> None:
    """Add an epoch to the history and to metrics.jsonl."""
    run.history.append(metrics)
    with (out / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(metrics.to_json()) + "\n")


def save_run(run: TrainingRun, settings: RunSettings, path: Path) -> None:
    """Write the checkpoint, and beside it a JSON of facts that is readable without torch."""
    facts = {"data": run.data, "epoch": run.epoch, "best": run.best, "best_epoch": run.best_epoch}
    history = [metrics.to_json() for metrics in run.history]
    write_checkpoint(path, settings.to_dict(), run.parts, {**facts, "history": history})
    facts |= {"settings": settings.to_dict(), **history[-1]}
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")


def initialise_from(run: TrainingRun, settings: RunSettings) -> None:
    """Take normalisation and averaged weights of the initial checkpoint; the output layer only for the same labels."""
    saved = read_checkpoint(Path(settings.initial_checkpoint))
    run.front_end.load_state_dict(saved["front_end"])
    weights = run.network.state_dict()
    same = RunSettings.from_dict(saved["settings"]).labels == settings.labels
    for name in weights:
        if same or not name.startswith("output."):
            weights[name] = saved["average"][f"module.{name}"]
    run.network.load_state_dict(weights)
    run.average.module.load_state_dict(weights)


def resume_run(run: TrainingRun, settings: RunSettings, path: Path) -> None:
    """Continue `run` where the checkpoint stood. Raises CheckpointError when it is of other settings."""
    saved = read_checkpoint(path)
    if changed := changed_settings(RunSettings.from_dict(saved["settings"]).to_dict(), settings.to_dict()):
        raise CheckpointError(f"{path}: expected a run with the same settings, got other {', '.join(changed)}")
    restore(run.parts, saved)
    run.epoch, run.best, run.best_epoch = (saved[name] for name in ("epoch", "best", "best_epoch"))
    run.history = history_of(saved)


def history_of(checkpoint: Checkpoint) -> list[EpochMetrics]:
    rows: list[dict[str, Any]] = checkpoint["history"]
    return [EpochMetrics.from_json(row) for row in rows]
