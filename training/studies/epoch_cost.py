"""What an epoch by rank coding costs beside one that back-propagates from the last step, on the same batches."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from training.data.augment import Augmenter
from training.data.batches import batch_features
from training.data.training_data import TrainingData
from training.learning.loop import looks_of, sampler_of, train_step
from training.learning.run import resume_run, start_run
from training.learning.settings import RunSettings, TrainingMethod
from training.learning.validation import seconds_until
from training.model.frontend import SAMPLE_RATE, State
from training.records import Record

ALLOWANCE = 0.15  # share of a last-step epoch that does not shrink with the spike time, features above all
METHODS = (TrainingMethod.RC, TrainingMethod.EOS)


@dataclass(frozen=True)
class EpochCost(Record):
    batches: int
    cpu_s: dict[TrainingMethod, float]
    ratio: float  # CPU time of rank coding to that of the last step
    mean_spike_s: float
    limit: float  # limit of the ratio: the mean spike time as a share of the sequence, and ALLOWANCE


def measure_cost(settings: RunSettings, checkpoint: Path, data: TrainingData, batches: int) -> EpochCost:
    """CPU seconds of some batches by both methods in turn, data and features included, at the weights of a run."""
    sampler = sampler_of(settings, data)
    run = start_run(settings, data, sampler.batches, torch.device("cpu"))
    resume_run(run, settings, checkpoint)
    for group in run.optimiser.param_groups:
        group["lr"] = 0.0
    augmenter = Augmenter(settings.augment, data.noise, data.rooms, run.generator)
    seconds, steps = dict.fromkeys(METHODS, 0.0), []
    carried: dict[TrainingMethod, State | None] = dict.fromkeys(METHODS)
    looks = looks_of(settings, data)
    epoch = sampler.epoch(run.generator)[:batches]
    for rows in epoch:
        for method in METHODS:
            began = time.process_time()
            features, targets = batch_features(data.train, rows, settings.labels.silence, augmenter, run.front_end)
            _, answers, carried[method] = train_step(
                replace(settings, method=method), run, looks, features, targets, carried[method]
            )
            seconds[method] += time.process_time() - began
            steps += [answers.step] if method is TrainingMethod.RC else []
    spike_s = seconds_until(torch.cat(steps), settings)
    return EpochCost(
        batches=len(epoch),
        cpu_s={method: round(value, 2) for method, value in seconds.items()},
        ratio=round(seconds[TrainingMethod.RC] / seconds[TrainingMethod.EOS], 3),
        mean_spike_s=round(spike_s, 3),
        limit=round(spike_s * SAMPLE_RATE / data.train.samples.shape[1] + ALLOWANCE, 3),
    )
