"""An exported model on endless audio, through the service's own sessions and decisions.

The network hears every stream once, all of them side by side; what any thresholds make of it is decided on its scores.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from service.spotting.model import Model
from training.data.corpus import Corpus, read_material, read_speech
from training.data.endpoint_agreement import agreement
from training.data.synthetic_streams import (
    SCENE_S,
    AcousticConditions,
    MixSettings,
    Scene,
    noises,
    reading,
    scenes,
    talk,
)
from training.evaluation.matching import by_recording, figures, match_detections, misses_within, prefixes
from training.evaluation.stream_scores import Heard, detect, hear
from training.model.frontend import SAMPLE_RATE

MIXED = AcousticConditions()
CLEAN = AcousticConditions(room=0, colour_db=0, snr_db=None)
TALKS = {"mixed": MIXED, "clean": CLEAN} | {
    f"{snr} dB": replace(CLEAN, snr_db=(float(snr), float(snr))) for snr in (20, 10, 5, 0)
}
SPEECH, NOISE = "speech", "noise"  # the streams in which every detection is a false alarm
SWEPT = ("mixed", "clean", "10 dB", SPEECH, NOISE)
SCALES = tuple(float(x) for x in np.arange(-3, 10.1, 0.125))  # added to the logit of each threshold of a speed
LIMIT = 0.5  # false alarms an hour of an operating point
SPEED_FALSE_ALARMS = {"fast": 4.0, "balanced": 1.0, "accurate": 0.25}  # an hour and keyword in speech of validation
CALIBRATION_HOURS = 2.0


def streams_of(material: Corpus, hours: float, seed: int) -> dict[str, Iterator[Scene]]:
    """Every test stream: the same talk in each of TALKS, all running speech again and again, and noise."""
    rng = np.random.default_rng
    streams = {}
    for name, where in TALKS.items():
        settings = MixSettings() if where is MIXED else MixSettings(gain_db=(0, 0))  # an SNR holds for every word
        said = talk(material, settings, rng([seed, 0]))
        streams[name] = first_hours(scenes(said, where, material, rng([seed, 1])), hours)
    if material.speech:
        once_hours = sum(len(spoken.samples) for spoken in material.speech) / SAMPLE_RATE / 3600
        order = rng([seed, 2])
        read = chain.from_iterable(reading(material, order) for _ in range(math.ceil(hours / once_hours)))
        streams[SPEECH] = scenes(read, MIXED, material, rng([seed, 3]))
    streams[NOISE] = islice(noises(MIXED, material, rng([seed, 4])), math.ceil(3600 * hours / SCENE_S))
    return streams


def first_hours(stream: Iterator[Scene], hours: float) -> Iterator[Scene]:
    left = 3600 * hours * SAMPLE_RATE
    while left > 0:
        scene = next(stream)
        left -= len(scene.samples)
        yield scene


def measure(model: Model, heard: Mapping[str, Heard], **settings: Any) -> dict[str, Any]:
    """All figures of each stream at some settings; of mixed talk also what fires early and whether hours change it."""
    found: dict[str, Any] = {}
    for name, (scores, words) in heard.items():
        verdicts = match_detections(words, detect(model, scores, **settings))
        seconds = len(scores) * model.metadata.hop / model.metadata.sample_rate
        found[name] = figures(words, verdicts, seconds, model.metadata.keywords)
        if name == SPEECH:
            found[name]["by_recording"] = by_recording(words, verdicts, seconds)
        if name == "mixed":
            span = min(3600.0, seconds / 2)
            found["prefixes"] = prefixes(words, verdicts)
            found["first_and_last_misses"] = {
                "hours": round(span / 3600, 3),
                "first": misses_within(words, verdicts, 0, span),
                "last": misses_within(words, verdicts, seconds - span, seconds),
            }
    return found


def scaled(thresholds: Mapping[str, float], scale: float) -> dict[str, float]:
    """Thresholds with `scale` added to their logits."""
    return {
        label: 1 / (1 + math.exp(-math.log(min(t, 1 - 1e-6) / (1 - min(t, 1 - 1e-6))) - scale))
        for label, t in thresholds.items()
    }


def sweep(model: Model, heard: Mapping[str, Heard], speed: str = "balanced") -> list[dict[str, Any]]:
    """Misses and false alarms with every scale on the thresholds of a speed, up to where nothing is heard."""
    start = {k: model.metadata.speeds[speed]["continuous"][k] for k in model.metadata.keywords}
    points: list[dict[str, Any]] = []
    for scale in SCALES:
        thresholds = scaled(start, scale)
        found = measure(model, heard, speed=speed, threshold=thresholds)
        points.append({"scale": scale, "thresholds": thresholds} | {name: brief(found[name]) for name in heard})
        if all(found[name]["misses"] in (1, None) and not found[name]["false_alarms_per_hour"] for name in heard):
            break
    return points


def brief(found: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("misses", "false_alarms_per_hour")
    labels = {label: {key: one[key] for key in keys} for label, one in found["labels"].items()}
    return {**{key: found[key] for key in keys}, "labels": labels}


def operating_point(points: Sequence[Mapping[str, Any]], per_hour: float) -> dict[str, float]:
    """The lowest thresholds of a sweep with so many false alarms an hour in speech, of all keywords together, and with
    LIMIT in noise; the highest if none are.

    All keywords share what is moved: each by itself would be set by the few false alarms it has in hours of speech.
    """
    limits = {SPEECH: per_hour, NOISE: LIMIT}

    def quiet(point: Mapping[str, Any]) -> bool:
        return all(point[name]["false_alarms_per_hour"] <= limits[name] for name in limits if name in point)

    chosen: dict[str, float] = next(filter(quiet, points), points[-1])["thresholds"]
    return chosen


def calibrate(model: Model, material: Corpus) -> dict[str, dict[str, float]]:
    """For each speed the thresholds of keywords in an endless stream, lowest for its false alarms.

    Of a model whose keywords have one threshold.
    """
    streams = streams_of(material, CALIBRATION_HOURS, seed=1)
    heard = hear(model, {name: streams[name] for name in (SPEECH, NOISE) if name in streams})
    return {
        speed: operating_point(sweep(model, heard, speed), per_hour * len(model.metadata.keywords))
        for speed, per_hour in SPEED_FALSE_ALARMS.items()
    }


def evaluate_streams(model: Model, material: Corpus, hours: float, seed: int = 0) -> dict[str, Any]:
    """All figures of a model on the test streams of some material, each so many hours long."""
    heard = hear(model, streams_of(material, hours, seed))
    points = sweep(model, {name: heard[name] for name in SWEPT if name in heard})
    wanted = {"0.5 an hour and keyword": LIMIT * len(model.metadata.keywords), "0.5 an hour together": LIMIT}
    chosen = {name: operating_point(points, per_hour) for name, per_hour in wanted.items()}
    return {
        "seed": seed,
        "confirm_ms": model.metadata.confirm_ms,
        "speeds": {speed: measure(model, heard, speed=speed) for speed in model.metadata.speeds},
        "operating_points": {
            name: {"thresholds": thresholds, **measure(model, heard, threshold=thresholds)}
            for name, thresholds in chosen.items()
        },
        "det": points,
    }


def evaluate_folders(
    model: Model, folder: Path, split: str,
    noise: Sequence[Path], rooms: Sequence[Path], speech: Sequence[Path], hours: float,
) -> dict[str, Any]:  # fmt: skip
    """The same on a split of some folders, with what it was measured on and how sure the ends of words are."""
    keywords = model.metadata.keywords
    material = read_material(folder, keywords, split, noise, rooms, speech)
    marked = (spoken for part in speech for spoken in read_speech(part, keywords))
    return {
        "data": {
            "split": split,
            "keyword_clips": sum(map(len, material.keywords.values())),
            "other_clips": sum(map(len, material.others.values())),
            "speech_minutes": round(sum(len(spoken.samples) for spoken in material.speech) / SAMPLE_RATE / 60, 1),
            "speech_speakers": len({Path(spoken.words[0].word).parent for spoken in material.speech}),
            "noise_minutes": round(len(material.noise) / SAMPLE_RATE / 60, 1),
            "rooms": len(material.rooms),
        },
        "endpoints": agreement(marked, material.noise, np.random.default_rng(0)),
        **evaluate_streams(model, material, hours),
    }
