"""Early detections of scores that the test makes, at the thresholds 0.6 and 0.9 of the tone model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.spotting.model import Model
from tests.support.tone_model import HOP, LABELS, METADATA, RATE, write_model
from training.data.corpus import WordSpan
from training.evaluation.early import detect_early, early_metrics, measure_early
from training.evaluation.stream_metrics import Percentiles
from training.evaluation.stream_report import StreamFigures
from training.evaluation.stream_scores import ScoredStream, detect
from training.reports.early_section import early_lines

FRAMES = 1000
SECONDS = FRAMES * HOP / RATE


@pytest.fixture(scope="module")
def confirming(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """`balanced` needs 0.9 for 100 ms."""
    metadata = replace(METADATA, confirm_ms={"balanced": 100.0}, decide_within_ms=300.0)
    return Model(write_model(tmp_path_factory.mktemp("models"), metadata=metadata))


def scores_of(*spans: tuple[int, int, float]) -> NDArray[np.float32]:
    """Scores of "yes": `score` from one frame to another, elsewhere 0."""
    scores = np.zeros((FRAMES, len(LABELS)), np.float32)
    for start, end, score in spans:
        scores[start:end, 0] = score
    scores[:, -1] = 1 - scores[:, 0]
    return scores


WORDS = (WordSpan("yes", 1.0, 1.4, "keyword"), WordSpan("yes", 3.0, 3.4, "keyword"), WordSpan("cat", 5.0, 5.4, "other"))
SCORES = scores_of(
    (120, 140, 0.95),  # a word: early at 1.21 s, confirmed at 1.31 s
    (320, 340, 0.7),  # a word that is retracted when it falls, at 3.41 s
    (510, 520, 0.7),  # a false alarm that is retracted
    (720, 740, 0.95),  # and one that is confirmed
)


def test_early_detections_are_measured_beside_the_confirmed_ones(confirming: Model) -> None:
    metrics = early_metrics(confirming, ScoredStream(SCORES, WORDS))
    assert (metrics.retracted_words, metrics.retracted_false_alarms, metrics.misses) == (0.5, 0.5, 0.5)
    assert metrics.false_alarms_per_hour == pytest.approx(3600 / SECONDS)
    assert metrics.early_false_alarms_per_hour == pytest.approx(2 * 3600 / SECONDS)
    assert metrics.lead_s == Percentiles(0.1, 0.1, 0.1)
    assert metrics.from_end_s == Percentiles(-0.19, -0.19, -0.19)


def test_confirmed_ones_are_what_is_detected_without_early(confirming: Model) -> None:
    settled = detect_early(confirming, SCORES)
    confirmed = [(one.early.label, one.settled_s) for one in settled if one.confirmed]
    assert confirmed == [tuple(word) for word in detect(confirming, SCORES)]
    assert len(settled) == 4


def test_what_is_open_at_the_end_is_retracted(confirming: Model) -> None:
    (settled,) = detect_early(confirming, scores_of((FRAMES - 5, FRAMES, 0.95)))
    assert (settled.confirmed, settled.settled_s) == (False, SECONDS)


def test_a_stream_without_words_or_detections_has_no_times(confirming: Model) -> None:
    metrics = early_metrics(confirming, ScoredStream(scores_of(), ()))
    assert (metrics.lead_s, metrics.retracted_words, metrics.misses) == (None, None, None)


def test_each_speed_but_fast_is_measured_and_has_its_lines(confirming: Model) -> None:
    early = measure_early(confirming, {"mixed": ScoredStream(SCORES, WORDS)})
    assert early is not None
    assert list(early) == ["balanced", "accurate"]
    figures = StreamFigures(seed=0, confirm_ms={}, speeds={}, operating_points={}, det=[], early=early)
    assert StreamFigures.from_json(figures.to_json()) == figures
    balanced = next(line for line in early_lines(early) if line.startswith("| balanced, mixed |"))
    assert "| -190, -190, -190 ms | +100, +100, +100 ms | 50.0% | 50.0% | 50.0% |" in balanced
    assert early_lines(None) == []


def test_a_model_without_fast_has_no_early_detections(tmp_path: Path) -> None:
    speeds = {"balanced": METADATA.speeds["balanced"]}
    assert measure_early(Model(write_model(tmp_path, metadata=replace(METADATA, speeds=speeds))), {}) is None
