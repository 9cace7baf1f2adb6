"""PCM bytes, cut anywhere, to samples."""

import numpy as np

from service.spotting.audio import FULL_SCALE, AudioError, Pcm, Samples, check_amplitude, mono, to_float
from service.spotting.files.header import file_format


def _mulaw_table() -> Samples:
    """G.711: the sample of each of the 256 codes."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = ((mantissa << 3) + 132 << exponent) - 132
    return (np.where(code & 128, -magnitude, magnitude) / FULL_SCALE).astype(np.float32)


INT16 = np.dtype("<i2")
MULAW = _mulaw_table()
WIDTHS = {"pcm_s16le": 2, "pcm_f32le": 4, "pcm_mulaw": 1}  # bytes per sample


class PcmDecoder:
    """PCM bytes, cut anywhere, to mono samples; bytes short of a whole sample wait.

    16-bit mono stays int16, all else becomes float32 at full scale 1. Raises AudioError for floats that are not audio,
    and when the first bytes are the header of a sound file.
    """

    def __init__(self, encoding: str, channels: int) -> None:
        self._encoding, self._channels = encoding, channels
        self._width = WIDTHS[encoding] * channels
        self._is_plain = encoding == "pcm_s16le" and channels == 1
        self._waiting = b""
        self._first = True

    def push(self, data: bytes) -> Pcm:
        """The samples that are whole, [samples]."""
        if self._first:
            self._check_first(data)
        if self._waiting:
            data, self._waiting = self._waiting + data, b""
        if spare := len(data) % self._width:
            data, self._waiting = data[:-spare], data[-spare:]
        if self._is_plain:
            return np.frombuffer(data, INT16)
        samples = self._samples(data)
        return samples if self._channels == 1 else mono(to_float(samples).reshape(-1, self._channels))

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait for the rest of their sample."""
        return len(self._waiting)

    def reset(self) -> None:
        """Forget the bytes that wait."""
        self._waiting = b""

    def _check_first(self, data: bytes) -> None:
        self._first = False
        if kind := file_format(data):
            got = f"expected samples as {self._encoding}, got the header of a sound file ({kind})"
            raise AudioError(f"{got}: decode it before sending, or send the whole file to /v1/classify")

    def _samples(self, data: bytes) -> Pcm:
        if self._encoding == "pcm_s16le":
            return np.frombuffer(data, INT16)
        if self._encoding == "pcm_f32le":
            return check_amplitude(np.frombuffer(data, "<f4").astype(np.float32, copy=False))
        return MULAW[np.frombuffer(data, np.uint8)]
