"""Augmentation of batches: speed, shift, room, microphone, noise and gain of samples; masks over features.

Batched torch on any device; every random choice comes from the generator that is passed in, so a seed reproduces a
run. Knows nothing of files or labels.
"""

from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from training.model.frontend import SAMPLE_RATE


@dataclass(frozen=True)
class AugmentSettings:
    """Ranges of the random choices for each clip."""

    speed: float = 0.15  # playback rate 1 ± speed: pitch, formants and tempo together
    shift_s: float = 0.1
    room: float = 0.3  # share of clips in a room
    colour_db: float = 6.0  # largest gain of the microphone's curve at any of a few frequencies
    noise: float = 0.75  # share of clips with noise
    snr_db: tuple[float, float] = (0.0, 30.0)
    gain_db: tuple[float, float] = (-20.0, 8.0)
    warp: float = 0.1  # shift of the mel axis: other vocal tracts at the same pitch
    band_mask: float = 6.0  # width of the widest mask in bands
    time_mask: float = 8.0  # width of the widest mask in frames

    def at(self, strength: float) -> "AugmentSettings":
        """These settings at a strength from 0 (clips as recorded) to 1: ranges and shares grow with it."""
        fade = {name: value * strength for name, value in asdict(self).items() if isinstance(value, float)}
        quietest = self.snr_db[1]
        return AugmentSettings(
            **fade,
            snr_db=(quietest + strength * (self.snr_db[0] - quietest), quietest),
            gain_db=(self.gain_db[0] * strength, self.gain_db[1] * strength),
        )


class Masks(NamedTuple):
    """What is done to the features of a batch: the mel axis is stretched, and frames and bands are blanked."""

    warp: Tensor  # factor [batch]
    time: Tensor  # bool [batch, frames]
    band: Tensor  # bool [batch, bands]
    change: bool  # False: by settings that leave features as they are

    def __call__(self, features: Tensor, rows: Tensor | slice, frames: slice) -> Tensor:
        """Normalised features of these rows and frames, stretched, then masked by zeros."""
        if not self.change:
            return features
        blank = self.time[rows, frames, None] | self.band[rows, None, :]
        return warp_bands(features, self.warp[rows]).masked_fill(blank, 0.0)


class Augmenter:
    """Noise and rooms as tensors, applied at random to batches of samples or features."""

    def __init__(self, settings: AugmentSettings, noise: Tensor, rooms: Tensor, generator: torch.Generator) -> None:
        """`noise`: samples [n] of all recordings end to end; `rooms`: impulse responses [rooms, taps]."""
        self.settings, self.generator = settings, generator
        self.noise, self.rooms = noise, rooms

    def samples(self, clips: Tensor) -> Tensor:
        """Clips [batch, samples] as if spoken faster or slower, earlier or later, and with other acoustics."""
        s, batch = self.settings, len(clips)
        rate, shift = 2 * self.uniform(2, batch) - 1
        return self.apply_acoustics(resample(clips, 1 + s.speed * rate, s.shift_s * SAMPLE_RATE * shift))

    def apply_acoustics(self, clips: Tensor) -> Tensor:
        """Clips [batch, samples] as if spoken in a room, through another microphone, in noise."""
        s = self.settings
        if s.room or s.colour_db:
            clips = self.room_and_colour(clips)
        if s.noise:
            clips = self.with_noise(clips)
        gain = 10 ** (between(s.gain_db, self.uniform(len(clips))) / 20)
        return (clips * gain[:, None]).clamp(-1, 1)

    def with_noise(self, clips: Tensor) -> Tensor:
        """A share of the clips with noise, relative to their speech."""
        present = self.uniform(len(clips)) < self.settings.noise
        snr = between(self.settings.snr_db, self.uniform(len(clips)))
        noise = self.noise_like(clips)
        wanted = rms(clips, speech=True) * 10 ** (-snr / 20)
        return clips + noise * (present * wanted / rms(noise).clamp_min(1e-5))[:, None]

    def silence(self, count: int, length: int) -> Tensor:
        """Clips [count, length] without a word: noise at any level from digital silence up."""
        level = 10 ** (between((-90.0, -20.0), self.uniform(count)) / 20)
        noise = self.noise_like(torch.zeros(count, length, device=self.noise.device))
        return (noise * (level / rms(noise).clamp_min(1e-5))[:, None]).clamp(-1, 1)

    def masks(self, batch: int, frames: int, bands: int) -> Masks:
        """A stretch of the mel axis, and one mask over bands and one over time, for every clip."""
        s = self.settings
        warp = 1 + s.warp * (2 * self.uniform(batch) - 1)
        change = s.warp > 0 or s.time_mask > 0 or s.band_mask > 0
        return Masks(warp, self.mask(batch, frames, s.time_mask), self.mask(batch, bands, s.band_mask), change)

    def noise_like(self, clips: Tensor) -> Tensor:
        """Noise from a random place for every clip."""
        start = (self.uniform(len(clips)) * (len(self.noise) - clips.shape[1])).long()
        return self.noise[start[:, None] + torch.arange(clips.shape[1], device=clips.device)].float()

    def room_and_colour(self, clips: Tensor) -> Tensor:
        """A share of the clips convolved with a room response, all of them with a smooth random microphone curve."""
        batch, length = clips.shape
        size = fast_size(length + self.rooms.shape[1] - 1)
        points = self.settings.colour_db * (2 * self.uniform(batch, 6) - 1)
        curve = torch.nn.functional.interpolate(points[:, None], size // 2 + 1, mode="linear", align_corners=True)[:, 0]
        spectrum = torch.fft.rfft(clips, size) * 10 ** (curve / 20)
        rows = (self.uniform(batch) < self.settings.room).nonzero().squeeze(1)
        if len(rows):
            choice = (self.uniform(len(rows)) * len(self.rooms)).long()
            spectrum[rows] *= torch.fft.rfft(self.rooms[choice], size)
        return torch.fft.irfft(spectrum, size)[:, :length]

    def mask(self, batch: int, size: int, widest: float) -> Tensor:
        """One random run of True per row of [batch, size], at most `widest` long."""
        width = (self.uniform(batch) * (widest + 1)).floor()
        start = (self.uniform(batch) * (size - width)).floor()
        position = torch.arange(size, device=width.device)
        return (position >= start[:, None]) & (position < (start + width)[:, None])

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, device=self.noise.device)


def fast_size(size: int) -> int:
    """The next multiple of 4000, which at these sizes has small prime factors and less padding than a power of two."""
    return -(-size // 4000) * 4000


def between(limits: tuple[float, float], share: Tensor) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * share


def rms(clips: Tensor, speech: bool = False) -> Tensor:
    """Root mean square per clip [batch]; with `speech` that of its loudest quarter, so that pauses do not count."""
    blocks = clips[:, : clips.shape[1] // 400 * 400].reshape(len(clips), -1, 400).square().mean(dim=2)
    if speech:
        blocks = blocks.topk(blocks.shape[1] // 4, dim=1).values
    return blocks.mean(dim=1).sqrt()


def resample(clips: Tensor, rate: Tensor, shift: Tensor) -> Tensor:
    """Clips [batch, samples] played at `rate` about their middle, moved by `shift` samples; zeros beyond the ends."""
    length = clips.shape[1]
    middle = (length - 1) / 2
    time = torch.arange(length, device=clips.device)
    source = (time - middle - shift[:, None]) * rate[:, None] + middle
    left = source.floor()
    weight = source - left
    padded = torch.nn.functional.pad(clips, (1, 2))
    index = (left.long() + 1).clamp(0, length + 1)
    return padded.gather(1, index) * (1 - weight) + padded.gather(1, index + 1) * weight


def warp_bands(features: Tensor, factor: Tensor) -> Tensor:
    """Features [batch, frames, bands] with the band axis stretched by `factor` [batch] from its low end."""
    bands = features.shape[2]
    source = (torch.arange(bands, device=features.device) * factor[:, None]).clamp(0, bands - 1)
    left = source.floor().clamp(max=bands - 2)
    weight = (source - left)[:, None, :]
    index = left.long()[:, None, :].expand_as(features)
    return features.gather(2, index) * (1 - weight) + features.gather(2, index + 1) * weight
