"""Background noise where there are no recordings of any: hiss of three colours, in a file for each split."""

from itertools import count
from pathlib import Path

import numpy as np
import soundfile

from training.data.recordings import split_of_recording
from training.model.frontend import SAMPLE_RATE

SECONDS = 20
SLOPES = {"white": 0.0, "pink": 0.5, "brown": 1.0}  # amplitude falls with the frequency to this power
RMS = 0.05


def write_plain_noise(folder: Path, split: str) -> None:
    """A file of each colour whose name is of `split`."""
    folder.mkdir(parents=True, exist_ok=True)
    for colour, slope in SLOPES.items():
        name = next(name for i in count() if split_of_recording(name := f"{colour}{letters(i)}.wav") == split)
        rng = np.random.default_rng([len(colour), len(split)])
        spectrum = np.fft.rfft(rng.standard_normal(SECONDS * SAMPLE_RATE))
        noise = np.fft.irfft(spectrum * np.arange(1, len(spectrum) + 1) ** -slope)
        soundfile.write(folder / name, RMS * noise / np.sqrt(np.square(noise).mean()), SAMPLE_RATE)


def letters(number: int) -> str:
    """a, b, ... for 0, 1, ...: digits would not count in the split of a name."""
    return chr(ord("a") + number % 26) * (number // 26 + 1)
