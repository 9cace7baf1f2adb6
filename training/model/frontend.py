"""Mel features as a torch module: the one front-end, trained with and exported inside every model.

Owns the removal of a constant offset, framing, window, DFT, mel bands, and their logarithm or per-channel energy
normalisation. Knows nothing of files, batches or networks.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

State = dict[str, Tensor]
SAMPLE_RATE = 16_000
LOG_FLOOR, PCEN_FLOOR = 1e-6, 1e-4  # added to every energy, full-scale samples being 1.0; the second: hiss of -75 dBFS
OFFSET_SHARE = 0.05  # share of a new hop in the running offset, a time constant of 0.2 s
NO_OFFSET_HZ = 50.0  # lowest edge of the bands with PCEN: a constant offset reaches only the bins at 0 and 40 Hz
SMOOTHING = 0.04  # share of a new frame in the running floor of its band, a time constant of 0.25 s
GAIN, BIAS = 0.9, 2.0  # Wang et al. 2017: alpha and delta; the root is a square root


@dataclass(frozen=True)
class FrontEndSettings:
    """What decides the features, apart from their normalisation."""

    bands: int = 20
    window: int = 400  # samples, 25 ms
    hop: int = 160  # samples, 10 ms
    low_hz: float = 20.0
    high_hz: float = 7600.0
    pcen: bool = False  # per-channel energy normalisation in place of the logarithm


class LogMel(nn.Module):
    """Causal log-mel features: frame i covers the `window` samples that end with sample (i + 1) * hop.

    The DFT has `window` points. In an exported graph it is made of matrix products, of frames that are folded before.
    Same values as librosa's `melspectrogram` with `center=False, htk=True, norm=None` on the signal with `window - hop`
    zeros before it.

    Args:
        settings: bands, and window and hop in samples at SAMPLE_RATE.
    """

    energy_floor = LOG_FLOOR
    hamming: Tensor
    mel: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, settings: FrontEndSettings) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("hamming", torch.hamming_window(settings.window), persistent=False)
        self.register_buffer("mel", mel_filters(settings), persistent=False)
        self.folded_dft = folded_dft(settings.window, self.mel)
        self.register_buffer("mean", torch.zeros(settings.bands))
        self.register_buffer("scale", torch.ones(settings.bands))

    def initial_state(self, batch: int) -> State:
        """The state before the first sample.

        Args:
            batch: number of streams.

        Returns:
            `audio`: zeros [batch, window - hop], the samples that the first window needs from before the start.
            `offset`: zeros [batch, 2], the constant offset of the samples, and 1 once there is one.
        """
        tail = self.mel.new_zeros(batch, self.settings.window - self.settings.hop)
        return {"audio": tail, "offset": self.mel.new_zeros(batch, 2)}

    def forward(self, audio: Tensor, state: State) -> tuple[Tensor, State]:
        """Features of any number of frames.

        Args:
            audio: samples [batch, hop * frames], full scale 1.
            state: of `initial_state`, or of the call before; [batch, ...] each.

        Returns:
            Normalised features [batch, frames, bands], and the state after the last frame.

        Raises:
            RuntimeError: the samples are not whole frames.
        """
        samples, offset = self.without_offset(audio, state["offset"])
        energies, tail = self.energies(samples, state["audio"])
        features, more = self.compressed(energies, state)
        return self.standardised(features), {"audio": tail, "offset": offset, **more}

    def without_offset(self, audio: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """Samples [batch, hop * frames] less their running mean, and the `offset` after them.

        The mean of the first hop is the first offset, so that audio with a constant offset does not begin with a step.
        Samples that are exactly 0 are not audio (silence put behind the end of a file), and stay 0.
        """
        hops = audio.reshape(audio.shape[0], -1, self.settings.hop)
        is_audio = (hops != 0).to(hops.dtype)  # onnxruntime takes far longer to add integers
        counts = is_audio.sum(2, keepdim=True)
        means = hops.sum(2, keepdim=True) / counts.clamp_min(1)
        before = torch.where(offset[:, 1:] > 0, offset[:, :1], means[:, 0])
        after = exponential_average(means, before, OFFSET_SHARE)
        earlier = torch.cat([before[:, None], after[:, :-1]], dim=1)
        ramp = torch.arange(self.settings.hop, device=audio.device) / self.settings.hop
        samples = hops - is_audio * (earlier + (after - earlier) * ramp)
        return samples.reshape(audio.shape), torch.cat([after[:, -1], torch.ones_like(after[:, -1])], dim=1)

    def compressed(self, energies: Tensor, state: State) -> tuple[Tensor, State]:
        """Energies [batch, frames, bands] → features of the same shape, and what they add to the state."""
        return energies.log(), {}

    def energies(self, audio: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Samples and the tail before them → positive energies [batch, frames, bands] and the new tail."""
        audio = torch.cat([tail, audio], dim=1)
        powers = self.band_powers(self.frames(audio) * self.hamming)
        return powers + self.energy_floor, audio[:, self.settings.hop - self.settings.window :]

    def standardised(self, features: Tensor) -> Tensor:
        """Features [..., bands] with the mean and deviation of the training clips taken out."""
        return (features - self.mean) * self.scale

    def frames(self, audio: Tensor) -> Tensor:
        """Samples [batch, window - hop + hop * frames] → overlapping frames [batch, frames, window]."""
        window, hop = self.settings.window, self.settings.hop
        block = math.gcd(window, hop)
        blocks = audio.reshape(audio.shape[0], -1, block)
        last = window // block - 1
        return torch.cat([blocks[:, i : i - last or None : hop // block] for i in range(last + 1)], dim=2)

    def band_powers(self, frames: Tensor) -> Tensor:
        """Windowed frames [batch, frames, window] → powers [batch, frames, bands].

        By matrix products in an exported graph, by FFT where it is trained with, which takes half the time.
        """
        if not torch.onnx.is_in_onnx_export():
            return torch.view_as_real(torch.fft.rfft(frames)).square().sum(-1) @ self.mel
        odd, even = fold(frames)
        parts = (odd, *fold(even))
        powers = [(part @ dft).square() @ mel for part, (dft, mel) in zip(parts, self.folded_dft, strict=True)]
        return powers[0] + powers[1] + powers[2]

    def normalise(self, features: Tensor) -> None:
        """Set mean and scale per band from unnormalised features [..., bands] of training data."""
        flat = features.reshape(-1, features.shape[-1])
        self.mean.copy_(flat.mean(0))
        self.scale.copy_(1 / flat.std(0).clamp_min(0.1))


class Pcen(LogMel):
    """Mel energies relative to a running floor of their band, compressed by a root (Wang et al. 2017).

    The floor M_t = (1 - s) M_{t-1} + s E_t is computed for all frames of a call, as a product with a triangular matrix,
    so any chunking of the audio gives the same features. It begins with the first frame's energies. Level changes the
    features little, and below its energy floor, which keeps onsets after digital silence in bounds, nothing is seen.
    """

    energy_floor = PCEN_FLOOR

    def initial_state(self, batch: int) -> State:
        """Of the floor [batch, bands] zeros, which no floor has: the first frame sets it."""
        return {**super().initial_state(batch), "floor": self.mel.new_zeros(batch, self.settings.bands)}

    def compressed(self, energies: Tensor, state: State) -> tuple[Tensor, State]:
        """Energies [batch, frames, bands] → their root above the floor, and the floor after them."""
        floors = running_floor(energies, state["floor"])
        return torch.sqrt(energies * torch.exp(-GAIN * floors.log()) + BIAS), {"floor": floors[:, -1]}


def front_end_of(settings: FrontEndSettings) -> LogMel:
    """The front-end that the settings ask for."""
    return (Pcen if settings.pcen else LogMel)(settings)


def running_floor(energies: Tensor, floor: Tensor) -> Tensor:
    """The exponential average [batch, frames, bands] of energies; `floor` [batch, bands] before them, 0 for none."""
    return exponential_average(energies, torch.where(floor > 0, floor, energies[:, 0]), SMOOTHING)


def exponential_average(values: Tensor, before: Tensor, share: float) -> Tensor:
    """A_t = (1 - share) A_{t-1} + share V_t of values V [batch, frames, n]; `before` [batch, n] is the average before.

    For all frames at once, as a product with a triangular matrix.
    """
    frames = torch.arange(values.shape[1] + 1, device=values.device)
    fading = torch.exp((frames[1:, None] - frames) * math.log(1 - share)).tril(1)  # column 0: what was before
    return share * (fading @ torch.cat([before[:, None] / share, values], dim=1))


def fold(frames: Tensor) -> tuple[Tensor, Tensor]:
    """The difference of the halves of frames [..., samples], which has their odd bins, and the sum, with the others."""
    half = frames.shape[-1] // 2
    return frames[..., :half] - frames[..., half:], frames[..., :half] + frames[..., half:]


def folded_dft(window: int, mel: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The bins that `mel` uses, odd ones, then of the even ones every other one, then the rest.

    For each of these a DFT of frames that were folded, [samples, 2 * bins], cosines and sines, and what the square of
    each adds to the bands, [2 * bins, bands].
    """
    used = mel.any(dim=1).nonzero()[:, 0]
    half, quarter = window // 2, window // 4
    parts = ((used[used % 2 == 1], half), (used[used % 4 == 2], quarter), (used[used % 4 == 0], quarter))
    angles = [2 * math.pi / window * torch.arange(samples).double()[:, None] * bins for bins, samples in parts]
    dfts = [torch.cat([angle.cos(), angle.sin()], dim=1).float() for angle in angles]
    return [(dft, mel[bins].repeat(2, 1)) for dft, (bins, _) in zip(dfts, parts, strict=True)]


def mel_filters(settings: FrontEndSettings) -> Tensor:
    """Triangles of height 1 on the HTK mel scale, [window / 2 + 1, bands]."""
    edges_mel = torch.linspace(hz_to_mel(settings.low_hz), hz_to_mel(settings.high_hz), settings.bands + 2).double()
    edges = 700 * (10 ** (edges_mel / 2595) - 1)
    bins = torch.arange(settings.window // 2 + 1).double() * SAMPLE_RATE / settings.window
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp_min(0).float()


def hz_to_mel(hz: float) -> float:
    """The mel scale of HTK."""
    return 2595 * math.log10(1 + hz / 700)
