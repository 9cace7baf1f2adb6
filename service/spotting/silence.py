"""Silence that needs no model: a rule on samples alone, so that it is the same however the audio is cut."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.spotting.audio import FULL_SCALE, Pcm


@dataclass(frozen=True)
class SilenceRule:
    """A frame is silent when neither it nor any of the `frames` frames before it has a sample beyond `level`."""

    level: float  # full scale 1
    frames: int

    def apply(self, hops: Pcm, quiet: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Find the silent frames of some streams.

        Args:
            hops: the next frames, [streams, frames, samples].
            quiet: [streams], how many quiet frames came directly before them, counted up to `frames`.

        Returns:
            [streams, frames], true where a frame is silent; and `quiet` after them.
        """
        level = np.float32(self.level) * (FULL_SCALE if hops.dtype == np.int16 else 1)
        loud = (hops.max(axis=2) > level) | (hops.min(axis=2) < -level)
        if loud.all():  # as in most of running speech
            return ~loud, np.zeros(len(hops), np.float32)
        number = np.arange(1, hops.shape[1] + 1)
        last_loud = np.maximum.accumulate(np.where(loud, number, 0), axis=1)  # 0 before the first
        run = number - last_loud + np.where(last_loud, 0, quiet[:, np.newaxis])
        return run > self.frames, np.minimum(run[:, -1], self.frames).astype(np.float32)
