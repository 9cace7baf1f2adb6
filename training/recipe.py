"""Keyword models from folders of recordings, in three steps: read the corpus, train, export calibrated on validation.

Connects data, loop, evaluation and export; owns no method of its own.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from training.data.labels import Labels
from training.data.sources import DataSources
from training.data.training_data import TrainingData, build_training_data, read_training_splits
from training.errors import TrainingError
from training.evaluation.calibration import enough_validation_clips, export_run
from training.learning.checkpoint import read_checkpoint
from training.learning.loop import sampler_of, train
from training.learning.settings import RunSettings, TrainingMethod
from training.learning.stream_training import train_on_streams
from training.presets import PRESETS

MIN_BATCHES = 50  # minimum number of batches in an epoch
STREAM_BATCHES = 1000  # number of batches in an epoch of labelled streams
STREAM_BATCH, STREAM_CLIP_NORM = 16, 1.0
STREAM_RATE, CONTINUED_RATE = 2e-3, 6e-4  # the second for runs from a checkpoint
EPOCHS, FEW_EPOCHS = 60, 20  # the second for runs from a checkpoint, and for too few clips to fill MIN_BATCHES
FEW_STREAM_EPOCHS = 4  # of STREAM_BATCHES, for too few clips to fill MIN_BATCHES


@dataclass(frozen=True)
class Recipe:
    """What `rc-train speech` is asked for; `epochs` 0 is as many as suit the data."""

    keywords: tuple[str, ...]
    preset: str = "conv"
    method: TrainingMethod = TrainingMethod.RC
    beta: float = RunSettings.beta
    theta: float = RunSettings.theta
    theta_low: float = RunSettings.theta_low
    epochs: int = 0
    seed: int = 0
    streams: bool = True
    initial_checkpoint: str = ""  # its network takes the place of the preset
    stream_batch: int = STREAM_BATCH  # labelled streams per step
    hidden: int | None = None  # units of the LSTM, in place of the preset's

    @property
    def labels(self) -> Labels:
        return Labels(self.keywords)

    def settings(self, data: TrainingData) -> RunSettings:
        """The settings of the run, the length of which depends on the data."""
        if self.initial_checkpoint:
            initial = RunSettings.from_dict(read_checkpoint(Path(self.initial_checkpoint))["settings"])
            front_end, network = initial.front_end, initial.network
        else:
            front_end, network = PRESETS[self.preset]
        network = replace(network, hidden=self.hidden or network.hidden)
        settings = RunSettings(
            self.labels, replace(network, labels=len(self.labels)), front_end, method=self.method, beta=self.beta,
            theta=self.theta, theta_low=self.theta_low, seed=self.seed, streams=self.streams,
            initial_checkpoint=self.initial_checkpoint,
        )  # fmt: skip
        few = sampler_of(settings, data).batches < MIN_BATCHES
        epochs = FEW_EPOCHS if few or self.initial_checkpoint else EPOCHS
        if self.method is TrainingMethod.STREAMS:
            epochs = self.epochs or (FEW_STREAM_EPOCHS if few else epochs)
            return on_streams(replace(settings, epochs=epochs, min_batches=STREAM_BATCHES, batch=self.stream_batch))
        return replace(settings, epochs=self.epochs or epochs, min_batches=MIN_BATCHES if few else 1)


def on_streams(settings: RunSettings) -> RunSettings:
    """Many small steps: a stream has several words, and states are carried for longer than in other methods."""
    rate = CONTINUED_RATE if settings.initial_checkpoint else STREAM_RATE
    return replace(settings, learning_rate=rate, clip_norm=STREAM_CLIP_NORM)


def train_and_export(sources: DataSources, recipe: Recipe, device: str, resume: bool, out: Path) -> None:
    """`rc-train speech`: a run in `out`, then its best checkpoint as `out`/model.onnx.

    Of streams, and where validation has too few clips to choose by, the last checkpoint is exported.
    """
    used_device = pick_device(device)
    clips, validation = read_training_splits(sources, recipe.labels)
    data = build_training_data(sources, recipe.labels, clips, validation)
    settings = recipe.settings(data)
    learn = train_on_streams if settings.method is TrainingMethod.STREAMS else train
    learn(settings, data, out, used_device, resume)
    chosen = settings.method is not TrainingMethod.STREAMS and enough_validation_clips(validation, recipe.labels)
    best = "best.pt" if chosen else "last.pt"
    export_run(out / best, sources, validation, out)


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is cuda where there is one. Raises TrainingError for one that cannot be used."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:  # the second by a torch without CUDA
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"--device: expected auto, cpu or a device of this machine, got {name}: {reason}"
        ) from error
