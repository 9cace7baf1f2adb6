"""Speech Commands, and any folder with a folder of recordings for each word.

Owns the official split by speaker, labels and the reading of clips, noise and rooms. Knows nothing of training.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.spotting.audio import AudioError
from service.spotting.files import read_audio
from training.data.endpoints import LEAST_DB, endpoints, levels
from training.model.frontend import SAMPLE_RATE

UNKNOWN, SILENCE, BACKGROUND = "_unknown_", "_silence_", "_background_noise_"
SUFFIXES = {".wav", ".flac", ".opus", ".ogg", ".mp3"}
SPEAKER_ENDS = "_nohash_"  # in the name of a file that says who speaks: SPEAKER_nohash_TAKE
CLIP = SAMPLE_RATE  # samples: the data set's clips last at most one second
SHORTEST_S, LONGEST_S = 0.2, 30.0  # of a recording of one word
SILENT = 1e-3  # peak of a recording in which nothing is said
ROOM_S = 0.5  # of an impulse response that is used
VALIDATION, TESTING = 10.0, 10.0  # percent of speakers
VALIDATION_RECORDINGS, TEST_RECORDINGS = 20.0, 20.0  # percent of noises, music and rooms
MOST_SPEAKERS = 2**27 - 1  # of the data set's own split


@dataclass(frozen=True)
class Clip:
    path: Path
    word: str
    speaker: str  # empty where the name does not tell


class DatasetError(ValueError):
    """The data are not as training needs them; the message names the folder or file, what was expected, what came."""


def split_of(name: str) -> str:
    """`train`, `validation` or `test` by the speaker in a file name (Warden 2018, section 7; SHA-1 of the speaker).

    By the whole name without its ending where no speaker is in it.
    """
    percent = percent_of(speaker_of(name) or Path(name).stem)
    if percent < VALIDATION:
        return "validation"
    return "test" if percent < VALIDATION + TESTING else "train"


def speaker_of(name: str) -> str:
    speaker, told, _ = Path(name).name.partition(SPEAKER_ENDS)
    return speaker if told else ""


def speakers(clips: Iterable[Clip]) -> int:
    """How many speakers the names of some clips tell of."""
    return len({clip.speaker for clip in clips} - {""})


def split_of_recording(name: str) -> str:
    """The same for noise, music and rooms, by how the name begins: takes of one place or piece stay together."""
    stem = Path(name).stem.split("__")[-1]
    source = re.match(r"\d+-\d+|[^-_\d]+", stem)
    percent = percent_of(source[0] if source else stem)
    if percent < VALIDATION_RECORDINGS:
        return "validation"
    return "test" if percent < VALIDATION_RECORDINGS + TEST_RECORDINGS else "train"


def percent_of(name: str) -> float:
    """A number from 0 to 100 that is always the same for a name."""
    digest = int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16)
    return digest % (MOST_SPEAKERS + 1) * (100.0 / MOST_SPEAKERS)


def all_clips(folder: Path) -> Iterator[Clip]:
    """Every clip, sorted by word and name. Raises BadData where there is no folder."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: expected a folder with a folder of recordings for each word")
    words = sorted(d for d in folder.iterdir() if d.is_dir() and not d.name.startswith(("_", ".")))
    for word in words:
        for path in sorted(word.iterdir()):
            if path.suffix.lower() in SUFFIXES:
                yield Clip(path, word.name, speaker_of(path.name))


def find_clips(folder: Path, split: str) -> list[Clip]:
    """Every clip of a split. Raises BadData for a folder that has none."""
    clips = [clip for clip in all_clips(folder) if split_of(clip.path.name) == split]
    if not clips:
        raise DatasetError(f"{folder}: expected WORD/RECORDING with {sorted(SUFFIXES)}, found none for {split}")
    return clips


def labels_for(keywords: Sequence[str]) -> tuple[str, ...]:
    return (*keywords, UNKNOWN, SILENCE)


def label_of(word: str, labels: Sequence[str]) -> int:
    """Index of a word's label; every word that is no keyword is `_unknown_`."""
    return labels.index(word if word in labels else UNKNOWN)


def read_clips(clips: Sequence[Clip]) -> tuple[list[Clip], list[NDArray[np.float32]], list[str]]:
    """The good clips, their samples at 16 kHz, at most one second each, and a line for every recording refused."""
    with ThreadPoolExecutor() as pool:
        read = list(pool.map(read_or_reason, clips))
    kept = [(clip, value) for clip, value in zip(clips, read, strict=True) if not isinstance(value, str)]
    return [clip for clip, _ in kept], [value for _, value in kept], [value for value in read if isinstance(value, str)]


def read_or_reason(clip: Clip) -> NDArray[np.float32] | str:
    try:
        samples = read_audio(clip.path)
    except AudioError as error:
        return f"{clip.path}: {error}"
    if not SHORTEST_S <= len(samples) / SAMPLE_RATE <= LONGEST_S:
        return f"{clip.path}: expected {SHORTEST_S} to {LONGEST_S:g} s, got {len(samples) / SAMPLE_RATE:.2f} s"
    if np.abs(samples).max() < SILENT:
        return f"{clip.path}: expected a word, got silence"
    if clip.speaker and len(samples) <= CLIP:
        return samples  # cut already, as those of the data set are
    if levels(samples).max() < LEAST_DB:
        return f"{clip.path}: expected a word, got nothing that stands out of the noise"
    return around_word(samples)


def around_word(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The second with the word of a recording [samples] in its middle, as far as the recording has one around it."""
    start_s, end_s = endpoints(samples)
    start = int((start_s + end_s) / 2 * SAMPLE_RATE) - CLIP // 2
    start = max(0, min(start, len(samples) - CLIP))
    return samples[start : start + CLIP]


def padded(samples: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Clips as rows [clips, CLIP], zeros after the end of the shorter ones."""
    return np.stack([np.pad(clip, (0, CLIP - len(clip))) for clip in samples])


def read_recordings(folders: Iterable[Path], split: str | None = None) -> list[NDArray[np.float32]]:
    """Every recording below some folders, of a split or of all, whole, at 16 kHz: noise, music or room responses."""
    paths = sorted(p for folder in folders for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    paths = [path for path in paths if split in (None, split_of_recording(path.name))]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(read_audio, paths))


def direct_sound_first(response: NDArray[np.float32]) -> NDArray[np.float32]:
    """A room's impulse response from its direct sound on, ROOM_S long, with energy 1."""
    start = max(0, int(np.abs(response).argmax()) - 8)
    size = int(ROOM_S * SAMPLE_RATE)
    response = response[start : start + size]
    return np.pad(response, (0, size - len(response))) / np.sqrt(np.square(response).sum())
