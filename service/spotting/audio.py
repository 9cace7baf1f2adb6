"""Audio samples: their types and limits, and one resampler for streams and files.

Knows nothing of files, models or sockets. Full scale is +-1.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Pcm = NDArray[np.int16] | Samples  # mono; int16 of full scale FULL_SCALE until many streams' are converted together

SAMPLE_RATE = 16000  # Hz, of a stream or file where nothing else is asked for
FULL_SCALE = 32768  # of 16-bit integers
MIN_RATE, MAX_RATE = 8000, 48000  # Hz
MAX_CHANNELS = 2
MAX_PEAK = 8.0  # full scales; larger numbers are not float audio (integers sent as floats, NaN, infinities)


class AudioError(ValueError):
    """The audio cannot be read; the message says what was expected and what came."""


def to_float(samples: Pcm) -> Samples:
    """The same samples at full scale 1."""
    floats = samples.astype(np.float32, copy=False)
    if floats is not samples:
        floats *= np.float32(1 / FULL_SCALE)
    return floats


def join(pieces: Sequence[Pcm]) -> Pcm:
    """Samples one after another, as float32 unless all are int16."""
    samples = cast(Pcm, np.concatenate(pieces))
    if samples.dtype == np.int16 or all(piece.dtype == np.float32 for piece in pieces):
        return samples
    return np.concatenate([to_float(piece) for piece in pieces])


class Resampler:
    """One stream from `rate` to `target` Hz: any cutting into pieces gives the same samples.

    soxr's variable-rate engine at a fixed ratio: it holds back 12 ms at 48 kHz and 30 ms at 8 kHz, always the same,
    where the block-wise one holds back up to 37 and 115 ms.
    """

    def __init__(self, rate: int, target: int) -> None:
        self._stream = None if rate == target else soxr.ResampleStream(rate, target, 1, vr=True)

    def push(self, samples: Samples) -> Samples:
        """Mono samples in, those that are ready out."""
        return samples if self._stream is None else self._stream.resample_chunk(samples)

    def flush(self) -> Samples:
        """The samples still held back; the next push starts a new stream."""
        rest = np.zeros(0, np.float32)
        if self._stream is not None:
            rest = self._stream.resample_chunk(rest, last=True)
            self._stream.clear()
        return rest

    def reset(self) -> None:
        """Drop the samples held back; the next push starts a new stream."""
        if self._stream is not None:
            self._stream.clear()


def mono(channels: Samples) -> Samples:
    """[samples, channels] to the mean of the channels, [samples]."""
    return channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1, dtype=np.float32)


def check_amplitude(samples: Samples) -> Samples:
    """The samples, unless a float among them cannot be audio; integers are always within full scale."""
    if samples.size and not (peak := float(np.abs(samples).max())) <= MAX_PEAK:  # `not <=` catches NaN too
        raise AudioError(f"expected samples within +-{MAX_PEAK:g} where full scale is 1, got {peak:g}")
    return samples
