"""The loudness of the audio on one line of a terminal, drawn again and again. Knows no clock: it goes by the audio."""

from typing import TextIO

import numpy as np
import numpy.typing as npt

from service.spotting.audio import FULL_SCALE

EVERY_S = 0.1  # seconds of audio between two drawings
QUIET_DB = -60.0  # the bar is empty here, and full at 0, the loudest sample possible
WIDTH = 30
ERASE = "\r\x1b[K"


class LevelMeter:
    """Draws to a terminal; draws nothing to anything else."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._on = out, out.isatty()
        self._peak, self._pushed_s = 0.0, 0.0

    def push(self, samples: npt.NDArray[np.int16], sample_rate: int) -> None:
        """Take samples [n, 1], and draw when it is time."""
        if not self._on:
            return
        self._peak = max(self._peak, level(samples))
        self._pushed_s += len(samples) / sample_rate
        if self._pushed_s >= EVERY_S:
            self._out.write(ERASE + line(self._peak))
            self._out.flush()
            self._peak, self._pushed_s = 0.0, 0.0

    def clear(self) -> None:
        """Erase the line for other text."""
        if self._on:
            self._out.write(ERASE)
            self._out.flush()


def level(samples: npt.NDArray[np.int16]) -> float:
    """The peak, 0 to 1."""
    return float(np.abs(samples.astype(np.float32)).max(initial=0.0)) / FULL_SCALE


def line(peak: float) -> str:
    """`|##########                    | -40 dB`."""
    db = 20 * np.log10(max(peak, 1e-5))
    bars = round(WIDTH * float(np.clip(1 - db / QUIET_DB, 0, 1)))
    return f"|{'#' * bars:<{WIDTH}}| {db:.0f} dB"
