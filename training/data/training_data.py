"""All that one model is trained with: clips of two splits as tensors, noise, rooms, and the corpus of its streams.

Owns the messages on what is missing or wrong in the data. Knows nothing of networks.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.data import checks
from training.data.corpus import Corpus, as_int16, corpus_of, equally_loud, group_by_word, read_all_speech
from training.data.labels import Labels
from training.data.recordings import (
    BACKGROUND,
    CLIP,
    DatasetError,
    LoadedClips,
    direct_sound_first,
    padded,
    read_recordings,
    read_split,
)
from training.data.sources import DataSources
from training.model.frontend import SAMPLE_RATE

MIN_NOISE_S = 10  # streams of training must fit in


class ClipSet(NamedTuple):
    """Clips of one split: int16 samples [clips, samples], label indices [clips]."""

    samples: Tensor
    targets: Tensor


class TrainingData(NamedTuple):
    about: str  # what the data are, for facts and model cards
    train: ClipSet
    validation: ClipSet
    noise: Tensor  # float16 samples [n]
    rooms: Tensor  # impulse responses [rooms, taps]
    corpus: Corpus  # what streams are composed of


def load_training_data(sources: DataSources, labels: Labels) -> TrainingData:
    """Read everything and build it. Prints what is wrong with the recordings."""
    return build_training_data(sources, labels, *read_training_splits(sources, labels))


def read_training_splits(sources: DataSources, labels: Labels) -> tuple[LoadedClips, LoadedClips]:
    """Training and validation clips, each decoded once. Prints what was refused; raises DatasetError for gaps."""
    train, validation = (read_split(sources.recordings, split) for split in ("train", "validation"))
    for line in [*train.refused, *validation.refused]:
        print("refused", line)
    check_no_gaps(sources.recordings, labels, {"train": train, "validation": validation})
    return train, validation


def build_training_data(
    sources: DataSources, labels: Labels, train: LoadedClips, validation: LoadedClips
) -> TrainingData:
    """Clips, noise, rooms and running speech. Prints what is wrong with them."""
    backgrounds = read_recordings([sources.recordings / BACKGROUND, *sources.noise], "train")
    noise = equally_loud(backgrounds) if backgrounds else np.zeros(2 * CLIP, np.float32)
    noise = np.resize(noise, max(len(noise), MIN_NOISE_S * SAMPLE_RATE))
    responses = [direct_sound_first(response) for response in read_recordings(sources.rooms, "train")]
    rooms = np.stack(responses or [direct_sound_first(np.ones(1, np.float32))])
    words = group_by_word(train, labels)
    warn(checks.by_name(sources.recordings, labels.keywords, bool(backgrounds)))
    warn(checks.by_sound([*train.clips, *validation.clips], [*train.samples, *validation.samples]))
    warn(checks.by_length(words, labels.keywords))
    speech = list(read_all_speech(sources, labels, "train"))
    corpus = corpus_of(words, labels, speech, noise, rooms)
    about = (
        f"{sources.about or sources.recordings.name}: {train.describe('train')}, {validation.describe('validation')}, "
        f"{len(backgrounds)} background recordings, {len(responses)} room responses, "
        f"{corpus.speech_s / 60:.0f} minutes of running speech"
    )
    print(about)
    return TrainingData(
        about,
        clip_set(train, labels),
        clip_set(validation, labels),
        torch.from_numpy(noise).half(),
        torch.from_numpy(rooms),
        corpus,
    )


def warn(lines: Iterable[str]) -> None:
    for line in lines:
        print("warning:", line)


def check_no_gaps(folder: Path, labels: Labels, splits: dict[str, LoadedClips]) -> None:
    """Raise DatasetError that names every keyword without clips in a split."""
    gaps = {split: sorted(set(labels.keywords) - set(clips.words)) for split, clips in splits.items()}
    if missing := ", ".join(f"none of {words} for {split}" for split, words in gaps.items() if words):
        raise DatasetError(
            f"{folder}: expected recordings of every keyword, found {missing}; a tenth of the speakers (of the "
            "recordings, where names contain no SPEAKER_nohash_) is for validation: record more"
        )


def clip_set(clips: LoadedClips, labels: Labels) -> ClipSet:
    targets = torch.tensor([labels.index(word) for word in clips.words])
    return ClipSet(torch.from_numpy(as_int16(padded(clips.samples))), targets)
