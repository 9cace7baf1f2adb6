"""Accuracy and decision time of an exported model on clips, through the service's own code.

Every figure comes from `service.spotting.classify` and `service.spotting.decision`; nothing here scores
audio or decides by itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.spotting.classify import classify
from service.spotting.decision import DecisionSettings, UtteranceDecider
from service.spotting.model import Model
from training.data import recordings as sc

Floats = NDArray[np.float32]
THRESHOLDS = tuple(round(float(x), 3) for x in [*np.arange(0.2, 0.7, 0.05), *np.arange(0.7, 0.995, 0.01), 0.995, 0.999])
FASTEST, SLOWEST = 0.3, 0.9  # seconds: the range of mean decision times in which methods are compared
Speeds = dict[str, dict[str, dict[str, float]]]  # speed -> mode -> label -> threshold
SPEED_FALSE_SHARES = {"fast": 0.02, "balanced": 0.008, "accurate": 0.003}  # of other clips that may fire a keyword
SPEED_LIMITS_S = {"fast": 0.55, "balanced": 0.66, "accurate": 1.0}  # mean decision time a speed may take, validation
LEAST_CLIPS, LEAST_OTHERS = 20, 100  # of each keyword, and of all else; with fewer nothing is chosen on validation
FIXED_THRESHOLDS = {"fast": 0.8, "balanced": 0.9, "accurate": 0.97}  # of speeds that are not chosen


class Heard(NamedTuple):
    """One clip as the model heard it."""

    target: str
    scores: Floats  # [frames, labels]
    duration_s: float


class Answer(NamedTuple):
    label: str
    decision_time_s: float
    crossed: bool


def hear(model: Model, clips: Sequence[Floats], targets: Sequence[str]) -> list[Heard]:
    """Scores of every frame of every clip [samples at 16 kHz], each from a fresh stream."""
    results = classify(model, [(str(i), clip) for i, clip in enumerate(clips)], trace=True)
    return [
        Heard(target, np.array(list(result["trace"].values()), np.float32).T, result["duration_s"])
        for target, result in zip(targets, results, strict=True)
    ]


def decide(model: Model, heard: Sequence[Heard], thresholds: dict[str, float] | float) -> list[Answer]:
    """What the service answers on each clip at some thresholds, in utterance mode."""
    meta = model.metadata
    each = thresholds if isinstance(thresholds, dict) else dict.fromkeys(meta.labels, thresholds)
    rule = DecisionSettings(
        np.array([each[label] for label in meta.labels], np.float32), np.ones(len(meta.labels), np.bool_)
    )
    answers = []
    for clip in heard:
        decision = UtteranceDecider(rule)
        hit = (decision.push(clip.scores) or decision.finish())[0]
        seconds = min((hit.frame + 1) * meta.hop / meta.sample_rate, clip.duration_s)
        answers.append(Answer(meta.labels[hit.label], seconds, hit.crossed))
    return answers


def measure(heard: Sequence[Heard], answers: Sequence[Answer]) -> dict[str, Any]:
    """Accuracy, decision time (look-ahead included) and share crossed of some answers."""
    times = np.array([answer.decision_time_s for answer in answers])
    right = np.mean([answer.label == clip.target for answer, clip in zip(answers, heard, strict=True)])
    percentiles = {f"p{p}": round(float(np.percentile(times, p)), 3) for p in (10, 50, 90)}
    return {
        "clips": len(heard),
        "accuracy": round(float(right), 4),
        "decision_time_s": {"mean": round(float(times.mean()), 4), **percentiles},
        "crossed": round(float(np.mean([answer.crossed for answer in answers])), 4),
    }


def curve(model: Model, heard: Sequence[Heard]) -> list[dict[str, float]]:
    """Accuracy against mean decision time, one point a threshold, fastest first."""
    points = []
    for threshold in THRESHOLDS:
        found = measure(heard, decide(model, heard, threshold))
        time = found["decision_time_s"]["mean"]
        points.append({"threshold": threshold, "decision_time_s": time, "accuracy": found["accuracy"]})
    return points


def choose_speeds(model: Model, heard: Sequence[Heard], points: Sequence[dict[str, float]]) -> Speeds:
    """Thresholds of every speed.

    An utterance ends with an answer whatever its scores: the one threshold that is most accurate within the speed's
    mean decision time. A continuous stream fires on what crosses and nothing else: for each keyword the lowest
    threshold at which no more than the speed's share of all other clips fire it.
    """
    meta, speeds = model.metadata, {}
    for speed, limit_s in SPEED_LIMITS_S.items():
        quiet = {keyword: lowest_quiet(model, heard, keyword, SPEED_FALSE_SHARES[speed]) for keyword in meta.keywords}
        speeds[speed] = {
            "utterance": dict.fromkeys(meta.labels, most_accurate(points, limit_s)),
            "continuous": dict.fromkeys(meta.labels, 1.0) | quiet,
        }
    return speeds


def enough_to_choose_on(targets: Sequence[str], keywords: Sequence[str]) -> bool:
    counts = [targets.count(keyword) for keyword in keywords]
    return all(count >= LEAST_CLIPS and len(targets) - count >= LEAST_OTHERS for count in counts)


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


def most_accurate(points: Sequence[dict[str, float]], seconds: float) -> float:
    """The threshold of the most accurate point of a curve within a mean decision time; the fastest if none is."""
    within = [point for point in points if point["decision_time_s"] <= seconds] or [points[0]]
    return max(within, key=lambda point: point["accuracy"])["threshold"]


def lowest_quiet(model: Model, heard: Sequence[Heard], keyword: str, share: float) -> float:
    """The lowest threshold at which at most `share` of the clips that are not `keyword` fire it."""
    column = model.metadata.labels.index(keyword)
    others = [clip.scores[:, column].max() for clip in heard if clip.target != keyword]
    quiet = [threshold for threshold in THRESHOLDS if sum(s >= threshold for s in others) <= share * len(others)]
    return quiet[0] if quiet else THRESHOLDS[-1]


def confusion(heard: Sequence[Heard], answers: Sequence[Answer]) -> dict[str, dict[str, int]]:
    """target → answered label → clips."""
    table: dict[str, dict[str, int]] = {}
    for clip, answer in zip(heard, answers, strict=True):
        row = table.setdefault(clip.target, {})
        row[answer.label] = row.get(answer.label, 0) + 1
    return table


def per_label(heard: Sequence[Heard], answers: Sequence[Answer]) -> dict[str, dict[str, float]]:
    """Clips, recall, precision and median decision time of each target."""
    found = {}
    for label in dict.fromkeys(clip.target for clip in heard):
        said = [answer for answer in answers if answer.label == label]
        own = [answer for clip, answer in zip(heard, answers, strict=True) if clip.target == label]
        hits = sum(answer.label == label for answer in own)
        found[label] = {
            "clips": len(own),
            "recall": round(hits / len(own), 4),
            "precision": round(hits / max(1, len(said)), 4),
            "decision_time_p50_s": round(float(np.median([answer.decision_time_s for answer in own])), 3),
        }
    return found


def evaluate_folder(model: Model, folder: Path, split: str) -> dict[str, Any]:
    """Figures of a model on a split of a folder in the data set's layout, with what was measured on."""
    clips, samples, refused = sc.read_clips(sc.find_clips(folder, split))
    background = sc.read_recordings([folder / sc.BACKGROUND])
    noise = [piece for recording in background for piece in whole_clips(recording)]
    return {
        "model": model.metadata.name,
        "sha256": model.sha256,
        "data": {
            "name": folder.name,
            "split": split,
            "clips": len(clips),
            "speakers": sc.speakers(clips),
            "refused": refused,
        },
        **evaluate(model, samples, [clip.word for clip in clips], noise),
    }


def whole_clips(recording: Floats) -> list[Floats]:
    """A long recording cut into clips of one second."""
    return [recording[i : i + sc.CLIP] for i in range(0, len(recording) - sc.CLIP + 1, sc.CLIP)]


def evaluate(model: Model, clips: Sequence[Floats], words: Sequence[str], noise: Sequence[Floats]) -> dict[str, Any]:
    """All figures of a model on the clips of a split; `on` and `off` and silence are counted apart.

    `noise`: clips [samples] without speech. on and off are apart because this data has too few for a keyword.
    """
    keywords = model.metadata.keywords
    apart = {"on", "off"} - set(keywords)
    targets = [word if word in keywords else sc.UNKNOWN for word in words]
    everything = hear(model, clips, targets)
    heard = [clip for clip, word in zip(everything, words, strict=True) if word not in apart]
    report: dict[str, Any] = {"speeds": {}}
    for speed, modes in model.metadata.speeds.items():
        thresholds = modes["utterance"]
        answers = decide(model, heard, thresholds)
        report["speeds"][speed] = {"threshold": max(thresholds.values()), **measure(heard, answers)}
        if speed == "balanced":
            report |= {"labels": per_label(heard, answers), "confusion": confusion(heard, answers)}
    report["curve"] = curve(model, heard)
    balanced = model.metadata.speeds["balanced"]["utterance"]
    report["apart"] = {
        name: confusion(some, decide(model, some, balanced))
        for name, some in {
            "on, off": [clip for clip, word in zip(everything, words, strict=True) if word in apart],
            "silence": hear(model, noise, [sc.SILENCE] * len(noise)),
        }.items()
        if some
    }
    return report


def accuracy_at(points: Sequence[dict[str, float]], seconds: Sequence[float]) -> list[float]:
    """Accuracy of a curve at given mean decision times, between its points by straight lines."""
    ordered = sorted(points, key=lambda point: point["decision_time_s"])
    times, values = ([point[key] for point in ordered] for key in ("decision_time_s", "accuracy"))
    return [float(value) for value in np.interp(seconds, times, values)]
