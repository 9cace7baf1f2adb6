"""Accuracy against decision time over thresholds, and the thresholds of a model's speeds chosen from it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.spotting.model import Model
from training.evaluation.clips import ScoredClip, decide, measure
from training.records import Record

THRESHOLDS = tuple(round(float(x), 3) for x in [*np.arange(0.2, 0.7, 0.05), *np.arange(0.7, 0.995, 0.01), 0.995, 0.999])
SPEED_FALSE_SHARES = {"fast": 0.02, "balanced": 0.008, "accurate": 0.003}  # shares of other clips that may fire a label
SPEED_LIMITS_S = {"fast": 0.55, "balanced": 0.66, "accurate": 1.0}  # largest mean decision times, on validation
MIN_CLIPS, MIN_OTHERS = 20, 100  # minimum clips per keyword, and of all else; with fewer nothing is chosen
FIXED_THRESHOLDS = {"fast": 0.8, "balanced": 0.9, "accurate": 0.97}  # of speeds that are not chosen

Speeds = dict[str, dict[str, dict[str, float]]]  # speed -> mode -> label -> threshold


@dataclass(frozen=True)
class TimedAccuracy(Record):
    decision_time_s: float  # mean
    accuracy: float


@dataclass(frozen=True)
class OperatingPoint(TimedAccuracy):
    """The accuracy of a model at one threshold."""

    threshold: float


def accuracy_curve(model: Model, clips: Sequence[ScoredClip]) -> list[OperatingPoint]:
    """One point per threshold, fastest first."""
    points = []
    for threshold in THRESHOLDS:
        metrics = measure(clips, decide(model, clips, threshold))
        points.append(OperatingPoint(metrics.decision_time_s.mean, metrics.accuracy, threshold))
    return points


def choose_speeds(model: Model, clips: Sequence[ScoredClip], curve: Sequence[OperatingPoint]) -> Speeds:
    """Thresholds of every speed.

    An utterance ends with an answer whatever its scores: the one threshold that is most accurate within the speed's
    mean decision time. A continuous stream fires on a crossing and on nothing else: for each keyword the lowest
    threshold at which no more than the speed's share of all other clips fire it.
    """
    meta, speeds = model.metadata, {}
    for speed, limit_s in SPEED_LIMITS_S.items():
        quiet = {keyword: lowest_quiet(model, clips, keyword, SPEED_FALSE_SHARES[speed]) for keyword in meta.keywords}
        speeds[speed] = {
            "utterance": dict.fromkeys(meta.labels, most_accurate(curve, limit_s)),
            "continuous": dict.fromkeys(meta.labels, 1.0) | quiet,
        }
    return speeds


def enough_to_choose_on(targets: Sequence[str], keywords: Sequence[str]) -> bool:
    counts = [targets.count(keyword) for keyword in keywords]
    return all(count >= MIN_CLIPS and len(targets) - count >= MIN_OTHERS for count in counts)


def fixed_speeds(model: Model) -> Speeds:
    """Thresholds from the range that sequences draw theirs from in training, the same for every keyword."""
    meta = model.metadata
    return {
        speed: {
            "utterance": dict.fromkeys(meta.labels, threshold),
            "continuous": dict.fromkeys(meta.labels, 1.0) | dict.fromkeys(meta.keywords, threshold),
        }
        for speed, threshold in FIXED_THRESHOLDS.items()
    }


def most_accurate(curve: Sequence[OperatingPoint], seconds: float) -> float:
    """The threshold of the most accurate point within a mean decision time; of the fastest if none is within it."""
    within = [point for point in curve if point.decision_time_s <= seconds] or [curve[0]]
    return max(within, key=lambda point: point.accuracy).threshold


def lowest_quiet(model: Model, clips: Sequence[ScoredClip], keyword: str, share: float) -> float:
    """The lowest threshold at which at most `share` of the clips that are not `keyword` fire it."""
    column = model.metadata.labels.index(keyword)
    others = [clip.scores[:, column].max() for clip in clips if clip.target != keyword]
    quiet = [threshold for threshold in THRESHOLDS if sum(s >= threshold for s in others) <= share * len(others)]
    return quiet[0] if quiet else THRESHOLDS[-1]


def accuracy_at(curve: Sequence[TimedAccuracy], seconds: Sequence[float]) -> list[float]:
    """Accuracy at these mean decision times, between the points of a curve by straight lines."""
    ordered = sorted(curve, key=lambda point: point.decision_time_s)
    times, accuracies = [point.decision_time_s for point in ordered], [point.accuracy for point in ordered]
    return [float(value) for value in np.interp(seconds, times, accuracies)]
