"""Background noise where there are no recordings of any: hiss, in some files for each split."""

from itertools import count
from pathlib import Path

import numpy as np
import soundfile

from training.data.background_talk import at_loudness, hiss
from training.data.recordings import split_of_recording
from training.model.frontend import SAMPLE_RATE

FILES, SECONDS = 3, 20  # for each split, and of each file


def write_plain_noise(folder: Path, split: str) -> None:
    """Files of hiss, each of another colour, whose names are of `split`."""
    folder.mkdir(parents=True, exist_ok=True)
    names = (name for i in count() if split_of_recording(name := f"hiss{letters(i)}.wav") == split)
    for _, name in zip(range(FILES), names, strict=False):
        rng = np.random.default_rng(list(name.encode()))
        soundfile.write(folder / name, at_loudness(hiss(SECONDS * SAMPLE_RATE, rng)), SAMPLE_RATE)


def letters(number: int) -> str:
    """a, b, ... for 0, 1, ...: digits would not count in the split of a name."""
    return chr(ord("a") + number % 26) * (number // 26 + 1)
