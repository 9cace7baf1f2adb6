"""Where a word begins and ends in a short clip, by its energy. Knows nothing of files or streams."""

import numpy as np

from service.spotting.audio import Samples
from training.model.frontend import SAMPLE_RATE

STEP, SPAN = SAMPLE_RATE // 100, SAMPLE_RATE // 50  # samples between levels, samples that a level is measured on
BAND_EDGES_HZ = (100, 400, 800, 1600, 3000, 5000, 7800)  # noise rarely fills them all
NOISE_SHARE = 0.3  # share of a clip that is taken to be noise alone
MIN_DB, MIN_SHARE = 4.0, 0.22  # a word is above the noise by both: decibels, and a share of its own peak level
MAX_GAP = 12  # steps of silence within a word: the closure before the last sound of "stop" or "right"


def endpoints(clip: Samples) -> tuple[float, float]:
    """Start and end in seconds of the one word in a clip [samples]: the strongest run above the noise, gaps closed."""
    level = levels(clip)
    floor = min(max(MIN_DB, MIN_SHARE * level.max()), level.max() / 2)
    loud = np.flatnonzero(level >= floor)
    runs = np.split(loud, np.flatnonzero(np.diff(loud) > MAX_GAP) + 1)
    run = max(runs, key=lambda steps: (level[steps] - floor).sum())
    return float(run[0] * STEP / SAMPLE_RATE), min(int(run[-1] + 1) * STEP, len(clip)) / SAMPLE_RATE


def levels(clip: Samples) -> Samples:
    """How far each STEP of a clip [samples] stands above the clip's own noise: dB, the mean of the bands."""
    steps, side = -(-len(clip) // STEP), (SPAN - STEP) // 2
    padded = np.pad(clip, (side, side + steps * STEP - len(clip)))
    spans = np.lib.stride_tricks.sliding_window_view(padded, SPAN)[::STEP] * np.hanning(SPAN).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(spans, axis=1)))
    edges = [hz * SPAN // SAMPLE_RATE for hz in BAND_EDGES_HZ]
    bands = 10 * np.log10(np.add.reduceat(power, edges, axis=1)[:, :-1] + 1e-7)
    return np.maximum(bands - np.quantile(bands, NOISE_SHARE, axis=0), 0).mean(axis=1).astype(np.float32)
