"""All figures of a model on the clips of a split: what `rc-train evaluate` measures without streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field

from service.spotting.audio import Samples
from service.spotting.metadata import SILENCE
from service.spotting.model import Model
from training.data.labels import Labels
from training.data.recordings import BACKGROUND, CLIP, read_recordings, read_split, speakers
from training.data.speech_commands import SEPARATE_WORDS
from training.evaluation.clips import (
    Confusion,
    DecisionTimes,
    LabelMetrics,
    confusion,
    decide,
    measure,
    per_label,
    score_clips,
)
from training.evaluation.operating_points import OperatingPoint, accuracy_curve
from training.records import Record


@dataclass(frozen=True)
class SpeedMetrics(Record):
    """What clips come to at the thresholds of a speed."""

    threshold: float  # threshold of keywords
    other_threshold: float
    clips: int
    accuracy: float
    decision_time_s: DecisionTimes
    crossed: float


@dataclass(frozen=True)
class MeasuredClips(Record):
    """What was measured on."""

    name: str
    split: str
    clips: int
    speakers: int
    refused: list[str]


@dataclass(frozen=True)
class ClipFigures(Record):
    speeds: dict[str, SpeedMetrics]
    labels: dict[str, LabelMetrics]  # at speed `balanced`, as are the confusions
    confusion: Confusion
    curve: list[OperatingPoint]
    separate: Annotated[dict[str, Confusion], Field(validation_alias=AliasChoices("separate", "apart"))]


@dataclass(frozen=True)
class ClipReport(ClipFigures):
    model: str
    sha256: str
    data: MeasuredClips


def evaluate_folder(model: Model, folder: Path, split: str) -> ClipReport:
    """Figures of a model on a split of a folder in the data set's layout, with what was measured on."""
    clips = read_split(folder, split)
    background = read_recordings([folder / BACKGROUND])
    figures = evaluate(
        model, clips.samples, clips.words, [clip for recording in background for clip in whole_clips(recording)]
    )
    return ClipReport(
        **vars(figures),
        model=model.metadata.name,
        sha256=model.sha256,
        data=MeasuredClips(folder.name, split, len(clips.clips), speakers(clips.clips), clips.refused),
    )


def whole_clips(recording: Samples) -> list[Samples]:
    """A long recording cut into clips of one second."""
    return [recording[i : i + CLIP] for i in range(0, len(recording) - CLIP + 1, CLIP)]


def evaluate(model: Model, clips: Sequence[Samples], words: Sequence[str], noise: Sequence[Samples]) -> ClipFigures:
    """All figures of a model on the clips of a split; SEPARATE_WORDS and silence are counted separately.

    `noise`: clips [samples] without speech.
    """
    labels = Labels(model.metadata.keywords)
    separate_words = SEPARATE_WORDS - set(labels.keywords)
    all_clips = score_clips(model, clips, [labels.name(word) for word in words])
    is_separate = [word in separate_words for word in words]
    scored = [clip for clip, separate in zip(all_clips, is_separate, strict=True) if not separate]
    separate = {
        ", ".join(sorted(separate_words, reverse=True)): list(compress(all_clips, is_separate)),
        "silence": score_clips(model, noise, [SILENCE] * len(noise)),
    }
    thresholds = {speed: modes["utterance"] for speed, modes in model.metadata.speeds.items()}
    answers = {speed: decide(model, scored, by_label) for speed, by_label in thresholds.items()}
    return ClipFigures(
        speeds={
            speed: SpeedMetrics(
                by_label[labels.keywords[0]], by_label[SILENCE], **vars(measure(scored, answers[speed]))
            )
            for speed, by_label in thresholds.items()
        },
        labels=per_label(scored, answers["balanced"]),
        confusion=confusion(scored, answers["balanced"]),
        curve=accuracy_curve(model, scored),
        separate={
            name: confusion(some, decide(model, some, thresholds["balanced"]))
            for name, some in separate.items()
            if some
        },
    )
