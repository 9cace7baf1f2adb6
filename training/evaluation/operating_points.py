"""Accuracy against decision time over thresholds, and the thresholds of a model's speeds chosen from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from service.spotting.metadata import Metadata
from service.spotting.model import Model
from training.evaluation.clips import ScoredClip, decide, measure
from training.records import Record

THRESHOLDS = tuple(round(float(x), 3) for x in [*np.arange(0.2, 0.7, 0.05), *np.arange(0.7, 0.995, 0.01), 0.995, 0.999])
SPEED_FALSE_SHARES = {"fast": 0.02, "balanced": 0.008, "accurate": 0.003}  # shares of other clips that may fire a label
SPEED_LIMITS_S = {"fast": 0.55, "balanced": 0.66, "accurate": 1.0}  # largest mean decision times, on validation
OTHER_THRESHOLDS = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995)  # for labels that are not keywords, beside each of THRESHOLDS
MIN_CLIPS, MIN_OTHERS = 20, 100  # minimum clips per keyword, and of all else; with fewer nothing is chosen
FIXED_THRESHOLDS = {"fast": 0.8, "balanced": 0.9, "accurate": 0.97}  # thresholds of speeds that are not chosen

Speeds = dict[str, dict[str, dict[str, float]]]  # speed -> mode -> label -> threshold


@dataclass(frozen=True)
class TimedAccuracy(Record):
    decision_time_s: float  # mean
    accuracy: float


@dataclass(frozen=True)
class OperatingPoint(TimedAccuracy):
    """The accuracy of a model at one threshold."""

    threshold: float


@dataclass(frozen=True)
class UtterancePoint(OperatingPoint):
    """The accuracy of a model at a threshold for keywords and one for other labels."""

    other_threshold: float

    def thresholds(self, meta: Metadata) -> dict[str, float]:
        """By label."""
        return dict.fromkeys(meta.labels, self.other_threshold) | dict.fromkeys(meta.keywords, self.threshold)


def accuracy_curve(model: Model, clips: Sequence[ScoredClip]) -> list[OperatingPoint]:
    """One point per threshold, fastest first."""
    points = []
    for threshold in THRESHOLDS:
        metrics = measure(clips, decide(model, clips, threshold))
        points.append(OperatingPoint(metrics.decision_time_s.mean, metrics.accuracy, threshold))
    return points


def utterance_points(model: Model, clips: Sequence[ScoredClip]) -> Iterator[UtterancePoint]:
    """One point for each pair of a keyword's threshold and one of other labels: these need more audio to be sure of."""
    for threshold, other in product(THRESHOLDS, OTHER_THRESHOLDS):
        point = UtterancePoint(0.0, 0.0, threshold, other)
        metrics = measure(clips, decide(model, clips, point.thresholds(model.metadata)))
        yield replace(point, decision_time_s=metrics.decision_time_s.mean, accuracy=metrics.accuracy)


def choose_speeds(model: Model, clips: Sequence[ScoredClip]) -> Speeds:
    """Thresholds of every speed.

    An utterance ends with an answer whatever its scores: the two thresholds that are most accurate within the speed's
    mean decision time. A continuous stream fires on a crossing and on nothing else: for each keyword the lowest
    threshold at which no more than the speed's share of all other clips fire it.
    """
    meta, speeds = model.metadata, {}
    points = sorted(utterance_points(model, clips), key=lambda point: point.decision_time_s)
    for speed, limit_s in SPEED_LIMITS_S.items():
        quiet = {keyword: lowest_quiet(model, clips, keyword, SPEED_FALSE_SHARES[speed]) for keyword in meta.keywords}
        speeds[speed] = {
            "utterance": most_accurate(points, limit_s).thresholds(meta),
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


def most_accurate(points: Sequence[UtterancePoint], seconds: float) -> UtterancePoint:
    """The most accurate point, of these fastest first, within a mean decision time; the first if none is within it."""
    within = [point for point in points if point.decision_time_s <= seconds] or [points[0]]
    return max(within, key=lambda point: point.accuracy)


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
