"""Thresholds of the verifier from verdicts that the test makes."""

from dataclasses import replace

import numpy as np
import pytest

from service.spotting.model import Model
from tests.support.early import EARLY_METADATA
from tests.support.tone_verifier import write_verified_model
from training.evaluation.stream_scores import ScoredStream
from training.verification.calibration import (
    MAX_THRESHOLD,
    MIN_THRESHOLD,
    lowest_thresholds,
    with_candidates,
)

FRAMES = 360_000  # an hour of 10 ms
EVERY = 1000  # frames between two candidates


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Model:
    thresholds = {speed: {"yes": 0.0, "no": 0.0} for speed in ("balanced", "accurate")}
    return Model(write_verified_model(tmp_path_factory.mktemp("models"), thresholds=thresholds))


def stream(verdicts: list[float]) -> ScoredStream:
    """An hour without words, with a candidate every ten seconds, of which the verifier says these."""
    scores = np.zeros((FRAMES, 4), np.float32)
    said = {}
    for number, verdict in enumerate(verdicts):
        start = (number + 1) * EVERY
        scores[start : start + 30, 0] = 0.99
        said[start + 8 + 4] = np.array([verdict, 0, 0, 0], np.float32)  # after `confirm_ms` and `after_ms`
    return ScoredStream(scores, (), said)


def test_as_many_false_candidates_pass_as_the_speed_may_have(verified: Model) -> None:
    """One false alarm an hour at `balanced` for two keywords."""
    (threshold,) = lowest_thresholds(verified, {"speech": stream([0.2, 0.9, 0.4, 0.1])}, "balanced")
    assert 0.4 < threshold < 0.41


def test_thresholds_stay_in_their_range(verified: Model) -> None:
    certain, none = stream([0.9999] * 5), stream([])
    assert list(lowest_thresholds(verified, {"speech": certain, "noise": none}, "balanced")) == [
        MAX_THRESHOLD,
        MIN_THRESHOLD,
    ]


def test_candidates_change_nothing_but_their_speeds() -> None:
    changed = with_candidates(EARLY_METADATA, {"balanced": {"yes": 0.3, "no": 0.4}})
    speeds = {name: modes for name, modes in EARLY_METADATA.speeds.items() if name != "balanced"}
    continuous = EARLY_METADATA.speeds["balanced"]["continuous"] | {"yes": 0.3, "no": 0.4}
    balanced = {**EARLY_METADATA.speeds["balanced"], "continuous": continuous}
    assert changed == replace(EARLY_METADATA, speeds={**speeds, "balanced": balanced})
