"""Training on labelled streams: cross-entropy at every step, in front of background talk from the first batch on.

States are carried from batch to batch, as in a stream. Knows nothing of where recordings come from.
"""

import time
from collections.abc import Iterable, Iterator
from functools import partial
from multiprocessing import get_all_start_methods
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.data.augment import Augmenter, between
from training.data.training_data import TrainingData
from training.learning.carried_state import carry
from training.learning.labelled_streams import LabelledStreams, StreamBatch
from training.learning.loop import augmentation_strength, optimiser_step
from training.learning.losses import labelled_steps_loss
from training.learning.rank_coding import NO_KEYWORD
from training.learning.run import EpochMetrics, TrainingRun, open_run, record_epoch, save_run
from training.learning.settings import RunSettings
from training.learning.validation import posteriors, validate
from training.machine import processors
from training.model.frontend import State

GAIN_DB = (-22.0, 16.0)  # on words of LOUDNESS, so that they are 48 to 10 dB below full scale
OFFSET, OFFSET_SHARE = 0.06, 0.25  # largest constant offset, and the share of streams that have one
HISS_DB = (-90.0, -60.0)  # of the recorder itself
KEYWORD_WEIGHT = 3.0  # of the steps of keywords at the start of a run, which else learns that there are none
STREAM_RAMP = 0.2  # share of the epochs over which backgrounds grow to full strength
MINED = 3  # utterances of each kind per batch that are scored before an epoch to find hard negatives


class StepResult(NamedTuple):
    loss: float
    recall: float  # share of the keywords' steps at full weight at which the keyword is the likeliest label


class StreamBatches(Dataset[StreamBatch]):
    """The batches of one epoch, each with a generator of its own, so that processes can compose them in any order."""

    def __init__(self, streams: LabelledStreams, settings: RunSettings, epoch: int, strength: float) -> None:
        self.streams, self.settings, self.epoch, self.strength = streams, settings, epoch, strength

    def __len__(self) -> int:
        return self.settings.min_batches

    def __getitem__(self, index: int) -> StreamBatch:
        settings = self.settings
        rng = np.random.default_rng([settings.seed, self.epoch, index])
        return self.streams.batch(settings.batch, 1 - settings.carry_share, self.strength, rng)


def composed_ahead(batches: StreamBatches) -> Iterable[StreamBatch]:
    """The batches in order, composed by a process for each processor but one; in this process where none can fork."""
    workers = processors() - 1 if "fork" in get_all_start_methods() else 0
    return DataLoader(
        batches, batch_size=None, num_workers=workers, multiprocessing_context="fork" if workers else None
    )


def train_on_streams(
    settings: RunSettings, data: TrainingData, out: Path, device: torch.device, resume: bool = False
) -> TrainingRun:
    """Train for all epochs of `min_batches`; `out` gets last.pt, its facts and metrics.jsonl."""
    run = open_run(settings, data, settings.min_batches, out, device, resume)
    augmenter = Augmenter(settings.augment, data.noise.to(device), data.rooms.to(device), run.generator)
    streams = LabelledStreams(data.corpus, settings.labels, settings.step_s)
    with Progress(transient=True) as progress:
        bar = progress.add_task("", total=settings.epochs * settings.min_batches)
        while is_unfinished(run, settings):
            began, cpu_began, results = time.perf_counter(), time.process_time(), []
            for result in run_epoch(settings, run, streams, augmenter):
                results.append(result)
                progress.update(bar, completed=run.epoch * settings.min_batches + len(results))
            run.epoch += 1
            seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
            finish_epoch(settings, run, data, out, results, seconds, cpu_s)
            progress.console.print(summary(run.history[-1]), highlight=False, soft_wrap=True)
    return run


def is_unfinished(run: TrainingRun, settings: RunSettings) -> bool:
    return run.epoch < settings.epochs


def run_epoch(
    settings: RunSettings, run: TrainingRun, streams: LabelledStreams, augmenter: Augmenter
) -> Iterator[StepResult]:
    """One step of the optimiser after another."""
    strength = augmentation_strength(settings, run.epoch, STREAM_RAMP)
    if run.epoch:
        rng = np.random.default_rng([settings.seed, run.epoch])
        streams.mine_hard_negatives(
            MINED * settings.min_batches, partial(posteriors, run.front_end, run.average.module), rng
        )
    run.network.train()
    augmenter.settings = settings.augment.at(strength)
    carried: State | None = None
    for batch in composed_ahead(StreamBatches(streams, settings, run.epoch, strength)):
        result, carried = train_step(settings, run, batch, augmenter, carried)
        run.schedule.step()
        yield result


def train_step(
    settings: RunSettings, run: TrainingRun, batch: StreamBatch, augmenter: Augmenter, carried: State | None
) -> tuple[StepResult, State]:
    """One step of the optimiser; returns the states of front-end and network at the ends of the streams."""
    device, count = run.generator.device, len(batch.samples)
    samples = through_microphone(batch.samples.to(device), augmenter)
    state = {**run.front_end.initial_state(count), **run.network.initial_state(count)}
    state = {name: value.to(device) for name, value in state.items()}
    if carried is not None:
        state = carry(carried, state, batch.is_new.to(device))
    with torch.no_grad():
        features, front_end_state = run.front_end(samples, state)
        masks = augmenter.masks(count, features.shape[1], features.shape[2])
        features = masks(features, slice(None), slice(0, features.shape[1]))
    logits, after = run.network(features, state)
    targets, weights = batch.targets.to(device), batch.weights.to(device)
    keyword = (targets != NO_KEYWORD) & (targets < len(settings.labels.keywords))
    keyword_weight = 1 + (KEYWORD_WEIGHT - 1) * (1 - augmentation_strength(settings, run.epoch, STREAM_RAMP))
    weights = torch.where(keyword, keyword_weight * weights, weights)
    loss = labelled_steps_loss(logits, targets, weights, len(settings.labels.keywords))
    optimiser_step(settings, run, loss)
    recall = (logits.argmax(dim=2) == targets)[keyword & (batch.weights.to(device) == 1)].float().mean()
    return StepResult(loss.item(), recall.item()), {
        **front_end_state,
        **{name: value.detach() for name, value in after.items()},
    }


def through_microphone(samples: Tensor, augmenter: Augmenter) -> Tensor:
    """Streams [batch, samples] in rooms, through microphones, at a random level, with offset and faint hiss."""
    uniform, count = augmenter.uniform, len(samples)
    samples = augmenter.room_and_colour(samples)
    gain = 10 ** (between(GAIN_DB, uniform(count)) / 20)
    offset = OFFSET * (2 * uniform(count) - 1) * (uniform(count) < OFFSET_SHARE)
    hiss = 10 ** (between(HISS_DB, uniform(count)) / 20)
    noise = torch.randn(samples.shape, generator=augmenter.generator, device=samples.device)
    return (samples * gain[:, None] + offset[:, None] + noise * hiss[:, None]).clamp(-1, 1)


def finish_epoch(
    settings: RunSettings, run: TrainingRun, data: TrainingData, out: Path, results: list[StepResult],
    seconds: float, cpu_s: float,
) -> None:  # fmt: skip
    """Validate the averaged weights on clips, write metrics and the checkpoint."""
    validation = validate(settings, run.front_end, run.average.module, data.validation)
    losses, recalls = (np.array(column) for column in zip(*results, strict=True))
    metrics = EpochMetrics(
        run.epoch, seconds, cpu_s, float(losses.mean()), float(np.nanmean(recalls)), spike_s=None, steps_run=None,
        validation_accuracy=validation.accuracy, validation_spike_s=validation.spike_s,
        validation_end_accuracy=validation.end_accuracy,
    )  # fmt: skip
    record_epoch(run, metrics, out)
    save_run(run, settings, out / "last.pt")


def summary(metrics: EpochMetrics) -> str:
    return (
        f"epoch {metrics.epoch:3d}  loss {metrics.loss:.3f}  keywords {metrics.accuracy:.1%}  "
        f"validation {metrics.validation_accuracy:.2%} at {metrics.validation_spike_s:.3f} s  "
        f"end {metrics.validation_end_accuracy:.2%}  {metrics.seconds:.0f} s"
    )
