"""What to mend in recordings before a model is trained on them: a line for each fault, with what to do.

Faults in names and numbers, and faults that can be heard. Knows nothing of training.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from os.path import commonprefix
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data import recordings as sc
from training.data.corpus import Utterance

LEAST_CLIPS, LEAST_SPEAKERS = 50, 10  # of a keyword
ALIKE = 2  # letters that two words begin with
CLIPPED, CLIPPED_SHARE = 0.99, 1e-3  # level and share of the samples that reach it
QUIET = 0.01  # peak
LONG_S, LONG_SHARE = 0.95, 0.2  # length and share of the recordings that reach it

Samples = NDArray[np.float32]


def by_name(folder: Path, keywords: Sequence[str], has_background: bool) -> Iterator[str]:
    """What file and folder names tell, without opening a file."""
    clips = list(sc.all_clips(folder))
    for keyword in keywords:
        yield from too_few([clip for clip in clips if clip.word == keyword], keyword)
    if any(clip.word in keywords and not clip.speaker for clip in clips):
        yield "names tell no speaker: name files SPEAKER_nohash_TAKE, so that nobody trained on is measured on"
    others = sorted({clip.word for clip in clips} - set(keywords))
    if not others:
        yield "no other words: put recordings of what is no keyword into folders beside the keywords'"
    if not has_background:
        yield f"no background to train with: put some minutes of your rooms' noise into {sc.BACKGROUND}, in some files"
    yield from alike(keywords, others)
    yield from unread(folder)


def too_few(clips: Sequence[sc.Clip], keyword: str) -> Iterator[str]:
    speakers = sc.speakers(clips)
    if len(clips) < LEAST_CLIPS or 0 < speakers < LEAST_SPEAKERS:
        yield (
            f"{keyword}: {len(clips)} recordings by {speakers or 'unnamed'} speakers; "
            f"record at least {LEAST_CLIPS} by {LEAST_SPEAKERS}"
        )
    if not any(sc.split_of(clip.path.name) == "test" for clip in clips):
        yield f"{keyword}: no recording falls to the test split; evaluate with --split validation, or record more"


def alike(keywords: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """Words that begin with the same letters: crude, as it is the sound that counts."""
    for i, keyword in enumerate(keywords):
        same = [w for w in (*keywords[i + 1 :], *others) if len(commonprefix([keyword, w])) >= min(ALIKE, len(keyword))]
        if same:
            yield (
                f"{keyword} begins like {', '.join(same)} (by spelling alone); if they sound alike, "
                "early answers will mix them up: take another word, or the speed accurate"
            )


def unread(folder: Path) -> Iterator[str]:
    files = sorted(p for d in folder.iterdir() if d.is_dir() and not d.name.startswith(".") for p in d.iterdir())
    endings = Counter(p.suffix for p in files if p.is_file() and p.suffix.lower() not in sc.SUFFIXES)
    for ending, count in endings.items():
        if ending and ending not in (".md", ".txt"):
            yield f"{count} files *{ending} are not read: convert them to wav"


def by_sound(clips: Sequence[sc.Clip], samples: Sequence[Samples]) -> Iterator[str]:
    """What the recordings themselves tell."""
    faults: dict[str, list[str]] = {}
    first: dict[int, str] = {}
    for clip, audio in zip(clips, samples, strict=True):
        name, level = f"{clip.word}/{clip.path.name}", np.abs(audio)
        if (level >= CLIPPED).mean() > CLIPPED_SHARE:
            faults.setdefault("clipped: lower the gain of the microphone", []).append(name)
        if level.max() < QUIET:
            faults.setdefault("nearly silent: speak closer to the microphone", []).append(name)
        if (original := first.setdefault(hash(audio.tobytes()), name)) != name:
            faults.setdefault("copies: keep one of each, or measuring knows it from training", []).append(
                f"{name} of {original}"
            )
    for what, names in faults.items():
        yield f"{len(names)} recordings are {what} ({names[0]})"


def by_length(words: Mapping[str, Sequence[Utterance]], keywords: Sequence[str]) -> Iterator[str]:
    """Keywords that may not fit in a clip."""
    for keyword in keywords:
        lengths = [spoken.words[0].end_s - spoken.words[0].start_s for spoken in words[keyword]]
        if (long := sum(length > LONG_S for length in lengths)) > LONG_SHARE * len(lengths):
            yield f"{keyword}: {long} of {len(lengths)} recordings sound all through: a word must fit in a second"
