"""Agreement is high where the reference times are right, and falls where they are not."""

from dataclasses import replace

import numpy as np
import pytest

from training.data.corpus import Utterance, WordSpan
from training.data.endpoint_agreement import EndpointSummary, agreement
from training.model.frontend import SAMPLE_RATE

NOISE = (0.05 * np.random.default_rng(1).standard_normal(2 * SAMPLE_RATE)).astype(np.float32)


def recording(late_s: float = 0.0, text: str = "up then up") -> Utterance:
    """Three tones as words in faint noise; the reference times of the first and last may be late."""
    rng = np.random.default_rng(0)
    time = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    samples = 0.0005 * rng.standard_normal(len(time))
    for start in (1.0, 2.0, 3.0):
        word = (time >= start) & (time < start + 0.4)
        samples += word * sum(0.05 * np.sin(2 * np.pi * tone * time) for tone in (300, 1100, 2500))
    words = [WordSpan("up", start, start + 0.4, "embedded") for start in (1.0, 3.0)]
    timed = tuple(word.later(late_s) for word in words)
    return Utterance(
        (32767 * samples).astype(np.int16), (WordSpan("", 0.0, 4.0, "speech"), *timed), tuple(text.split())
    )


def test_right_times_agree() -> None:
    errors = agreement([recording()] * 5, NOISE, np.random.default_rng(0))
    for way in ("laid in noise, 30 dB", "beside a pause"):
        for side in ("start", "end"):
            assert errors[way][side].within_60_ms == 1.0
            assert (errors[way][side].median_size_s or 0) <= 0.02
    assert errors["laid in noise, 30 dB"]["end"].words == 10
    assert errors["beside a pause"]["end"].words == 5


def test_wrong_times_do_not() -> None:
    errors = agreement([recording(late_s=0.1)], NOISE, np.random.default_rng(0))
    assert errors["beside a pause"]["start"].median_s == pytest.approx(-0.1, abs=0.02)
    assert errors["beside a pause"]["end"].within_60_ms == 0.0


def test_words_without_a_pause_beside_them_are_only_laid_in_noise() -> None:
    among_others = replace(recording(), text=("well", "up", "then", "up", "there"))
    errors = agreement([among_others], NOISE, np.random.default_rng(0))
    assert errors["beside a pause"] == {"start": EndpointSummary(0), "end": EndpointSummary(0)}
    assert errors["laid in noise, 20 dB"]["start"].words == 2
