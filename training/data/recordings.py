"""Recordings in folders: one folder per word, as in Speech Commands, and folders of noise, music and room responses.

Owns the official split by speaker and the reading of clips, noise and rooms. Knows nothing of labels or training.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.spotting.audio import AudioError, Samples
from service.spotting.files import SUFFIXES, read_audio
from training.data.endpoints import MIN_DB, endpoints, levels
from training.errors import TrainingError
from training.model.frontend import SAMPLE_RATE

BACKGROUND = "_background_noise_"  # folder of background recordings beside those of the words
SPEAKER_ENDS = "_nohash_"  # in a file name that names the speaker: SPEAKER_nohash_TAKE
CLIP = SAMPLE_RATE  # samples: a clip lasts at most one second
MIN_S, MAX_S = 0.2, 30.0  # length of a recording of one word
MIN_PEAK = 1e-3  # a recording with a lower peak has no word in it
ROOM_S = 0.5  # length of the part of an impulse response that is used
VALIDATION, TEST = 10.0, 10.0  # percent of speakers
VALIDATION_RECORDINGS, TEST_RECORDINGS = 20.0, 20.0  # percent of noises, music and rooms
MAX_SPEAKERS = 2**27 - 1  # constant of the data set's own split


class DatasetError(TrainingError):
    """The data are not as training needs them; the message names the folder or file, what was expected, what came."""


@dataclass(frozen=True)
class WordClip:
    """One recording of one word; the speaker is empty where the file name does not contain one."""

    path: Path
    word: str
    speaker: str


@dataclass(frozen=True)
class LoadedClips:
    """Clips that could be read, their samples at 16 kHz, at most one second each, and a line per refused recording."""

    clips: list[WordClip]
    samples: list[Samples]
    refused: list[str]

    @property
    def words(self) -> list[str]:
        return [clip.word for clip in self.clips]

    def describe(self, split: str) -> str:
        """One phrase for facts and model cards."""
        return f"{len(self.clips)} {split} clips by {speakers(self.clips) or 'unnamed'} speakers"


def split_of(name: str) -> str:
    """`train`, `validation` or `test` by the speaker in a file name (Warden 2018, section 7; SHA-1 of the speaker).

    A name without a speaker is split by the whole name without its suffix.
    """
    percent = percent_of(speaker_of(name) or Path(name).stem)
    if percent < VALIDATION:
        return "validation"
    return "test" if percent < VALIDATION + TEST else "train"


def speaker_of(name: str) -> str:
    speaker, separator, _ = Path(name).name.partition(SPEAKER_ENDS)
    return speaker if separator else ""


def speakers(clips: Iterable[WordClip]) -> int:
    """Number of different speakers that the names of some clips contain."""
    return len({clip.speaker for clip in clips} - {""})


def split_of_recording(name: str) -> str:
    """The split of noise, music and rooms, by how the name begins: takes of one place or piece stay together."""
    stem = Path(name).stem.split("__")[-1]
    source = re.match(r"\d+-\d+|[^-_\d]+", stem)
    percent = percent_of(source[0] if source else stem)
    if percent < VALIDATION_RECORDINGS:
        return "validation"
    return "test" if percent < VALIDATION_RECORDINGS + TEST_RECORDINGS else "train"


def percent_of(name: str) -> float:
    """A number from 0 to 100 that depends on the name alone."""
    digest = int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16)
    return digest % (MAX_SPEAKERS + 1) * (100.0 / MAX_SPEAKERS)


def all_clips(folder: Path) -> Iterator[WordClip]:
    """Every clip, sorted by word and name. Raises DatasetError where there is no folder."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: expected a folder with a folder of recordings per word")
    words = sorted(d for d in folder.iterdir() if d.is_dir() and not d.name.startswith(("_", ".")))
    for word in words:
        for path in sorted(word.iterdir()):
            if path.suffix.lower() in SUFFIXES:
                yield WordClip(path, word.name, speaker_of(path.name))


def find_clips(folder: Path, split: str) -> list[WordClip]:
    """Every clip of a split. Raises DatasetError for a folder that has none."""
    clips = [clip for clip in all_clips(folder) if split_of(clip.path.name) == split]
    if not clips:
        raise DatasetError(f"{folder}: expected WORD/RECORDING with {sorted(SUFFIXES)}, found none for {split}")
    return clips


def read_split(folder: Path, split: str) -> LoadedClips:
    """Every clip of a split, decoded."""
    return read_clips(find_clips(folder, split))


def read_clips(clips: Sequence[WordClip]) -> LoadedClips:
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(read_or_reason, clips))
    loaded = LoadedClips([], [], [])
    for clip, result in zip(clips, results, strict=True):
        if isinstance(result, str):
            loaded.refused.append(result)
        else:
            loaded.clips.append(clip)
            loaded.samples.append(result)
    return loaded


def read_or_reason(clip: WordClip) -> Samples | str:
    """The samples of a clip, or a line that says why it is refused."""
    try:
        samples = read_audio(clip.path)
    except AudioError as error:
        return f"{clip.path}: {error}"
    if not MIN_S <= len(samples) / SAMPLE_RATE <= MAX_S:
        return f"{clip.path}: expected {MIN_S} to {MAX_S:g} s, got {len(samples) / SAMPLE_RATE:.2f} s"
    if np.abs(samples).max() < MIN_PEAK:
        return f"{clip.path}: expected a word, got silence"
    if clip.speaker and len(samples) <= CLIP:
        return samples  # cut already, as those of the data set are
    if levels(samples).max() < MIN_DB:
        return f"{clip.path}: expected a word, got nothing that stands out of the noise"
    return around_word(samples)


def around_word(samples: Samples) -> Samples:
    """The second of a recording [samples] that has the word in its middle, shifted where the recording ends earlier."""
    start_s, end_s = endpoints(samples)
    start = int((start_s + end_s) / 2 * SAMPLE_RATE) - CLIP // 2
    start = max(0, min(start, len(samples) - CLIP))
    return samples[start : start + CLIP]


def padded(samples: Iterable[Samples]) -> Samples:
    """Clips as rows [clips, CLIP], zeros after the end of the shorter ones."""
    return np.stack([np.pad(clip, (0, CLIP - len(clip))) for clip in samples])


def read_recordings(folders: Iterable[Path], split: str | None = None) -> list[Samples]:
    """Every recording below some folders, whole, at 16 kHz: noise, music or room responses of one split or of all."""
    paths = sorted(p for folder in folders for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    paths = [path for path in paths if split in (None, split_of_recording(path.name))]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(read_audio, paths))


def direct_sound_first(response: Samples) -> Samples:
    """A room's impulse response from its direct sound on, ROOM_S long, with energy 1."""
    start = max(0, int(np.abs(response).argmax()) - 8)
    size = int(ROOM_S * SAMPLE_RATE)
    response = response[start : start + size]
    return np.pad(response, (0, size - len(response))) / np.sqrt(np.square(response).sum())
