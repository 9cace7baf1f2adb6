"""Folders of links to some clips of a data set: as many of each word as a study wants to train on."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from training.data.links import link
from training.data.recordings import (
    BACKGROUND,
    SPEAKER_ENDS,
    TEST,
    VALIDATION,
    WordClip,
    all_clips,
    find_clips,
    percent_of,
    split_of,
)
from training.speak.voices import speaker_name

SCARCE = 50  # clips of a word; of fewer all are tested on


def link_clips(folder: Path, words: Sequence[str], size: int, out: Path, others: int | None = None) -> Path:
    """A folder of links: `size` clips of each word, about as many of other words, background, and all test clips.

    `others` is the number of clips of each other word in place of that; words with fewer than SCARCE clips then have
    all of them among the test clips.
    """
    counts = Counter(clip.word for clip in all_clips(folder))
    scarce = {word for word in words if others and counts[word] < SCARCE}
    validation = max(1, round(size * VALIDATION / (100 - TEST))) if size else 0
    for split, count in (("train", size - validation), ("validation", validation), ("test", None)):
        of_split = [clip for clip in find_clips(folder, split) if split == "test" or clip.word not in scarce]
        for clip in select_clips(of_split, words, count, None if split == "test" else others):
            link(clip.path, out / clip.word / clip.path.name)
    for clip in all_clips(folder):
        if clip.word in scarce and split_of(clip.path.name) != "test":
            _, _, take = clip.path.name.partition(SPEAKER_ENDS)
            link(clip.path, out / clip.word / f"{speaker_name(clip.speaker, 'test')}{SPEAKER_ENDS}{take}")
    for path in (folder / BACKGROUND).glob("*"):
        link(path, out / BACKGROUND / path.name)
    return out


def select_clips(
    clips: Sequence[WordClip], words: Sequence[str], count: int | None, others: int | None = None
) -> list[WordClip]:
    """The same `count` clips of each word every time (None: all); the other words share as many, or have `others`."""
    ordered = sorted(clips, key=lambda clip: percent_of(clip.path.name))
    by_word = {word: [clip for clip in ordered if clip.word == word] for word in {clip.word for clip in clips}}
    own = {word: of_word[:count] for word, of_word in by_word.items() if word in words}
    per_other = others or math.ceil(sum(map(len, own.values())) / max(1, len(by_word) - len(own)))
    return [clip for word, of_word in by_word.items() for clip in own.get(word, of_word[:per_other])]
