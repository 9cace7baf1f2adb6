"""What a server kept with --capture-dir, and what a person says of it in review.csv.

Confirmed clips are recordings of their keyword; wrong ones are of another word. Knows nothing of training.
"""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from service.spotting.files import read_audio
from training.data.recordings import SPEAKER_ENDS, DatasetError
from training.model.frontend import SAMPLE_RATE

REVIEW = "review.csv"
COLUMNS = ("file", "label", "kind", "score", "time", "answer")
RIGHT, WRONG = "yes", "no"
BEFORE_S, AFTER_S = 1.1, 0.3  # of the decision, within which the word is


@dataclass(frozen=True)
class ReviewedClip:
    """A clip and whether its label was spoken in it."""

    path: Path
    label: str
    session: str
    frame: int
    decided_s: float  # into the clip
    is_right: bool


def write_review(folder: Path) -> Counter[str]:
    """List the clips of a folder that review.csv lacks, answers kept; returns how often each answer is in it."""
    answered = {row["file"]: row for row in read_rows(folder / REVIEW)}
    clips = sorted(path.with_suffix(".wav").name for path in folder.glob("*.json"))
    if not clips:
        raise DatasetError(f"{folder}: expected clips of rc-serve --capture-dir, found none")
    rows = [answered.get(name) or new_row(folder, name) for name in clips]
    with (folder / REVIEW).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return Counter(row["answer"].strip().lower() for row in rows)


def new_row(folder: Path, name: str) -> dict[str, str]:
    facts = read_facts(folder / name)
    values = (name, facts["label"], facts["kind"], f"{float(facts['score']):.2f}", facts["time"], "")
    return dict(zip(COLUMNS, values, strict=True))


def read_review(folder: Path, keywords: Sequence[str]) -> list[ReviewedClip]:
    """The answered clips of some keywords. Raises DatasetError for another answer than yes, no or nothing."""
    path = folder / REVIEW
    if not path.is_file():
        raise DatasetError(
            f"{path}: expected the answers about captured clips, found none: run rc-train review {folder}"
        )
    clips = []
    for row in read_rows(path):
        answer = row["answer"].strip().lower()
        if answer not in (RIGHT, WRONG, ""):
            raise DatasetError(f"{path}: {row['file']}: expected {RIGHT}, {WRONG} or nothing, got {row['answer']!r}")
        wav = folder / Path(row["file"]).name
        if answer and row["label"] in keywords:
            facts = read_facts(wav)
            place = str(facts["session"]), int(facts["frame"]), float(facts["decided_s"])
            clips.append(ReviewedClip(wav, row["label"], *place, is_right=answer == RIGHT))
    return clips


def read_rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if any(row.get(column) is None for row in rows for column in COLUMNS):
        raise DatasetError(f"{path}: expected the columns {', '.join(COLUMNS)}, got {list(rows[0])}")
    return rows


def read_facts(wav: Path) -> dict[str, str]:
    """The JSON beside a clip."""
    path = wav.with_suffix(".json")
    try:
        facts: dict[str, str] = json.loads(path.read_text())
        _ = [facts[name] for name in ("label", "kind", "score", "time", "session", "frame", "decided_s")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: expected the JSON of a captured clip, got none: {error!r}") from error
    return facts


def write_captures(clips: Sequence[ReviewedClip], folder: Path) -> None:
    """The part of each clip with the word, below `folder`: in its keyword's folder, or in one of what is not it."""
    for clip in clips:
        samples = read_audio(clip.path)
        start = max(0, round((clip.decided_s - BEFORE_S) * SAMPLE_RATE))
        part = samples[start : round((clip.decided_s + AFTER_S) * SAMPLE_RATE)]
        word = clip.label if clip.is_right else f"not {clip.label}"
        path = folder / word / f"{clip.session}{SPEAKER_ENDS}{clip.path.stem}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, part, SAMPLE_RATE, subtype="PCM_16")
