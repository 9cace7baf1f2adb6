"""A sound file to be sent: blocks of float32 samples at the file's own rate, nothing resampled.

Owns the open file. What is refused, and how, is the server's own: a file sent is decided like the same file uploaded.
"""

import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from service.spotting.audio import AudioError, check_format, refuse_truncated_wav


class Recording:
    """A WAV, FLAC, OGG or MP3 file, 8 to 48 kHz, mono or stereo; BadAudio for anything else."""

    def __init__(self, path: Path) -> None:
        content = _read(path)
        refuse_truncated_wav(content)
        try:
            self._file = soundfile.SoundFile(io.BytesIO(content))
        except soundfile.LibsndfileError as error:
            raise AudioError(f"expected WAV, FLAC, OGG or MP3, got: {error.error_string}") from error
        check_format(self._file, math.inf)
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels

    def blocks(self, block_s: float) -> Iterator[npt.NDArray[np.float32]]:
        """The samples, once, in pieces of `block_s`, each [n, channels]; BadAudio where the file is damaged."""
        length = max(1, round(block_s * self.sample_rate))
        sent = 0
        try:
            while len(block := self._file.read(length, dtype="float32", always_2d=True)):
                sent += len(block)
                yield block
        except soundfile.LibsndfileError as error:
            raise AudioError(f"expected audio to the end, got: {error.error_string}") from error
        if sent < self._file.frames:
            raise AudioError(f"expected {self._file.frames} samples as its header says, got {sent}")


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AudioError(f"expected a file, got: {error.strerror}") from error
    if not content:
        raise AudioError("expected audio, got an empty file")
    return content
