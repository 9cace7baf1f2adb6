"""An exported model on continuous audio, through the service's own sessions and decisions.

The network runs over every stream once, all of them side by side; any thresholds are decided on its scores.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np

from service.spotting.audio import Samples
from service.spotting.model import Model
from training.data.background_talk import at_loudness, background
from training.data.corpus import Corpus, read_all_speech, read_corpus, speaker_of_speech
from training.data.endpoint_agreement import agreement
from training.data.labels import Labels
from training.data.recordings import percent_of, read_split
from training.data.sources import DataSources
from training.data.synthetic_streams import (
    SCENE_S,
    AcousticConditions,
    Background,
    MixSettings,
    Scene,
    mixed_utterances,
    noises,
    running_speech,
    scenes,
)
from training.evaluation.early import measure_early
from training.evaluation.matching import match_detections
from training.evaluation.stream_metrics import (
    DetectionMetrics,
    misses_within,
    prefix_metrics,
    recording_spread,
    speaker_spread,
    stream_metrics,
)
from training.evaluation.stream_report import (
    ErrorRates,
    MissesOverTime,
    StreamData,
    StreamFigures,
    StreamMeasurement,
    StreamOperatingPoint,
    StreamReport,
    SweepPoint,
    SweptStream,
)
from training.evaluation.stream_scores import ScoredStream, detect, score_streams
from training.model.frontend import SAMPLE_RATE

MIXED = AcousticConditions()
CLEAN = AcousticConditions(room=0, colour_db=0, snr_db=None)
ALONE_S = 2.0  # between isolated words: a second of room after one and before the next
CONDITIONS = {"mixed": MIXED, "clean": CLEAN} | {
    f"{snr} dB": replace(CLEAN, snr_db=(float(snr), float(snr))) for snr in (20, 10, 5, 0)
}
TALK = {
    f"{kind} {snr} dB": (kind, replace(CLEAN, snr_db=(float(snr), float(snr))))
    for kind in ("talker", "babble")
    for snr in (20, 10, 5)
}
LEVELS = {f"{level} dBFS": replace(CLEAN, level_db=(float(level), float(level))) for level in (-50, -40, -30, -20, -10)}
ALONE = "alone"
ONE_LEVEL = MixSettings(gain_db=(0, 0))
ISOLATED = replace(ONE_LEVEL, other=0.0, prefix=0.0, speech=0.0, gap_s=(ALONE_S, ALONE_S))
TALKER_SPEAKERS = 25.0  # percent of the speakers of running speech who talk in the background, and in no other stream
SPEECH, NOISE = "speech", "noise"  # the streams in which every detection is a false alarm
SWEPT = ("mixed", "clean", "10 dB", SPEECH, NOISE)
SCALES = tuple(float(x) for x in np.arange(-3, 10.1, 0.125))  # added to the logit of each threshold of a speed
MAX_FALSE_ALARMS = 0.5  # per hour, at an operating point
SPEED_FALSE_ALARMS = {"fast": 1.5, "balanced": 0.5, "accurate": 0.1}  # per hour and keyword, in validation speech
CALIBRATION_HOURS = 2.0


def streams_of(corpus: Corpus, hours: float, seed: int) -> dict[str, Iterator[Scene]]:
    """Every test stream: the same utterances in each condition, words alone, all running speech repeatedly, noise."""
    others, talkers = talkers_apart(corpus)
    streams = {name: words_in(others, mix_of(name), where, hours, seed) for name, where in CONDITIONS.items()}
    streams |= {name: words_in(others, ONE_LEVEL, where, hours, seed) for name, where in LEVELS.items()}
    streams[ALONE] = words_in(others, ISOLATED, CLEAN, hours, seed)
    if talkers.speech:
        for name, (kind, where) in TALK.items():
            streams[name] = words_in(others, ONE_LEVEL, where, hours, seed, partial(talk_of, talkers, kind))
    return streams | streams_without_keywords(others, hours, seed)


def streams_without_keywords(corpus: Corpus, hours: float, seed: int) -> dict[str, Iterator[Scene]]:
    rng, streams = np.random.default_rng, {}
    if corpus.speech:
        order, repeats = rng([seed, 2]), math.ceil(hours / (corpus.speech_s / 3600))
        speech = chain.from_iterable(running_speech(corpus, order) for _ in range(repeats))
        streams[SPEECH] = scenes(speech, MIXED, corpus, rng([seed, 3]))
    streams[NOISE] = islice(noises(MIXED, corpus, rng([seed, 4])), math.ceil(3600 * hours / SCENE_S))
    return streams


def mix_of(name: str) -> MixSettings:
    """Where an SNR is to hold for every word, all words are equally loud."""
    return MixSettings() if name == "mixed" else ONE_LEVEL


def words_in(
    corpus: Corpus, mix: MixSettings, conditions: AcousticConditions, hours: float, seed: int,
    behind: Background | None = None,
) -> Iterator[Scene]:  # fmt: skip
    parts = mixed_utterances(corpus, mix, np.random.default_rng([seed, 0]))
    return first_hours(scenes(parts, conditions, corpus, np.random.default_rng([seed, 1]), behind), hours)


def talkers_apart(corpus: Corpus) -> tuple[Corpus, Corpus]:
    """The corpus without some speakers of running speech, and one of these speakers alone; of few speakers of none."""
    talks = [
        percent_of("talker " + speaker_of_speech(recording.words[0].word)) < TALKER_SPEAKERS
        for recording in corpus.speech
    ]
    others = [recording for recording, talker in zip(corpus.speech, talks, strict=True) if not talker]
    talkers = [recording for recording, talker in zip(corpus.speech, talks, strict=True) if talker]
    if not others or not talkers:
        return corpus, replace(corpus, speech=[])
    return replace(corpus, speech=others), replace(corpus, speech=talkers)


def talk_of(talkers: Corpus, kind: str, samples: int, _: Corpus, rng: np.random.Generator) -> Samples:
    return at_loudness(background(kind, samples, talkers, rng))


def first_hours(stream: Iterator[Scene], hours: float) -> Iterator[Scene]:
    left = 3600 * hours * SAMPLE_RATE
    while left > 0:
        scene = next(stream)
        left -= len(scene.samples)
        yield scene


def measure(model: Model, streams: Mapping[str, ScoredStream], **settings: Any) -> StreamMeasurement:
    """All figures of each stream at some settings of a session: `speed` or `threshold`."""
    measured, prefixes, over_time = {}, None, None
    for name, (scores, words, verdicts) in streams.items():
        matches = match_detections(words, detect(model, scores, verdicts, **settings))
        seconds = len(scores) * model.metadata.hop / model.metadata.sample_rate
        metrics = stream_metrics(words, matches, seconds, model.metadata.keywords)
        if name == SPEECH:
            metrics = replace(
                metrics,
                by_recording=recording_spread(words, matches, seconds),
                by_speaker=speaker_spread(words, matches, seconds),
            )
        if name == "mixed":
            span = min(3600.0, seconds / 2)
            prefixes = prefix_metrics(words, matches)
            over_time = MissesOverTime(
                hours=round(span / 3600, 3),
                first=misses_within(words, matches, 0, span),
                last=misses_within(words, matches, seconds - span, seconds),
            )
        measured[name] = metrics
    return StreamMeasurement(measured, prefixes, over_time)


def scaled(thresholds: Mapping[str, float], scale: float) -> dict[str, float]:
    """Thresholds with `scale` added to their logits."""
    return {
        label: 1 / (1 + math.exp(-math.log(min(t, 1 - 1e-6) / (1 - min(t, 1 - 1e-6))) - scale))
        for label, t in thresholds.items()
    }


def sweep(model: Model, streams: Mapping[str, ScoredStream], speed: str = "balanced") -> list[SweepPoint]:
    """Misses and false alarms with every scale on the thresholds of a speed, up to where nothing is detected."""
    start = {k: model.metadata.speeds[speed]["continuous"][k] for k in model.metadata.keywords}
    points: list[SweepPoint] = []
    for scale in SCALES:
        thresholds = scaled(start, scale)
        measured = measure(model, streams, speed=speed, threshold=thresholds).streams
        points.append(SweepPoint(scale, thresholds, {name: brief(metrics) for name, metrics in measured.items()}))
        if all(metrics.misses in (1, None) and not metrics.false_alarms_per_hour for metrics in measured.values()):
            break
    return points


def brief(metrics: DetectionMetrics) -> SweptStream:
    labels = {
        label: ErrorRates(keyword.misses, keyword.false_alarms_per_hour) for label, keyword in metrics.labels.items()
    }
    return SweptStream(metrics.misses, metrics.false_alarms_per_hour, labels)


def operating_point(points: Sequence[SweepPoint], per_hour: float) -> dict[str, float]:
    """The lowest thresholds of a sweep with at most `per_hour` false alarms in speech, of all keywords together, and
    with MAX_FALSE_ALARMS in noise; the highest if none are.

    All keywords share the scale: each on its own would be set by the few false alarms it has in hours of speech.
    """
    limits = {SPEECH: per_hour, NOISE: MAX_FALSE_ALARMS}

    def is_quiet(point: SweepPoint) -> bool:
        return all(
            point.streams[name].false_alarms_per_hour <= limits[name] for name in limits if name in point.streams
        )

    return next(filter(is_quiet, points), points[-1]).thresholds


def calibrate(model: Model, corpus: Corpus) -> dict[str, dict[str, float]]:
    """For each speed the thresholds of keywords in a continuous stream, lowest for its false alarms.

    The keywords of the model must have one threshold.
    """
    scored = score_streams(model, streams_without_keywords(corpus, CALIBRATION_HOURS, seed=1))
    return {
        speed: operating_point(sweep(model, scored, speed), per_hour * len(model.metadata.keywords))
        for speed, per_hour in SPEED_FALSE_ALARMS.items()
    }


def evaluate_streams(model: Model, corpus: Corpus, hours: float, seed: int = 0) -> StreamFigures:
    """All figures of a model on the test streams of a corpus, each `hours` long."""
    scored = score_streams(model, streams_of(corpus, hours, seed))
    points = sweep(model, {name: scored[name] for name in SWEPT if name in scored})
    limits = {
        "0.5 per hour and keyword": MAX_FALSE_ALARMS * len(model.metadata.keywords),
        "0.5 per hour together": MAX_FALSE_ALARMS,
    }
    chosen = {name: operating_point(points, per_hour) for name, per_hour in limits.items()}
    return StreamFigures(
        seed=seed,
        confirm_ms=model.metadata.confirm_ms,
        speeds={speed: measure(model, scored, speed=speed) for speed in model.metadata.speeds},
        operating_points={
            name: StreamOperatingPoint(thresholds, measure(model, scored, threshold=thresholds))
            for name, thresholds in chosen.items()
        },
        det=points,
        early=measure_early(model, {name: scored[name] for name in SWEPT if name in scored}),
    )


def evaluate_sources(model: Model, sources: DataSources, split: str, hours: float) -> StreamReport:
    """The figures on a split of some folders, with what was measured on and how precise the ends of words are."""
    labels = Labels(model.metadata.keywords)
    corpus = read_corpus(sources, labels, split, read_split(sources.recordings, split))
    figures = evaluate_streams(model, corpus, hours)
    return StreamReport(
        **vars(figures),
        data=StreamData(
            split=split,
            keyword_clips=sum(map(len, corpus.keywords.values())),
            other_clips=sum(map(len, corpus.others.values())),
            speech_minutes=round(corpus.speech_s / 60, 1),
            speech_speakers=len({speaker_of_speech(recording.words[0].word) for recording in corpus.speech}),
            noise_minutes=round(len(corpus.noise) / SAMPLE_RATE / 60, 1),
            rooms=len(corpus.rooms),
        ),
        endpoints=agreement(read_all_speech(sources, labels), corpus.noise, np.random.default_rng(0)),
    )
