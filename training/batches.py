"""Clips of a split as tensors, and batches of augmented features made of them."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from training.augment import Augmenter
from training.frontend import LogMel

SILENCE_SHARE = 0.08  # of each batch


class ClipSet(NamedTuple):
    """Clips of one split: int16 samples [clips, samples], label indices [clips]."""

    samples: Tensor
    targets: Tensor


class Data(NamedTuple):
    about: str  # what it is, for facts and model cards
    train: ClipSet
    validation: ClipSet
    noise: Tensor  # float16 samples [n]
    rooms: Tensor  # impulse responses [rooms, taps]


def shuffled(count: int, batch: int, generator: Generator) -> tuple[Tensor, ...]:
    """Row numbers in random order, cut into whole batches."""
    order = torch.randperm(count, generator=generator, device=generator.device).cpu()
    return order[: count // batch * batch].split(batch)


def batch_features(
    clips: ClipSet, rows: Tensor, silence_label: int, augmenter: Augmenter, front_end: LogMel
) -> tuple[Tensor, Tensor]:
    """Augmented features [batch, frames, bands] and targets [batch] of some clips and some generated silence."""
    device = augmenter.noise.device
    samples = clips.samples[rows].to(device).float() / 32768
    silence = augmenter.silence(round(len(rows) * SILENCE_SHARE), samples.shape[1])
    quiet = torch.full((len(silence),), silence_label)
    targets = torch.cat([clips.targets[rows], quiet]).to(device)
    with torch.no_grad():
        samples = torch.cat([augmenter.samples(samples), silence])
        features, _ = front_end(samples, front_end.initial_state(len(samples)))
        return augmenter.features(features), targets
