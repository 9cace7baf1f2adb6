"""The training loop: batches → augmented features → answers → equation 7 → step; validate, keep the best, go on.

Owns the metrics file of a run. Knows nothing of where clips come from or how models are exported.
"""

import json
import math
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch import Generator, Tensor

from training.data.augment import Augmenter
from training.data.batches import ClipSet, EpochSampler, LazyFeatures, TrainingData, batch_features, stream_features
from training.learning.answer_windows import SPEED_CONFIRM_MS, Streams
from training.learning.checkpoint import Run, RunSettings, initialise_from, load, save, start
from training.learning.rank_coding import (
    Answers,
    Windows,
    answer_at_first_spike,
    answer_in_windows,
    at_last_step,
    every_step_loss,
    first_crossing,
    max_pool_loss,
    rank_coding_loss,
    windows_loss,
)
from training.model.frontend import SAMPLE_RATE, LogMel, State
from training.model.network import Network

CHUNK = 10  # steps that are run between two looks for spikes; fewer cost more in calls than they save
NOT_KEYWORDS = 2  # labels, the last ones: _unknown_ and _silence_
VALIDATED = 6  # thresholds by which a model is validated
CARRIED = 8  # sequences of a batch that are heard to their end for that
MINED = 6  # utterances a batch that are heard for hard negatives
RAMP = 0.4  # share of the epochs over which augmentation grows to full strength: clean clips teach faster


def train(settings: RunSettings, data: TrainingData, out: Path, device: torch.device, resume: bool = False) -> Run:
    """Train until the epochs or the patience are used up; `out` gets best.pt, last.pt, facts and metrics.jsonl.

    `resume`: go on from the last.pt in `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = start(settings, data, device)
    if resume:
        load(run, settings, out / "last.pt")
    elif settings.base:
        initialise_from(run, settings)
    augmenter = Augmenter(settings.augment, data.noise.to(device), data.rooms.to(device), run.generator)
    streams = streams_of(settings, data)
    silence = len(settings.labels) - 1
    order = order_of(settings, data)
    with Progress(transient=True) as progress:
        bar = progress.add_task("", total=settings.epochs * order.batches, completed=run.epoch * order.batches)
        while should_continue(run, settings):
            began, cpu_began = time.perf_counter(), time.process_time()
            tally, rng = Tally(), np.random.default_rng([settings.seed, run.epoch])
            carried: State | None = None
            if streams:
                hear = partial(posteriors, run.front_end, run.average.module)
                streams.mine(MINED * order.batches, len(settings.labels) - NOT_KEYWORDS, hear, rng)
            run.network.train()
            augmenter.settings = settings.augment.at(strength(settings, run.epoch))
            for i, rows in enumerate(order.epoch(run.generator)):
                set_learning_rate(run, settings, run.epoch + i / order.batches)
                features, targets = batch_features(data.train, rows, silence, augmenter, run.front_end)
                loss, answers, carried = learn(settings, run, features, targets, carried)
                if streams:  # half as many as clips, and three times as long
                    carried = learn_streams(settings, run, streams.batch(settings.batch // 2, rng), augmenter, carried)
                tally.add(loss, answers, targets)
                progress.update(bar, advance=1, description=f"epoch {run.epoch + 1} {tally}")
            run.epoch += 1
            took = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu_began}
            finish_epoch(run, settings, data.validation, out, {**took, **tally.means(settings)}, progress)
    return run


def learn(
    settings: RunSettings, run: Run, features: LazyFeatures, targets: Tensor, carried: State | None
) -> tuple[Tensor, Answers, State | None]:
    """One step of the optimiser: forward to the answers, equation 7, backward from them; and states to begin with."""
    state = starting_state(run.network, carried, len(targets), settings.carry_share, run.generator)
    theta = thresholds(settings, len(targets), run.generator)
    answers, loss = answers_and_loss(settings, run.network, features, state, theta, targets)
    optimiser_step(settings, run, loss)
    return loss, answers, state_at_end(run.network, features, state, run.generator) if settings.carry_share else None


def learn_streams(
    settings: RunSettings, run: Run, batch: tuple[Tensor, Windows], augmenter: Augmenter, carried: State | None
) -> State:
    """One step of the optimiser on streams of words: answers in all their windows; returns the states at their ends."""
    device = run.generator.device
    windows = Windows(*(column.to(device) for column in batch[1]))
    features = stream_features(batch[0].to(device), augmenter, run.front_end)
    state = starting_state(run.network, carried, len(batch[0]), settings.carry_share, run.generator)
    logits, state = run.network(features[:, :], state)
    keywords = len(settings.labels) - NOT_KEYWORDS
    theta = thresholds(settings, len(windows.row), run.generator)
    answers = answer_in_windows(logits, windows, keywords, theta, confirmation(settings, run.generator))
    optimiser_step(settings, run, windows_loss(answers.logits, windows, keywords, settings.beta))
    return {name: value.detach() for name, value in state.items()}


def optimiser_step(settings: RunSettings, run: Run, loss: Tensor) -> None:
    run.optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), settings.clip_norm)
    run.optimiser.step()
    run.average.update_parameters(run.network)


def streams_of(settings: RunSettings, data: TrainingData) -> Streams | None:
    """What batches of streams come from; None for a run without them."""
    if not settings.streams or settings.method != "rc":
        return None
    return Streams(data.material, settings.labels, step_length_s(settings), settings.augment.speed)


def order_of(settings: RunSettings, data: TrainingData) -> EpochSampler:
    return EpochSampler(data.train.targets < len(settings.labels) - NOT_KEYWORDS, settings.batch, settings.steps)


def strength(settings: RunSettings, epoch: int) -> float:
    """How strongly to augment: more and more where a run begins from nothing, fully where it begins with weights."""
    return 1.0 if settings.base else min(1.0, 0.2 + epoch / (RAMP * settings.epochs))


def should_continue(run: Run, settings: RunSettings) -> bool:
    """Whether epochs are left and one of the last `patience` was the best so far."""
    return run.epoch < settings.epochs and run.epoch - run.best_epoch < settings.patience


@torch.no_grad()
def state_at_end(network: Network, features: LazyFeatures, state: State, generator: Generator) -> State:
    """The state after some whole sequences of a batch, heard on beyond their answers."""
    device = generator.device
    rows = torch.randperm(features.shape[0], generator=generator, device=device)[:CARRIED]
    return network(features[rows, :], {name: value[rows] for name, value in state.items()})[1]


def starting_state(network: Network, carried: State | None, batch: int, share: float, generator: Generator) -> State:
    """Zeros, or for a `share` of the sequences the state in which one of the batch before ended.

    Those began with carried states too, so that chains of words arise: a stream has no fresh start.
    """
    fresh = network.initial_state(batch)
    if carried is None:
        return fresh
    device = carried["h"].device
    take = torch.rand(batch, generator=generator, device=device) < share
    rows = torch.randint(len(carried["h"]), (batch,), generator=generator, device=device)
    return {
        name: torch.where(take.view(-1, *[1] * (zero.dim() - 1)), carried[name][rows], zero)
        for name, zero in fresh.items()
    }


def thresholds(settings: RunSettings, batch: int, generator: Generator) -> Tensor:
    """A threshold for every sequence of a batch, between `theta_low` and `theta`, evenly spread in log-odds."""
    return thresholds_at(settings, torch.rand(batch, generator=generator, device=generator.device))


def confirmation(settings: RunSettings, generator: Generator) -> int:
    """How many steps a score must stand, for a batch of streams: what one of the speeds waits."""
    waits_ms = list(SPEED_CONFIRM_MS.values())
    chosen = int(torch.randint(len(waits_ms), (), generator=generator, device=generator.device))
    return round(waits_ms[chosen] / 1000 / step_length_s(settings))


def thresholds_at(settings: RunSettings, shares: Tensor) -> Tensor:
    """The thresholds that lie these shares of the way from `theta_low` to `theta`."""
    low, high = (math.log(theta / (1 - theta)) for theta in (settings.theta_low, settings.theta))
    return torch.sigmoid(low + (high - low) * shares)


def answers_and_loss(
    settings: RunSettings, network: Network, features: LazyFeatures, state: State, theta: Tensor, targets: Tensor
) -> tuple[Answers, Tensor]:
    """By the method of the run."""
    if settings.method == "rc":
        answers = answer_at_first_spike(network, features, state, theta, CHUNK, settings.network.stride)
        return answers, rank_coding_loss(answers.logits, targets, settings.beta)
    logits, _ = network(features[:, :], state)
    answers = at_last_step(logits)
    if settings.method == "all-steps":
        return answers, every_step_loss(logits, targets, settings.beta)
    if settings.method == "max-pool":
        return answers, max_pool_loss(logits, targets, len(settings.labels) - NOT_KEYWORDS)
    return answers, rank_coding_loss(answers.logits, targets, settings.beta)


def set_learning_rate(run: Run, settings: RunSettings, epoch: float) -> None:
    """One epoch of warm-up, then half a cosine down to a fiftieth."""
    share = min(1.0, 0.1 + epoch) * (0.51 + 0.49 * math.cos(math.pi * epoch / settings.epochs))
    for group in run.optimiser.param_groups:
        group["lr"] = settings.learning_rate * share


def finish_epoch(
    run: Run, settings: RunSettings, clips: ClipSet, out: Path, means: dict[str, float], progress: Progress
) -> None:
    """Validate the averaged weights, write metrics and checkpoints, say how it went."""
    means |= validate(run, settings, clips)
    run.history.append({"epoch": run.epoch, **means})
    with (out / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(run.history[-1]) + "\n")
    easy = strength(settings, run.epoch) < 1  # what has heard little noise flatters itself on clean clips
    if easy or means["validation_accuracy"] > run.best:
        run.best, run.best_epoch = means["validation_accuracy"], run.epoch
        save(run, settings, out / "best.pt")
    save(run, settings, out / "last.pt")
    progress.console.print(
        f"epoch {run.epoch:3d}  loss {means['loss']:.3f}  train {means['accuracy']:.1%} at {means['spike_s']:.3f} s  "
        f"validation {means['validation_accuracy']:.2%} at {means['validation_spike_s']:.3f} s  "
        f"end {means['validation_end_accuracy']:.2%}  {means['seconds']:.0f} s",
        highlight=False,
        soft_wrap=True,
    )


def validate(run: Run, settings: RunSettings, clips: ClipSet) -> dict[str, float]:
    """Accuracy of the averaged weights at the first spike, by the best of a few thresholds, and at the end.

    By the highest threshold alone a model looks best that is not trained to be quick yet.
    """
    probabilities = posteriors(run.front_end, run.average.module, clips.samples)
    targets = clips.targets.to(probabilities.device)
    rows, points = torch.arange(len(targets)), []
    for theta in thresholds_at(settings, torch.linspace(0, 1, VALIDATED)).unique().tolist():
        step, _ = first_crossing(probabilities, theta)
        right = probabilities[rows, step].argmax(dim=1) == targets
        points.append((right.float().mean().item(), step_seconds(step, settings)))
    accuracy, spike_s = max(points, key=lambda point: point[0])
    return {
        "validation_accuracy": accuracy,
        "validation_spike_s": spike_s,
        "validation_end_accuracy": (probabilities[:, -1].argmax(dim=1) == targets).float().mean().item(),
    }


@torch.no_grad()
def posteriors(front_end: LogMel, network: Any, samples: Tensor, batch: int = 500) -> Tensor:
    """Label probabilities [clips, steps, labels] for int16 clips [clips, samples], from a fresh state each."""
    network.eval()
    device, parts = front_end.mel.device, []
    for piece in samples.split(batch):
        audio = piece.to(device).float() / 32768
        features, _ = front_end(audio, front_end.initial_state(len(audio)))
        parts.append(network(features, network.initial_state(len(audio)))[0].softmax(dim=2))
    return torch.cat(parts)


def step_seconds(step: Tensor, settings: RunSettings) -> float:
    """Mean seconds of audio heard when these steps (0-based) answered."""
    return (step.float() + 1).mean().item() * step_length_s(settings)


def step_length_s(settings: RunSettings) -> float:
    """Seconds of audio of a step of the network."""
    return settings.front_end.hop * settings.network.stride / SAMPLE_RATE


class Tally:
    """Running means of an epoch."""

    def __init__(self) -> None:
        self.batches, self.loss, self.right, self.step, self.steps_run = 0, 0.0, 0.0, 0.0, 0

    def add(self, loss: Tensor, answers: Answers, targets: Tensor) -> None:
        self.batches += 1
        self.loss += loss.item()
        self.right += (answers.logits.argmax(dim=1) == targets).float().mean().item()
        self.step += answers.step.float().mean().item()
        self.steps_run += int(answers.steps_run.sum())

    def means(self, settings: RunSettings) -> dict[str, float]:
        loss, right, step = (value / self.batches for value in (self.loss, self.right, self.step))
        spike_s = step_seconds(torch.tensor(step), settings)
        return {"loss": loss, "accuracy": right, "spike_s": spike_s, "steps_run": self.steps_run}

    def __str__(self) -> str:
        return f"loss {self.loss / self.batches:.3f}, right {self.right / self.batches:.1%}"
