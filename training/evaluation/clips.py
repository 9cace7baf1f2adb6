"""Accuracy and decision time of an exported model on clips, through the service's own code.

All scores come from `service.spotting.classify` and all decisions from `service.spotting.decision`; nothing here
scores audio or decides on its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.spotting.audio import Samples
from service.spotting.classify import classify
from service.spotting.decision import DecisionSettings, UtteranceDecider
from service.spotting.model import Model
from training.records import Record


class ScoredClip(NamedTuple):
    target: str  # the right label
    scores: NDArray[np.float32]  # [frames, labels]
    duration_s: float


class ClipAnswer(NamedTuple):
    label: str
    decision_time_s: float
    crossed: bool


@dataclass(frozen=True)
class DecisionTimes(Record):
    """Mean and percentiles, in seconds of audio."""

    mean: float
    p10: float
    p50: float
    p90: float


@dataclass(frozen=True)
class ClipMetrics(Record):
    clips: int
    accuracy: float
    decision_time_s: DecisionTimes
    crossed: float  # share of clips with a crossing


@dataclass(frozen=True)
class LabelMetrics(Record):
    clips: int
    recall: float
    precision: float
    decision_time_p50_s: float


Confusion = dict[str, dict[str, int]]  # target -> answered label -> clips


def score_clips(model: Model, clips: Sequence[Samples], targets: Sequence[str]) -> list[ScoredClip]:
    """Scores of every frame of every clip [samples at 16 kHz], each from a new stream."""
    results = classify(model, [(str(i), clip) for i, clip in enumerate(clips)], trace=True)
    return [
        ScoredClip(target, result.trace, result.duration_s) for target, result in zip(targets, results, strict=True)
    ]


def decide(model: Model, clips: Sequence[ScoredClip], thresholds: Mapping[str, float] | float) -> list[ClipAnswer]:
    """What the service answers on each clip, in utterance mode, by one threshold or one per label."""
    meta = model.metadata
    by_label = thresholds if isinstance(thresholds, Mapping) else dict.fromkeys(meta.labels, thresholds)
    settings = DecisionSettings(
        np.array([by_label[label] for label in meta.labels], np.float32), np.ones(len(meta.labels), np.bool_)
    )
    answers = []
    for clip in clips:
        decider = UtteranceDecider(settings)
        hit = (decider.push(clip.scores) or decider.finish())[0]
        seconds = min((hit.frame + 1) * meta.hop / meta.sample_rate, clip.duration_s)
        answers.append(ClipAnswer(meta.labels[hit.label], seconds, hit.crossed))
    return answers


def measure(clips: Sequence[ScoredClip], answers: Sequence[ClipAnswer]) -> ClipMetrics:
    """Accuracy, decision time (look-ahead included) and share crossed."""
    times = np.array([answer.decision_time_s for answer in answers])
    right = np.mean([answer.label == clip.target for answer, clip in zip(answers, clips, strict=True)])
    percentiles = (round(float(np.percentile(times, p)), 3) for p in (10, 50, 90))
    return ClipMetrics(
        clips=len(clips),
        accuracy=round(float(right), 4),
        decision_time_s=DecisionTimes(round(float(times.mean()), 4), *percentiles),
        crossed=round(float(np.mean([answer.crossed for answer in answers])), 4),
    )


def confusion(clips: Sequence[ScoredClip], answers: Sequence[ClipAnswer]) -> Confusion:
    table: Confusion = {}
    for clip, answer in zip(clips, answers, strict=True):
        row = table.setdefault(clip.target, {})
        row[answer.label] = row.get(answer.label, 0) + 1
    return table


def per_label(clips: Sequence[ScoredClip], answers: Sequence[ClipAnswer]) -> dict[str, LabelMetrics]:
    """Recall, precision and median decision time of each target."""
    metrics = {}
    for label in dict.fromkeys(clip.target for clip in clips):
        answered = sum(answer.label == label for answer in answers)
        own = [answer for clip, answer in zip(clips, answers, strict=True) if clip.target == label]
        hits = sum(answer.label == label for answer in own)
        metrics[label] = LabelMetrics(
            clips=len(own),
            recall=round(hits / len(own), 4),
            precision=round(hits / max(1, answered), 4),
            decision_time_p50_s=round(float(np.median([answer.decision_time_s for answer in own])), 3),
        )
    return metrics
