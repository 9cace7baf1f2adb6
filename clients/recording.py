"""A sound file to be sent: blocks of float32 samples at the file's own rate, nothing resampled.

Owns the open file. The server resamples, so a file sent is decided exactly like the same file uploaded.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import soundfile

from service.audio import FORMATS, MAX_CHANNELS, MAX_RATE, MIN_RATE, BadAudio


class Recording:
    """An open WAV, FLAC, OGG or MP3 file, 8 to 48 kHz, mono or stereo; BadAudio for anything else."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = soundfile.SoundFile(path)
        except (OSError, soundfile.SoundFileError) as error:
            raise BadAudio(f"expected a WAV, FLAC, OGG or MP3 file, got: {_reason(path, error)}") from error
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self._check()

    def blocks(self, block_s: float) -> Iterator[npt.NDArray[np.float32]]:
        """The samples in pieces of `block_s`, each [n, channels]; BadAudio where the file is damaged."""
        length = max(1, round(block_s * self.sample_rate))
        try:
            while len(block := self._file.read(length, dtype="float32", always_2d=True)):
                yield block
        except soundfile.SoundFileError as error:
            raise BadAudio(f"expected audio to the end, got: {error}") from error
        if (got := self._file.tell()) < self._file.frames:
            raise BadAudio(f"expected {self._file.frames} samples as its header says, got {got}")

    def _check(self) -> None:
        if self._file.format not in FORMATS:
            raise BadAudio(f"expected a WAV, FLAC, OGG or MP3 file, got {self._file.format}")
        if not MIN_RATE <= self.sample_rate <= MAX_RATE:
            raise BadAudio(f"expected {MIN_RATE} to {MAX_RATE} Hz, got {self.sample_rate} Hz")
        if self.channels > MAX_CHANNELS:
            raise BadAudio(f"expected 1 or {MAX_CHANNELS} channels, got {self.channels}")
        if self._file.frames == 0:
            raise BadAudio("expected audio, got a file without samples")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _reason(path: Path, error: Exception) -> str:
    """libsndfile says only 'System error' of a file that is not there."""
    if not path.exists():
        return "no such file"
    if path.is_dir():
        return "a folder"
    if path.stat().st_size == 0:
        return "an empty file"
    return getattr(error, "error_string", str(error))
