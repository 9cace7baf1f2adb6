"""Where a word begins and ends in a short clip, by its energy. Knows nothing of files, words or streams."""

import numpy as np
from numpy.typing import NDArray

from training.model.frontend import SAMPLE_RATE

Floats = NDArray[np.float32]
STEP, SPAN = SAMPLE_RATE // 100, SAMPLE_RATE // 50  # samples between levels, samples that a level is measured on
BAND_EDGES_HZ = (100, 400, 800, 1600, 3000, 5000, 7800)  # noise rarely fills them all
QUIET_SHARE = 0.3  # of a clip that is taken to be noise alone
LEAST_DB, LEAST_SHARE = 4.0, 0.22  # a word stands out of the noise by both: decibels, and a share of its peak's
LONGEST_GAP = 12  # steps: the closure before the last sound of "stop" or "right"


def endpoints(clip: Floats) -> tuple[float, float]:
    """Start and end in seconds of the one word in a clip [samples]: the strongest run above the noise, gaps closed."""
    level = levels(clip)
    bar = min(max(LEAST_DB, LEAST_SHARE * level.max()), level.max() / 2)
    loud = np.flatnonzero(level >= bar)
    runs = np.split(loud, np.flatnonzero(np.diff(loud) > LONGEST_GAP) + 1)
    run = max(runs, key=lambda steps: (level[steps] - bar).sum())
    return float(run[0] * STEP / SAMPLE_RATE), min(int(run[-1] + 1) * STEP, len(clip)) / SAMPLE_RATE


def levels(clip: Floats) -> Floats:
    """How far each STEP of a clip [samples] stands above the clip's own noise: dB, the mean of the bands."""
    steps, side = -(-len(clip) // STEP), (SPAN - STEP) // 2
    padded = np.pad(clip, (side, side + steps * STEP - len(clip)))
    spans = np.lib.stride_tricks.sliding_window_view(padded, SPAN)[::STEP] * np.hanning(SPAN).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(spans, axis=1)))
    edges = [hz * SPAN // SAMPLE_RATE for hz in BAND_EDGES_HZ]
    bands = 10 * np.log10(np.add.reduceat(power, edges, axis=1)[:, :-1] + 1e-7)
    return np.maximum(bands - np.quantile(bands, QUIET_SHARE, axis=0), 0).mean(axis=1).astype(np.float32)
