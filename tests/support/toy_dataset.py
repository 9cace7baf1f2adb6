"""A tiny data set in the layout of Speech Commands: a word is a pattern of tones, a speaker a pitch. No voice in it."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr

from training.data.recordings import split_of

RATE = 16_000
WORDS = {"up": (400, 2000), "down": (2000, 400), "cat": (900, 900), "dog": (400, 400)}  # Hz, first and second half
SPEECH_SPEAKERS = ("train/1088", "train/19", "train/27", "train/8629", "dev/118")


def speakers(split: str, count: int) -> list[str]:
    """Names that the official split puts into `split`."""
    names = (f"{i:08x}" for i in range(10_000))
    return [name for name in names if split_of(f"{name}_nohash_0.wav") == split][:count]


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


def write_custom_words(folder: Path, count: int = 40) -> Path:
    """Recordings as a user has them: a second or more, of several kinds and rates, names without a speaker."""
    rng = np.random.default_rng(0)
    kinds = [("wav", 44_100), ("mp3", 44_100), ("ogg", 22_050), ("flac", 8_000), ("wav", 48_000)]
    for word, tones in WORDS.items():
        (folder / word).mkdir(parents=True)
        for i in range(count):
            ending, rate = kinds[i % len(kinds)]
            quiet = 0.002 * rng.standard_normal(rng.integers(0, RATE))
            samples = soxr.resample(np.concatenate([spoken(tones, rng.uniform(0.95, 1.05), rng), quiet]), RATE, rate)
            channels = np.stack([samples] * (1 + i % 2), axis=1)
            soundfile.write(folder / word / f"Take {i}.{ending}", channels, rate)
    (folder / "_background_noise_").mkdir()
    soundfile.write(folder / "_background_noise_" / "kitchen.wav", 0.02 * rng.standard_normal(RATE), RATE)
    return folder


def spoken(tones: tuple[int, int], pitch: float, rng: np.random.Generator) -> np.ndarray:
    """One second with a word of 0.4 s in it."""
    time = np.arange(int(0.2 * RATE)) / RATE
    word = np.concatenate([np.sin(2 * np.pi * tone * pitch * time) for tone in tones])
    start = rng.integers(2000, 6000)
    clip = 0.002 * rng.standard_normal(RATE)
    clip[start : start + len(word)] += 0.3 * word
    return clip


def write_speech(folder: Path) -> Path:
    """Three seconds by each speaker: hiss, with the keyword `up` as a tone from 1.0 to 1.4 s, as the tables say."""
    time = np.arange(3 * RATE) / RATE
    files = [f"{speaker}/0.wav" for speaker in SPEECH_SPEAKERS]
    for file in files:
        (folder / file).parent.mkdir(parents=True)
        rng = np.random.default_rng(0)
        samples = 0.01 * rng.standard_normal(len(time)) + 0.3 * np.sin(2 * np.pi * 400 * time) * (abs(time - 1.2) < 0.2)
        soundfile.write(folder / file, samples, RATE)
    write_table(folder / "transcripts.tsv", ("file", "text"), [(file, "CLIMB UP NOW") for file in files])
    times = [(file, "up", "1.0", "1.4") for file in files]
    write_table(folder / "keyword_times.tsv", ("file", "word", "start_s", "end_s"), times)
    return folder


def write_table(path: Path, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([head, *rows])
