"""What streams are made of: the recordings of one split, with the times of the words in them.

Owns which running speech belongs to which split, and that all is equally loud. Knows nothing of streams or training.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.spotting.audio import FULL_SCALE, Samples
from service.spotting.files import read_audio
from training.data.endpoints import endpoints
from training.data.labels import Labels
from training.data.recordings import (
    BACKGROUND,
    DatasetError,
    LoadedClips,
    direct_sound_first,
    percent_of,
    read_recordings,
)
from training.data.sources import DataSources
from training.model.frontend import SAMPLE_RATE

LOUDNESS = 0.05  # root mean square of a word, of running speech and of noise; full scale is 1
FADE = SAMPLE_RATE // 100  # samples at both ends of every cut
VALIDATION_SPEAKERS = 20.0  # percent of the speakers in `train/` of running speech

Int16s = NDArray[np.int16]
Kind = Literal["keyword", "other", "prefix", "speech", "embedded"]


@dataclass(frozen=True)
class WordSpan:
    """A word that is spoken from `start_s` to `end_s`.

    `keyword` and `other` are single words; a `prefix` is the beginning of a keyword; `speech` is a piece of running
    speech, whose word is the name of its file, and an `embedded` keyword is one inside running speech, run together
    with its neighbours.
    """

    word: str
    start_s: float
    end_s: float
    kind: Kind
    share: float = 1.0  # spoken share of the word

    def later(self, seconds: float) -> "WordSpan":
        return replace(self, start_s=self.start_s + seconds, end_s=self.end_s + seconds)


@dataclass(frozen=True)
class Utterance:
    """A recording and its words: the one word of a clip; running speech itself, then the keywords embedded in it."""

    samples: Int16s
    words: tuple[WordSpan, ...]
    text: tuple[str, ...] = field(default=(), repr=False)  # every word of running speech


@dataclass(frozen=True)
class Corpus:
    keywords: dict[str, list[Utterance]]
    others: dict[str, list[Utterance]]
    speech: list[Utterance]
    noise: Samples  # all background recordings end to end
    rooms: Samples  # impulse responses [rooms, taps]
    hard: dict[str, list[Utterance]] = field(default_factory=dict)  # kind -> hard negatives, to be drawn more often

    @property
    def speech_s(self) -> float:
        return sum(len(recording.samples) for recording in self.speech) / SAMPLE_RATE

    @cached_property
    def speech_ends(self) -> NDArray[np.int64]:
        """Where each recording of running speech would end if all were end to end, in samples."""
        return np.cumsum([len(recording.samples) for recording in self.speech])

    def any_speech(self, rng: np.random.Generator) -> Utterance:
        """A random recording of running speech, the longer the likelier."""
        return self.speech[np.searchsorted(self.speech_ends, rng.integers(self.speech_ends[-1]), side="right")]


def read_corpus(sources: DataSources, labels: Labels, split: str, clips: LoadedClips) -> Corpus:
    """Everything of a split beside its clips, which are read already.

    Raises DatasetError for a keyword without clips, and where there is no background noise.
    """
    words = group_by_word(clips, labels)
    if missing := set(labels.keywords) - set(words):
        raise DatasetError(
            f"{sources.recordings}: expected clips of every keyword for {split}, found none of {sorted(missing)}"
        )
    noise_folders = [sources.recordings / BACKGROUND, *sources.noise]
    backgrounds = read_recordings(noise_folders, split)
    if not backgrounds:
        raise DatasetError(
            f"expected background recordings for {split}, found none in {', '.join(map(str, noise_folders))}"
        )
    responses = [direct_sound_first(response) for response in read_recordings(sources.rooms, split)]
    rooms = np.stack(responses) if responses else np.zeros((0, 1), np.float32)
    return corpus_of(words, labels, list(read_all_speech(sources, labels, split)), equally_loud(backgrounds), rooms)


def corpus_of(
    words: dict[str, list[Utterance]], labels: Labels, speech: list[Utterance], noise: Samples, rooms: Samples
) -> Corpus:
    keywords = {word: clips for word, clips in words.items() if word in labels.keywords}
    others = {word: clips for word, clips in words.items() if word not in labels.keywords}
    return Corpus(keywords, others, speech, noise, rooms)


def group_by_word(clips: LoadedClips, labels: Labels) -> dict[str, list[Utterance]]:
    words: dict[str, list[Utterance]] = {}
    for word, audio in zip(clips.words, clips.samples, strict=True):
        words.setdefault(word, []).append(single(audio, word, word in labels.keywords))
    return words


def single(samples: Samples, word: str, is_keyword: bool) -> Utterance:
    """A clip with its one word, brought to LOUDNESS."""
    start, end = endpoints(samples)
    gain = gain_to_loudness(samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)])
    return Utterance(
        faded(as_int16(samples * gain)), (WordSpan(word, start, end, "keyword" if is_keyword else "other"),)
    )


def equally_loud(recordings: Sequence[Samples]) -> Samples:
    """Recordings end to end, each at LOUDNESS."""
    return np.concatenate([recording * gain_to_loudness(recording) for recording in recordings])


def read_all_speech(sources: DataSources, labels: Labels, split: str | None = None) -> Iterator[Utterance]:
    for folder in sources.speech:
        yield from read_speech(folder, labels.keywords, split)


def read_speech(folder: Path, keywords: Sequence[str], split: str | None = None) -> Iterator[Utterance]:
    """Running speech of one split or of all: `train/` and `dev/` with a folder per speaker, and two tables of words.

    `dev/` is for test; some of the speakers of `train/` are for validation. Recordings with a keyword for which
    `keyword_times.tsv` has no times are left out.
    """
    times: dict[str, list[WordSpan]] = {}
    for row in read_table(folder / "keyword_times.tsv"):
        word = WordSpan(row["word"], float(row["start_s"]), float(row["end_s"]), "embedded")
        times.setdefault(row["file"], []).append(word)
    timed = {word.word for words in times.values() for word in words}
    texts = {row["file"]: tuple(words_of(row["text"])) for row in read_table(folder / "transcripts.tsv")}
    files = [
        file
        for file, text in sorted(texts.items())
        if split in (None, split_of_speech(file)) and not any(says(text, word) for word in set(keywords) - timed)
    ]
    with ThreadPoolExecutor() as pool:
        for file, samples in zip(files, pool.map(lambda file: read_audio(folder / file), files), strict=True):
            embedded = sorted((w for w in times.get(file, ()) if w.word in keywords), key=lambda word: word.start_s)
            whole = WordSpan(file, 0.0, len(samples) / SAMPLE_RATE, "speech")
            yield Utterance(faded(as_int16(samples * gain_to_loudness(samples))), (whole, *embedded), texts[file])


def says(text: Sequence[str], keyword: str) -> bool:
    """Whether a keyword, or all words of a phrase one after another, are in a text."""
    phrase = tuple(keyword.split())
    return any(tuple(text[i : i + len(phrase)]) == phrase for i in range(len(text) - len(phrase) + 1))


def words_of(text: str) -> list[str]:
    """The words of a sentence without its punctuation, in lower case."""
    return re.findall(r"[\w']+", text.lower())


def read_table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise DatasetError(f"{path}: expected the words of running speech, tab-separated, found no such file")
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def speaker_of_speech(file: str) -> str:
    """Who speaks in a recording PART/SPEAKER/NAME."""
    return Path(file).parent.name


def split_of_speech(file: str) -> str:
    """The split of a recording PART/SPEAKER/NAME, by speaker."""
    part, speaker, *_ = Path(file).parts
    if part != "train":
        return "test"
    return "validation" if percent_of(speaker) < VALIDATION_SPEAKERS else "train"


def gain_to_loudness(samples: Samples, quietest: float = 1e-5) -> float:
    """The gain that gives samples an RMS of LOUDNESS; what is below `quietest` is not raised as far."""
    return LOUDNESS / max(quietest, float(np.sqrt(np.square(samples).mean())))


def as_int16(samples: Samples) -> Int16s:
    return (samples.clip(-1, 1) * (FULL_SCALE - 1)).astype(np.int16)


def faded(samples: Int16s) -> Int16s:
    """The samples with a short rise and fall, so that a cut makes no click."""
    ramp = np.minimum(1, np.arange(1, len(samples) + 1) / FADE)
    return (samples * ramp * ramp[::-1]).astype(np.int16)
