"""Scores and accuracy of a network on the validation clips of its run."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from service.spotting.audio import FULL_SCALE
from training.data.training_data import ClipSet
from training.learning.rank_coding import first_crossing
from training.learning.settings import RunSettings
from training.learning.thresholds import thresholds_at
from training.model.frontend import LogMel

THRESHOLDS = 6  # number of thresholds at which a network is validated


class SpikePoint(NamedTuple):
    """At the first spike by one threshold."""

    accuracy: float
    spike_s: float  # mean


class Validation(NamedTuple):
    accuracy: float
    spike_s: float
    end_accuracy: float


def validate(settings: RunSettings, front_end: LogMel, network: Any, clips: ClipSet) -> Validation:
    """Accuracy of a network at the first spike, by the best of a few thresholds, and at the end.

    By the highest threshold alone a model looks best that is not trained to be quick yet.
    """
    probabilities = posteriors(front_end, network, clips.samples)
    targets = clips.targets.to(probabilities.device)
    thresholds = thresholds_at(settings, torch.linspace(0, 1, THRESHOLDS)).unique().tolist()
    best = max(spike_points(settings, probabilities, targets, thresholds), key=lambda point: point.accuracy)
    end_accuracy = (probabilities[:, -1].argmax(dim=1) == targets).float().mean().item()
    return Validation(best.accuracy, best.spike_s, end_accuracy)


def spike_points(
    settings: RunSettings, probabilities: Tensor, targets: Tensor, thresholds: Iterable[float]
) -> Iterator[SpikePoint]:
    """One per threshold, from label probabilities [clips, steps, labels] and the right labels [clips]."""
    rows = torch.arange(len(targets))
    for theta in thresholds:
        step, _ = first_crossing(probabilities, theta)
        right = probabilities[rows, step].argmax(dim=1) == targets
        yield SpikePoint(right.float().mean().item(), seconds_until(step, settings))


@torch.no_grad()
def posteriors(front_end: LogMel, network: Any, samples: Tensor, batch: int = 500) -> Tensor:
    """Label probabilities [clips, steps, labels] of int16 clips [clips, samples], each from a new state."""
    network.eval()
    device, parts = front_end.mel.device, []
    for clips in samples.split(batch):
        audio = clips.to(device).float() / FULL_SCALE
        features, _ = front_end(audio, front_end.initial_state(len(audio)))
        parts.append(network(features, network.initial_state(len(audio)))[0].softmax(dim=2))
    return torch.cat(parts)


def seconds_until(step: Tensor, settings: RunSettings) -> float:
    """Mean seconds of audio up to and including these steps (0-based)."""
    return (step.float() + 1).mean().item() * settings.step_s
