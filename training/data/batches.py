"""Batches of augmented features, made of the clips of a split and of streams."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from service.spotting.audio import FULL_SCALE
from training.data.augment import Augmenter, Masks
from training.data.training_data import ClipSet
from training.model.frontend import LogMel

SILENCE_SHARE = 0.08  # generated clips of silence, relative to the other clips of a batch


class EpochSampler(NamedTuple):
    """The order of the clips in an epoch: all those of keywords, and at most as many others.

    Few clips are repeated until there are `min_batches` batches, each pass with more of the others.
    """

    is_keyword: Tensor  # bool [clips]
    batch: int
    min_batches: int

    @property
    def batches(self) -> int:
        """Number of batches in an epoch."""
        return max(self.min_batches, self._rows_per_pass // self.batch)

    def epoch(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Row numbers of each batch."""
        passes = math.ceil(self.batches * self.batch / self._rows_per_pass)
        rows = torch.cat([self._pass(generator) for _ in range(passes)])
        return rows[: self.batches * self.batch].split(self.batch)

    @property
    def _rows_per_pass(self) -> int:
        keywords = int(self.is_keyword.sum())
        return keywords + min(keywords, len(self.is_keyword) - keywords)

    def _pass(self, generator: torch.Generator) -> Tensor:
        rows = torch.randperm(len(self.is_keyword), generator=generator, device=generator.device).cpu()
        keyword = self.is_keyword[rows]
        return rows[keyword | ((~keyword).cumsum(0) <= keyword.sum())]


class LazyFeatures:
    """Augmented features [batch, frames, bands], computed from samples on access: `features[rows, start:stop]`.

    So no features are computed of a sequence after its answer either.
    """

    def __init__(self, samples: Tensor, masks: Masks, front_end: LogMel) -> None:
        """`samples` [batch, hop * frames]."""
        self.hop, self.masks, self.front_end = front_end.settings.hop, masks, front_end
        self.tail = front_end.settings.window - self.hop
        self.shape = torch.Size((len(samples), samples.shape[1] // self.hop, front_end.settings.bands))
        state, self.whole = front_end.initial_state(len(samples)), None
        if front_end.settings.pcen:  # its floor depends on all that was before
            with torch.no_grad():
                self.whole = front_end(samples, state)[0]
            return
        centred, _ = front_end.without_offset(samples, state["offset"])
        self.samples = torch.nn.functional.pad(centred, (self.tail, 0))

    @torch.no_grad()
    def __getitem__(self, where: tuple[Tensor | slice, slice]) -> Tensor:
        rows, frames = where
        start, stop, _ = frames.indices(self.shape[1])
        if self.whole is not None:
            return self.masks(self.whole[rows, start:stop], rows, slice(start, stop))
        audio = self.samples[rows, start * self.hop : stop * self.hop + self.tail]
        energies, _ = self.front_end.energies(audio[:, self.tail :], audio[:, : self.tail])
        features = self.front_end.standardised(self.front_end.compressed(energies, {})[0])
        return self.masks(features, rows, slice(start, stop))


def batch_features(
    clips: ClipSet, rows: Tensor, silence_label: int, augmenter: Augmenter, front_end: LogMel
) -> tuple[LazyFeatures, Tensor]:
    """Augmented features and targets [batch] of the clips in `rows` and of generated silence."""
    device = augmenter.noise.device
    samples = clips.samples[rows].to(device).float() / FULL_SCALE
    silence = augmenter.silence(round(len(rows) * SILENCE_SHARE), samples.shape[1])
    quiet = torch.full((len(silence),), silence_label)
    targets = torch.cat([clips.targets[rows], quiet]).to(device)
    samples = torch.cat([augmenter.samples(samples), silence])
    s = front_end.settings
    masks = augmenter.masks(len(samples), samples.shape[1] // s.hop, s.bands)
    return LazyFeatures(samples, masks, front_end), targets


def stream_features(samples: Tensor, augmenter: Augmenter, front_end: LogMel) -> LazyFeatures:
    """Augmented features of streams [batch, samples]; their words keep their times."""
    s = front_end.settings
    masks = augmenter.masks(len(samples), samples.shape[1] // s.hop, s.bands)
    return LazyFeatures(augmenter.apply_acoustics(samples), masks, front_end)
