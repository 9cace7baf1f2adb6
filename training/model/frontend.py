"""Log-mel features as a torch module: the one front-end, trained with and exported inside every model.

Owns framing, window, DFT, mel bands, log and level normalisation. Knows nothing of files, batches or networks.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SAMPLE_RATE = 16_000
ENERGY_FLOOR = 1e-6  # added before the log; full-scale samples are 1.0


@dataclass(frozen=True)
class FrontEndSettings:
    bands: int = 20
    window: int = 400  # samples, 25 ms
    hop: int = 160  # samples, 10 ms
    low_hz: float = 20.0
    high_hz: float = 7600.0


class LogMel(nn.Module):
    """Causal log-mel features: frame i covers the `window` samples that end with sample (i + 1) * hop.

    The DFT has `window` points and is a matrix product. A Hamming window is symmetric, so each frame is folded into
    its even and odd half first, which halves the product. Same values as librosa's `melspectrogram` with
    `center=False, htk=True, norm=None` on the signal with `window - hop` zeros before it.
    """

    basis_even: Tensor
    basis_odd: Tensor
    mel: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, settings: FrontEndSettings) -> None:
        super().__init__()
        self.settings = settings
        even, odd = folded_dft(settings.window)
        self.register_buffer("basis_even", even, persistent=False)
        self.register_buffer("basis_odd", odd, persistent=False)
        self.register_buffer("mel", mel_filters(settings), persistent=False)
        self.register_buffer("mean", torch.zeros(settings.bands))
        self.register_buffer("scale", torch.ones(settings.bands))

    def initial_state(self, batch: int) -> Tensor:
        """Zeros [batch, window - hop]: the samples that the first window still needs from before the start."""
        return self.mel.new_zeros(batch, self.settings.window - self.settings.hop)

    def forward(self, audio: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Samples [batch, hop * frames] and the tail before them → features [batch, frames, bands] and the new tail."""
        audio = torch.cat([tail, audio], dim=1)
        power = self.power(self.frames(audio))
        features = torch.log(power @ self.mel + ENERGY_FLOOR)
        return (features - self.mean) * self.scale, audio[:, self.settings.hop - self.settings.window :]

    def frames(self, audio: Tensor) -> Tensor:
        """Samples [batch, window - hop + hop * frames] → overlapping frames [batch, frames, window]."""
        window, hop = self.settings.window, self.settings.hop
        block = math.gcd(window, hop)
        blocks = audio.reshape(audio.shape[0], -1, block)
        last = window // block - 1
        return torch.cat([blocks[:, i : i - last or None : hop // block] for i in range(last + 1)], dim=2)

    def power(self, frames: Tensor) -> Tensor:
        """Frames [..., window] → power spectrum [..., window / 2 + 1] under a periodic Hamming window."""
        half = self.settings.window // 2
        first, second = frames[..., 1:half], frames[..., half + 1 :].flip(-1)
        even = torch.cat([frames[..., :1], first + second, frames[..., half : half + 1]], dim=-1)
        real, imaginary = even @ self.basis_even, (first - second) @ self.basis_odd
        return real * real + imaginary * imaginary

    def normalise(self, features: Tensor) -> None:
        """Set mean and scale per band from unnormalised features [..., bands] of training data."""
        flat = features.reshape(-1, features.shape[-1])
        self.mean.copy_(flat.mean(0))
        self.scale.copy_(1 / flat.std(0).clamp_min(0.1))


def folded_dft(window: int) -> tuple[Tensor, Tensor]:
    """Windowed cosine [half + 1, bins] and sine [half - 1, bins] bases for the folded halves of a frame."""
    half = window // 2
    n = torch.arange(half + 1, dtype=torch.float64)
    angle = 2 * math.pi * n[:, None] * torch.arange(half + 1, dtype=torch.float64) / window
    hamming = (0.54 - 0.46 * torch.cos(2 * math.pi * n / window))[:, None]
    return (hamming * angle.cos()).float(), (hamming * angle.sin())[1:half].float()


def mel_filters(settings: FrontEndSettings) -> Tensor:
    """Triangles of height 1 on the HTK mel scale, [window / 2 + 1, bands]."""
    edges_mel = torch.linspace(hz_to_mel(settings.low_hz), hz_to_mel(settings.high_hz), settings.bands + 2).double()
    edges = 700 * (10 ** (edges_mel / 2595) - 1)
    bins = torch.arange(settings.window // 2 + 1).double() * SAMPLE_RATE / settings.window
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp_min(0).float()


def hz_to_mel(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)
