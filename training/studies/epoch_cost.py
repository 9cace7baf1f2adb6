"""What an epoch by rank coding costs beside one that back-propagates from the last step, on the same batches."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from training.data.augment import Augmenter
from training.data.batches import TrainingData, batch_features
from training.learning.checkpoint import RunSettings, load, start
from training.learning.loop import learn, order_of, step_seconds
from training.model.frontend import SAMPLE_RATE, State

ALLOWANCE = 0.15  # of a last-step epoch: what does not shrink with the spike time, features above all


def cost(settings: RunSettings, checkpoint: Path, data: TrainingData, batches: int) -> dict[str, Any]:
    """CPU seconds of some batches by both methods in turn, data and features included, at the weights of a run.

    `limit` is the mean spike time as a share of the sequence, and ALLOWANCE.
    """
    run = start(settings, data, torch.device("cpu"))
    load(run, settings, checkpoint)
    for group in run.optimiser.param_groups:
        group["lr"] = 0.0
    augmenter = Augmenter(settings.augment, data.noise, data.rooms, run.generator)
    seconds, steps = {"rc": 0.0, "eos": 0.0}, []
    carried: dict[str, State | None] = dict.fromkeys(seconds)
    for rows in order_of(settings, data).epoch(run.generator)[:batches]:
        for method in seconds:
            began = time.process_time()
            features, targets = batch_features(data.train, rows, len(settings.labels) - 1, augmenter, run.front_end)
            _, answers, carried[method] = learn(
                replace(settings, method=method), run, features, targets, carried[method]
            )
            seconds[method] += time.process_time() - began
            steps += [answers.step] if method == "rc" else []
    spike_s = step_seconds(torch.cat(steps), settings)
    return {
        "batches": batches,
        "cpu_s": {method: round(value, 2) for method, value in seconds.items()},
        "ratio": round(seconds["rc"] / seconds["eos"], 3),
        "mean_spike_s": round(spike_s, 3),
        "limit": round(spike_s * SAMPLE_RATE / data.train.samples.shape[1] + ALLOWANCE, 3),
    }
