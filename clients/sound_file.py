"""A sound file to be sent: blocks of float32 samples at the file's own rate, nothing resampled.

The reader is the server's own: a file that is sent is decided like the same file uploaded, and refused for the same
reasons.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.spotting.audio import AudioError
from service.spotting.files import AudioFile


class Recording:
    """A sound file in blocks.

    Args:
        path: a WAV, AIFF, FLAC, OGG or MP3 file; with the extra `media` also M4A, WebM and AAC. 8 to 48 kHz, mono or
            stereo.

    Attributes:
        sample_rate: Hz.
        channels: 1 or 2.

    Raises:
        AudioError: it is not such a file, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = AudioFile(path, max_s=float("inf"))
        except OSError as error:
            raise AudioError(f"expected a file, got: {error.strerror}") from error
        self.sample_rate, self.channels = self._file.sample_rate, self._file.channels

    def blocks(self, block_s: float) -> Iterator[npt.NDArray[np.float32]]:
        """Read the file, once.

        Args:
            block_s: seconds in a block; shorter at the end, and before a joint of joined files.

        Yields:
            float32 [samples, channels].

        Raises:
            AudioError: the file is damaged.
        """
        return self._file.blocks(max(1, round(block_s * self.sample_rate)))
