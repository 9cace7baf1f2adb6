"""The training loop: batches → augmented features → answers → equation 7 → step; validate, keep the best, continue.

Owns the metrics file of a run. Knows nothing of where clips come from or how models are exported.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor

from training.data.augment import Augmenter
from training.data.batches import EpochSampler, LazyFeatures, batch_features, stream_features
from training.data.training_data import TrainingData
from training.learning.answer_windows import Streams
from training.learning.carried_state import starting_state, state_at_end
from training.learning.looks import SpikeLooks
from training.learning.losses import (
    certainty_loss,
    every_step_loss,
    max_pool_loss,
    rank_coding_loss,
    windows_loss,
)
from training.learning.rank_coding import Answers, Windows, answer_at_first_spike, answer_in_windows, at_last_step
from training.learning.run import EpochMetrics, TrainingRun, open_run, record_epoch, save_run
from training.learning.settings import RunSettings, TrainingMethod
from training.learning.thresholds import draw_confirmation, draw_thresholds
from training.learning.validation import posteriors, seconds_until, validate
from training.model.frontend import State
from training.model.network import Network

MINED = 6  # utterances per batch that are scored to find hard negatives
RAMP = 0.4  # share of the epochs over which augmentation grows to full strength: clean clips teach faster


def train(
    settings: RunSettings, data: TrainingData, out: Path, device: torch.device, resume: bool = False,
    on_epoch: Callable[[TrainingRun], None] | None = None,
) -> TrainingRun:  # fmt: skip
    """Train until the epochs or the patience are used up; `out` gets best.pt, last.pt, facts and metrics.jsonl.

    `resume`: continue from the last.pt in `out`. `on_epoch` gets the run after each epoch, its checkpoints written.
    """
    sampler = sampler_of(settings, data)
    run = open_run(settings, data, sampler.batches, out, device, resume)
    augmenter = Augmenter(settings.augment, data.noise.to(device), data.rooms.to(device), run.generator)
    streams = streams_of(settings, data)
    with Progress(transient=True) as progress:
        bar = progress.add_task("", total=settings.epochs * sampler.batches, completed=run.epoch * sampler.batches)
        while should_continue(run, settings):
            began, cpu_began = time.perf_counter(), time.process_time()
            means, rng = EpochMeans(), np.random.default_rng([settings.seed, run.epoch])
            carried: State | None = None
            looks = looks_of(settings, data)
            if streams:
                score = partial(posteriors, run.front_end, run.average.module)
                streams.mine_hard_negatives(MINED * sampler.batches, score, rng)
            run.network.train()
            augmenter.settings = settings.augment.at(augmentation_strength(settings, run.epoch))
            for rows in sampler.epoch(run.generator):
                features, targets = batch_features(data.train, rows, settings.labels.silence, augmenter, run.front_end)
                loss, answers, carried = train_step(settings, run, looks, features, targets, carried)
                if streams:  # half as many as clips, and three times as long
                    batch = streams.batch(settings.batch // 2, rng)
                    carried = train_step_on_streams(settings, run, batch, augmenter, carried)
                run.schedule.step()
                means.add(loss, answers, targets)
                progress.update(bar, advance=1, description=f"epoch {run.epoch + 1} {means}")
            run.epoch += 1
            seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
            finish_epoch(run, settings, data, out, means, seconds, cpu_s)
            progress.console.print(summary(run.history[-1]), highlight=False, soft_wrap=True)
            if on_epoch:
                on_epoch(run)
    return run


def train_step(
    settings: RunSettings, run: TrainingRun, looks: SpikeLooks, features: LazyFeatures, targets: Tensor,
    carried: State | None,
) -> tuple[Tensor, Answers, State | None]:  # fmt: skip
    """One step of the optimiser: forward to the answers, equation 7, backward from them; and states to begin with."""
    state = starting_state(run.network, carried, len(targets), settings.carry_share, run.generator)
    theta = draw_thresholds(settings, len(targets), run.generator)
    answers, loss = answers_and_loss(settings, run.network, looks, features, state, theta, targets)
    optimiser_step(settings, run, loss)
    return loss, answers, state_at_end(run.network, features, state, run.generator) if settings.carry_share else None


def train_step_on_streams(
    settings: RunSettings, run: TrainingRun, batch: tuple[Tensor, Windows], augmenter: Augmenter, carried: State | None
) -> State:
    """One step of the optimiser on streams of words: answers in all their windows; returns the states at their ends."""
    device = run.generator.device
    windows = Windows(*(column.to(device) for column in batch[1]))
    features = stream_features(batch[0].to(device), augmenter, run.front_end)
    state = starting_state(run.network, carried, len(batch[0]), settings.carry_share, run.generator)
    logits, state = run.network(features[:, :], state)
    keywords = len(settings.labels.keywords)
    theta = draw_thresholds(settings, len(windows.row), run.generator)
    answers = answer_in_windows(logits, windows, keywords, theta, draw_confirmation(settings, run.generator))
    optimiser_step(settings, run, windows_loss(answers.logits, windows, keywords, settings.beta))
    return {name: value.detach() for name, value in state.items()}


def optimiser_step(settings: RunSettings, run: TrainingRun, loss: Tensor) -> None:
    run.optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), settings.clip_norm)
    run.optimiser.step()
    run.average.update_parameters(run.network)


def streams_of(settings: RunSettings, data: TrainingData) -> Streams | None:
    """The source of batches of streams; None for a run without them."""
    if not settings.streams or settings.method is not TrainingMethod.RC:
        return None
    return Streams(data.corpus, settings.labels, settings.step_s, settings.augment.speed)


def sampler_of(settings: RunSettings, data: TrainingData) -> EpochSampler:
    is_keyword = data.train.targets < len(settings.labels.keywords)
    return EpochSampler(is_keyword, settings.batch, settings.min_batches)


def looks_of(settings: RunSettings, data: TrainingData) -> SpikeLooks:
    """Of an epoch: a resumed run begins with none of the spikes before, so no epoch does."""
    stride = settings.network.stride
    return SpikeLooks(data.train.samples.shape[1] // (settings.front_end.hop * stride), stride)


def augmentation_strength(settings: RunSettings, epoch: int, ramp: float = RAMP) -> float:
    """More and more for a run from scratch; full from the start for a run from a checkpoint."""
    return 1.0 if settings.initial_checkpoint else min(1.0, 0.2 + epoch / (ramp * settings.epochs))


def should_continue(run: TrainingRun, settings: RunSettings) -> bool:
    """Whether epochs are left and one of the last `patience` was the best so far."""
    return run.epoch < settings.epochs and run.epoch - run.best_epoch < settings.patience


def answers_and_loss(
    settings: RunSettings, network: Network, looks: SpikeLooks, features: LazyFeatures, state: State, theta: Tensor,
    targets: Tensor,
) -> tuple[Answers, Tensor]:  # fmt: skip
    """By the method of the run."""
    if settings.method is TrainingMethod.RC:
        answers = answer_at_first_spike(network, features, state, theta, looks.after(), settings.network.stride)
        looks.record(answers.step)
        return answers, rank_coding_loss(answers.logits, targets, settings.beta)
    logits, _ = network(features[:, :], state)
    answers = at_last_step(logits)
    if settings.method is TrainingMethod.CERTAINTY:
        return answers, certainty_loss(logits, targets)
    if settings.method is TrainingMethod.ALL_STEPS:
        return answers, every_step_loss(logits, targets, settings.beta)
    if settings.method is TrainingMethod.MAX_POOL:
        return answers, max_pool_loss(logits, targets, len(settings.labels.keywords))
    return answers, rank_coding_loss(answers.logits, targets, settings.beta)


def finish_epoch(
    run: TrainingRun, settings: RunSettings, data: TrainingData, out: Path, means: "EpochMeans", seconds: float,
    cpu_s: float,
) -> None:  # fmt: skip
    """Validate the averaged weights, write metrics and checkpoints."""
    validation = validate(settings, run.front_end, run.average.module, data.validation)
    metrics = EpochMetrics(
        run.epoch, seconds, cpu_s, means.loss, means.accuracy, means.spike_s(settings), means.steps_run, *validation
    )
    record_epoch(run, metrics, out)
    easy = augmentation_strength(settings, run.epoch) < 1  # after little noise, accuracy on clean clips is optimistic
    if easy or metrics.validation_accuracy > run.best:
        run.best, run.best_epoch = metrics.validation_accuracy, run.epoch
        save_run(run, settings, out / "best.pt")
    save_run(run, settings, out / "last.pt")


def summary(metrics: EpochMetrics) -> str:
    return (
        f"epoch {metrics.epoch:3d}  loss {metrics.loss:.3f}  train {metrics.accuracy:.1%} at {metrics.spike_s:.3f} s  "
        f"validation {metrics.validation_accuracy:.2%} at {metrics.validation_spike_s:.3f} s  "
        f"end {metrics.validation_end_accuracy:.2%}  {metrics.seconds:.0f} s"
    )


class EpochMeans:
    """Running means of an epoch."""

    def __init__(self) -> None:
        self._batches, self._loss, self._right, self._step = 0, 0.0, 0.0, 0.0
        self.steps_run = 0

    def add(self, loss: Tensor, answers: Answers, targets: Tensor) -> None:
        self._batches += 1
        self._loss += loss.item()
        self._right += (answers.logits.argmax(dim=1) == targets).float().mean().item()
        self._step += answers.step.float().mean().item()
        self.steps_run += int(answers.steps_run.sum())

    @property
    def loss(self) -> float:
        return self._loss / self._batches

    @property
    def accuracy(self) -> float:
        return self._right / self._batches

    def spike_s(self, settings: RunSettings) -> float:
        """Mean seconds of audio up to the answers."""
        return seconds_until(torch.tensor(self._step / self._batches), settings)

    def __str__(self) -> str:
        return f"loss {self.loss:.3f}, right {self.accuracy:.1%}"
