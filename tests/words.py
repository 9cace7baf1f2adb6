"""A tiny data set in the layout of Speech Commands: a word is a pattern of tones, a speaker a pitch. No voice in it."""

from pathlib import Path

import numpy as np
import soundfile

from training.speech_commands import split_of

RATE = 16_000
WORDS = {"up": (400, 900), "down": (900, 400), "cat": (650, 650), "dog": (400, 400)}  # Hz, first and second half


def speakers(split: str, count: int) -> list[str]:
    """Names that the official split puts into `split`."""
    found = (f"{i:08x}" for i in range(10_000))
    return [name for name in found if split_of(f"{name}_nohash_0.wav") == split][:count]


def write_words(folder: Path, train: int = 30, other: int = 6) -> Path:
    """A folder a word with one clip by each of some speakers of every split, and background noise."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("validation", other), ("test", other)):
        for speaker in speakers(split, count):
            pitch = rng.uniform(0.95, 1.05)
            for word, tones in WORDS.items():
                path = folder / word / f"{speaker}_nohash_0.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, spoken(tones, pitch, rng), RATE)
    (folder / "_background_noise_").mkdir()
    soundfile.write(folder / "_background_noise_" / "hiss.wav", 0.05 * rng.standard_normal(3 * RATE), RATE)
    return folder


def spoken(tones: tuple[int, int], pitch: float, rng: np.random.Generator) -> np.ndarray:
    """One second with a word of 0.4 s in it."""
    time = np.arange(int(0.2 * RATE)) / RATE
    word = np.concatenate([np.sin(2 * np.pi * tone * pitch * time) for tone in tones])
    start = rng.integers(2000, 6000)
    clip = 0.002 * rng.standard_normal(RATE)
    clip[start : start + len(word)] += 0.3 * word
    return clip
