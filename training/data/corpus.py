"""What streams are made of: the recordings of one split, with the times of the words in them.

Owns which recording belongs to which split, and that all are equally loud. Knows nothing of streams or training.
"""

import csv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.spotting.files import read_audio
from training.data import recordings as sc
from training.data.endpoints import endpoints
from training.model.frontend import SAMPLE_RATE

LOUDNESS = 0.05  # root mean square of a word, of running speech and of noise, full scale 1
FADE = SAMPLE_RATE // 100  # samples at both ends of whatever is cut
VALIDATION_SPEAKERS = 20.0  # percent of the speakers in `train/` of running speech

Floats = NDArray[np.float32]
Int16s = NDArray[np.int16]
Kind = Literal["keyword", "other", "part", "speech", "inside"]


@dataclass(frozen=True)
class WordSpan:
    """A word that is said from `start_s` to `end_s`.

    `keyword` and `other` are single words; a `part` is the beginning of a keyword; `speech` is a piece of running
    speech with the file that it is from as its word, and a keyword `inside` it is one that was run together with its
    neighbours.
    """

    word: str
    start_s: float
    end_s: float
    kind: Kind
    share: float = 1.0  # of the word that is said

    def later(self, seconds: float) -> "WordSpan":
        return replace(self, start_s=self.start_s + seconds, end_s=self.end_s + seconds)


@dataclass(frozen=True)
class Utterance:
    """A recording and the words in it: one of a clip; of running speech itself and the keywords inside it."""

    samples: Int16s
    words: tuple[WordSpan, ...]
    text: tuple[str, ...] = field(default=(), repr=False)  # of running speech: every word


@dataclass(frozen=True)
class Corpus:
    keywords: dict[str, list[Utterance]]
    others: dict[str, list[Utterance]]
    speech: list[Utterance]
    noise: Floats  # samples of all recordings end to end
    rooms: Floats  # impulse responses [rooms, taps]
    hard: dict[str, list[Utterance]] = field(default_factory=dict)  # other words and speech to be said more often


def read_material(
    folder: Path, keywords: Sequence[str], split: str,
    noise: Sequence[Path] = (), rooms: Sequence[Path] = (), speech: Sequence[Path] = (),
) -> Corpus:  # fmt: skip
    """All of a split; raises BadData for a keyword without clips, or without noise."""
    words = spoken(*sc.read_clips(sc.find_clips(folder, split))[:2], keywords)
    if missing := set(keywords) - set(words):
        raise sc.DatasetError(f"{folder}: expected clips of every keyword for {split}, found none of {sorted(missing)}")
    backgrounds = sc.read_recordings([folder / sc.BACKGROUND, *noise], split)
    if not backgrounds:
        raise sc.DatasetError(
            f"expected background recordings for {split}, found none in {folder / sc.BACKGROUND}, {noise}"
        )
    responses = [sc.direct_sound_first(response) for response in sc.read_recordings(rooms, split)]
    return Corpus(
        {word: clips for word, clips in words.items() if word in keywords},
        {word: clips for word, clips in words.items() if word not in keywords},
        [spoken for part in speech for spoken in read_speech(part, keywords, split)],
        np.concatenate([recording * gain_to_loudness(recording) for recording in backgrounds]),
        np.stack(responses) if responses else np.zeros((0, 1), np.float32),
    )


def spoken(clips: Sequence[sc.Clip], samples: Sequence[Floats], keywords: Sequence[str]) -> dict[str, list[Utterance]]:
    """Clips by their word."""
    words: dict[str, list[Utterance]] = {}
    for clip, audio in zip(clips, samples, strict=True):
        words.setdefault(clip.word, []).append(single(audio, clip.word, clip.word in keywords))
    return words


def single(samples: Floats, word: str, is_keyword: bool) -> Utterance:
    """A clip with its one word, brought to LOUDNESS."""
    start, end = endpoints(samples)
    gain = gain_to_loudness(samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)])
    return Utterance(
        faded(as_int16(samples * gain)), (WordSpan(word, start, end, "keyword" if is_keyword else "other"),)
    )


def read_speech(folder: Path, keywords: Sequence[str], split: str | None = None) -> Iterator[Utterance]:
    """Running speech of a split or of all: `train/` and `dev/` with a folder a speaker, and two tables of words.

    `dev/` is for test; of the speakers of `train/` some are for validation. Recordings with a keyword that
    `keyword_times.tsv` has no times for are left out.
    """
    times: dict[str, list[WordSpan]] = {}
    for row in read_table(folder / "keyword_times.tsv"):
        word = WordSpan(row["word"], float(row["start_s"]), float(row["end_s"]), "inside")
        times.setdefault(row["file"], []).append(word)
    timed = {word.word for words in times.values() for word in words}
    texts = {row["file"]: tuple(row["text"].lower().split()) for row in read_table(folder / "transcripts.tsv")}
    files = [
        file
        for file, text in sorted(texts.items())
        if split in (None, split_of_speech(file)) and not (set(keywords) - timed) & set(text)
    ]
    with ThreadPoolExecutor() as pool:
        for file, samples in zip(files, pool.map(lambda file: read_audio(folder / file), files), strict=True):
            inside = sorted((w for w in times.get(file, ()) if w.word in keywords), key=lambda word: word.start_s)
            whole = WordSpan(file, 0.0, len(samples) / SAMPLE_RATE, "speech")
            yield Utterance(faded(as_int16(samples * gain_to_loudness(samples))), (whole, *inside), texts[file])


def read_table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise sc.DatasetError(f"{path}: expected the words of running speech, tab-separated, found no such file")
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def split_of_speech(file: str) -> str:
    """The split of a recording PART/SPEAKER/NAME, by speaker."""
    part, speaker, *_ = Path(file).parts
    if part != "train":
        return "test"
    return "validation" if sc.percent_of(speaker) < VALIDATION_SPEAKERS else "train"


def gain_to_loudness(samples: Floats) -> float:
    return LOUDNESS / max(1e-5, float(np.sqrt(np.square(samples).mean())))


def as_int16(samples: Floats) -> Int16s:
    return (samples.clip(-1, 1) * 32767).astype(np.int16)


def faded(samples: Int16s) -> Int16s:
    """The samples with a short rise and fall, so that a cut makes no click."""
    ramp = np.minimum(1, np.arange(1, len(samples) + 1) / FADE)
    return (samples * ramp * ramp[::-1]).astype(np.int16)
