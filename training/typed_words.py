"""From a typed word to a model: spoken, laid out with real recordings, trained, exported, measured.

Connects `training.speak` with the recipe that all models are trained by. Owns the layout of the run's folder.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from service.spotting.model import Model
from training.data.captures import read_review, write_captures
from training.data.links import link
from training.data.plain_noise import write_plain_noise
from training.data.recordings import (
    BACKGROUND,
    DatasetError,
    WordClip,
    all_clips,
    percent_of,
    read_recordings,
    split_of,
)
from training.data.sources import SYNTHETIC_VOICES, DataSources
from training.evaluation.clip_report import evaluate_folder
from training.evaluation.streams import evaluate_sources
from training.learning.settings import TrainingMethod
from training.recipe import Recipe, train_and_export
from training.reports.model_card import write_model_files
from training.reports.model_report import ModelReport
from training.reports.provenance import Provenance
from training.speak.near_words import is_apart
from training.speak.plan import SPEECH, SpeakRequest
from training.speak.pronunciation import pronounce
from training.speak.voices import SPLITS

WORDS, DATA = "words", "data"  # folders of a run: what was spoken; links to all that it is trained on
REAL_OTHERS = 60  # recordings of each other word that are taken from --data-dir
TEST_HOURS = 0.5  # length of each stream that the card is measured on

Speak = Callable[[SpeakRequest, Path], object]  # writes what a request asks for into a folder


@dataclass(frozen=True)
class TypedWords:
    """What `rc-train speech --say` is asked for."""

    request: SpeakRequest
    negatives: Path | None = None  # real recordings of other words
    recordings: Path | None = None  # real recordings of the words
    captures: Path | None = None
    noise: tuple[Path, ...] = ()
    rooms: tuple[Path, ...] = ()
    speech: tuple[Path, ...] = ()
    recipe: Recipe = field(default_factory=lambda: Recipe(()))


def train_typed_words(
    asked: TypedWords, speak: Speak, engine: str, device: str, out: Path, measured: Provenance
) -> None:
    """`rc-train speech --say`: all of it in the folder `out`; a second call continues where the first stopped."""
    print(f"1 of 4: {', '.join(asked.request.words)} by synthetic voices, and what must not be taken for them")
    speak(asked.request, out / WORDS)
    real = lay_out(asked, out)
    about = f"{SYNTHETIC_VOICES} ({engine}), {real} real recordings of the keywords"
    sources = DataSources(out / DATA, asked.noise, asked.rooms, (out / WORDS / SPEECH, *asked.speech), about)
    recipe = replace(asked.recipe, keywords=asked.request.words, method=TrainingMethod.STREAMS)
    print("2 of 4: training, and 3: thresholds chosen on held-out voices and on speech without the words")
    train_and_export(sources, recipe, device, (out / "last.pt").is_file(), out)
    print("4 of 4: measuring")
    model = Model(out)
    clips = evaluate_folder(model, out / DATA, "test")
    streams = evaluate_sources(model, sources, "test", TEST_HOURS)
    report = ModelReport(**vars(clips), measured=measured, streams=streams)
    write_model_files(model.metadata, report, out)


def lay_out(asked: TypedWords, out: Path) -> int:
    """Links to everything in `out`/data; returns the number of real recordings of the keywords."""
    data, words = out / DATA, asked.request.words
    for clip in all_clips(out / WORDS):
        link(clip.path, data / clip.word / clip.path.name)
    real = 0
    for clip in real_clips(asked.recordings, words) if asked.recordings else ():
        link(clip.path, data / clip.word / clip.path.name)
        real += clip.word in words
    if asked.captures:
        reviewed = read_review(asked.captures, words)
        write_captures(reviewed, data)
        real += sum(clip.is_right for clip in reviewed)
    for clip in other_clips(asked.negatives, asked.request) if asked.negatives else ():
        link(clip.path, data / clip.word / clip.path.name)
    for folder in (asked.recordings, asked.negatives):
        for path in sorted((folder / BACKGROUND).glob("*")) if folder else ():
            link(path, data / BACKGROUND / path.name)
    for split in SPLITS:
        if not read_recordings([data / BACKGROUND, *asked.noise], split):
            write_plain_noise(data / BACKGROUND, split)
    return real


def real_clips(folder: Path, words: Sequence[str]) -> list[WordClip]:
    """The recordings of a user. Raises DatasetError where there are none of any keyword.

    A folder may be named with underscores for spaces.
    """
    named = {word.replace(" ", "_"): word for word in words}
    clips = [replace(clip, word=named.get(clip.word, clip.word)) for clip in all_clips(folder)]
    if not {clip.word for clip in clips} & set(words):
        expected = " or ".join(str(folder / word) for word in words)
        raise DatasetError(f"--recordings: expected recordings in {expected}, found none")
    return clips


def other_clips(folder: Path, request: SpeakRequest) -> Iterator[WordClip]:
    """Some real recordings of every word that is not a keyword and sounds like none."""
    forbidden = [pronounce(text) for text in request.keyword_texts]
    by_word: dict[str, list[WordClip]] = {}
    for clip in all_clips(folder):
        by_word.setdefault(clip.word, []).append(clip)
    for word, clips in by_word.items():
        if word in request.words:
            print(f"{word}: {folder} has {len(clips)} recordings; --recordings {folder} trains on them")
        elif is_apart(word.replace("_", " "), forbidden):
            yield from evenly_split(clips)


def evenly_split(clips: Sequence[WordClip]) -> Iterator[WordClip]:
    """The same REAL_OTHERS recordings of a word every time: half for training, a quarter each for the other splits."""
    ordered = sorted(clips, key=lambda clip: percent_of(clip.path.name))
    for split, share in (("train", 0.5), ("validation", 0.25), ("test", 0.25)):
        yield from [clip for clip in ordered if split_of(clip.path.name) == split][: round(share * REAL_OTHERS)]
