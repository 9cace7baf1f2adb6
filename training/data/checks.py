"""What to mend in recordings before a model is trained on them: one line per fault, with what to do.

Faults in names and numbers, and faults in the sound. Knows nothing of training.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from service.spotting.audio import Samples
from service.spotting.files import SUFFIXES
from training.data.corpus import Utterance
from training.data.recordings import BACKGROUND, WordClip, all_clips, speakers, split_of

MIN_CLIPS, MIN_SPEAKERS = 50, 10  # minimum numbers of clips and of speakers per keyword
SAME_LETTERS = 2  # two words that begin with as many equal letters are taken to sound alike
CLIPPED, CLIPPED_SHARE = 0.99, 1e-3  # level, and share of samples that reach it in a clipped recording
QUIET = 0.01  # peak of a recording that is nearly silent
LONG_S, LONG_SHARE = 0.95, 0.2  # length of a long word, and share of recordings that may reach it


def by_name(folder: Path, keywords: Sequence[str], has_background: bool) -> Iterator[str]:
    """Faults in file and folder names; no file is opened."""
    clips = list(all_clips(folder))
    for keyword in keywords:
        yield from too_few([clip for clip in clips if clip.word == keyword], keyword)
    if any(clip.word in keywords and not clip.speaker for clip in clips):
        yield "names contain no speaker: name files SPEAKER_nohash_TAKE, so that nobody is both trained and measured on"
    others = sorted({clip.word for clip in clips} - set(keywords))
    if not others:
        yield "no other words: put recordings of words that are not keywords into folders beside the keywords'"
    if not has_background:
        yield f"no background to train with: put some minutes of your rooms' noise into {BACKGROUND}, in some files"
    yield from alike(keywords, others)
    yield from unread(folder)


def too_few(clips: Sequence[WordClip], keyword: str) -> Iterator[str]:
    count = speakers(clips)
    if len(clips) < MIN_CLIPS or 0 < count < MIN_SPEAKERS:
        yield (
            f"{keyword}: {len(clips)} recordings by {count or 'unnamed'} speakers; "
            f"record at least {MIN_CLIPS} by {MIN_SPEAKERS}"
        )
    if not any(split_of(clip.path.name) == "test" for clip in clips):
        yield f"{keyword}: no recording falls to the test split; evaluate with --split validation, or record more"


def alike(keywords: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """Words that begin with the same letters: a crude test, as it is the sound that counts."""
    for i, keyword in enumerate(keywords):
        beginning = keyword[:SAME_LETTERS]
        same = [word for word in (*keywords[i + 1 :], *others) if word.startswith(beginning)]
        if same:
            yield (
                f"{keyword} begins like {', '.join(same)} (by spelling alone); if they sound alike, "
                "early answers will mix them up: take another word, or the speed accurate"
            )


def unread(folder: Path) -> Iterator[str]:
    files = sorted(p for d in folder.iterdir() if d.is_dir() and not d.name.startswith(".") for p in d.iterdir())
    endings = Counter(p.suffix for p in files if p.is_file() and p.suffix.lower() not in SUFFIXES)
    for ending, count in endings.items():
        if ending and ending not in (".md", ".txt"):
            yield f"{count} *{ending} files are not read: convert them to wav"


def by_sound(clips: Sequence[WordClip], samples: Sequence[Samples]) -> Iterator[str]:
    """Faults in the sound of the recordings."""
    faults: dict[str, list[str]] = {}
    first: dict[int, str] = {}
    for clip, audio in zip(clips, samples, strict=True):
        name, level = f"{clip.word}/{clip.path.name}", np.abs(audio)
        if (level >= CLIPPED).mean() > CLIPPED_SHARE:
            faults.setdefault("clipped: lower the gain of the microphone", []).append(name)
        if level.max() < QUIET:
            faults.setdefault("nearly silent: speak closer to the microphone", []).append(name)
        if (original := first.setdefault(hash(audio.tobytes()), name)) != name:
            faults.setdefault("copies: keep one of each, or test clips will be known from training", []).append(
                f"{name} of {original}"
            )
    for what, names in faults.items():
        yield f"{len(names)} recordings are {what} ({names[0]})"


def by_length(words: Mapping[str, Sequence[Utterance]], keywords: Sequence[str]) -> Iterator[str]:
    """Keywords that may not fit in a clip."""
    for keyword in keywords:
        lengths = [spoken.words[0].end_s - spoken.words[0].start_s for spoken in words[keyword]]
        if (long := sum(length > LONG_S for length in lengths)) > LONG_SHARE * len(lengths):
            yield f"{keyword}: {long} of {len(lengths)} recordings last a whole second: a word must fit in one"
