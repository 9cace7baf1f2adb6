"""The thresholds of speeds that are verified: of the model for candidates, of the verifier for what is detected."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from service.spotting.metadata import Metadata
from service.spotting.model import Model
from training.data.corpus import Corpus
from training.evaluation.matching import match_detections
from training.evaluation.stream_scores import ScoredStream, detect, score_streams
from training.evaluation.streams import (
    CALIBRATION_HOURS,
    MAX_FALSE_ALARMS,
    SPEECH,
    SPEED_FALSE_ALARMS,
    operating_point,
    streams_without_keywords,
    sweep,
)

VERIFIED = ("balanced", "accurate")
CANDIDATES = 2.0  # false ones, for each false alarm that the speed may have: the verifier refuses half of them or more
MIN_THRESHOLD, MAX_THRESHOLD = 0.05, 0.999

Thresholds = dict[str, float]  # by label


def candidate_speeds(model: Model, corpus: Corpus) -> dict[str, Thresholds]:
    """For each verified speed the thresholds of candidates, chosen on streams of a corpus."""
    scored = score_streams(model, streams_without_keywords(corpus, CALIBRATION_HOURS, seed=1))
    keywords = len(model.metadata.keywords)
    return {
        speed: operating_point(sweep(model, scored, speed), CANDIDATES * SPEED_FALSE_ALARMS[speed] * keywords)
        for speed in VERIFIED
    }


def with_candidates(metadata: Metadata, candidates: Mapping[str, Thresholds]) -> Metadata:
    """The metadata with other thresholds of continuous streams."""
    speeds = {
        speed: {**modes, "continuous": {**modes["continuous"], **candidates.get(speed, {})}}
        for speed, modes in metadata.speeds.items()
    }
    return replace(metadata, speeds=speeds)


def verifier_thresholds(model: Model, corpus: Corpus) -> dict[str, Thresholds]:
    """For each verified speed of a model with a verifier the lowest threshold with no more than its false alarms.

    One threshold for all keywords. The streams are those on which the candidates were chosen.
    """
    scored = score_streams(model, streams_without_keywords(corpus, CALIBRATION_HOURS, seed=1))
    keywords = model.metadata.keywords
    return {speed: dict.fromkeys(keywords, max(lowest_thresholds(model, scored, speed))) for speed in VERIFIED}


def lowest_thresholds(model: Model, scored: Mapping[str, ScoredStream], speed: str) -> Iterator[float]:
    """For each stream the lowest threshold of the verifier with at most its false alarms."""
    for name, stream in scored.items():
        limit = SPEED_FALSE_ALARMS[speed] * len(model.metadata.keywords) if name == SPEECH else MAX_FALSE_ALARMS
        hours = len(stream.scores) * model.metadata.frame_ms / 3.6e6
        verdicts = sorted(false_verdicts(model, stream, speed), reverse=True)
        allowed = int(limit * hours)
        yield min(MAX_THRESHOLD, max(MIN_THRESHOLD, 1.0001 * verdicts[allowed] if allowed < len(verdicts) else 0.0))


def false_verdicts(model: Model, stream: ScoredStream, speed: str) -> Iterator[float]:
    """What the verifier says of each candidate that is no keyword."""
    meta, verdicts = model.metadata, stream.verdicts
    if verdicts is None:
        raise ValueError("expected a stream that was scored with a verifier, got one without")
    for match in match_detections(stream.words, detect(model, stream.scores, verdicts, speed=speed)):
        if match.kind == "false":
            frame = round(match.detected.time_s * meta.sample_rate / meta.hop) - 1
            yield float(verdicts[frame][meta.labels.index(match.detected.label)])
