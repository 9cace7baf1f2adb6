"""The end-pointer finds a word that lies in a clip where it was put."""

import numpy as np
import pytest

from training.data.endpoints import endpoints
from training.model.frontend import SAMPLE_RATE

START, END = 0.35, 0.75  # seconds


def clip(snr_db: float, gap_s: float = 0.0, seconds: float = 1.0) -> np.ndarray:
    """A sound of three tones from START to END in white noise, with a pause in its middle."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = sum(np.sin(2 * np.pi * tone * time) for tone in (400, 900, 2500))
    middle = (START + END) / 2
    there = (time >= START) & (time < END) & (abs(time - middle) >= gap_s / 2)
    noise = rng.standard_normal(len(time)) * np.std(sound) * 10 ** (-snr_db / 20)
    return (0.1 * (sound * there + noise)).astype(np.float32)


@pytest.mark.parametrize("snr_db", [60, 20, 10])
def test_a_word_is_found_in_noise(snr_db: float) -> None:
    assert endpoints(clip(snr_db)) == pytest.approx((START, END), abs=0.025)


def test_the_closure_within_a_word_does_not_end_it() -> None:
    assert endpoints(clip(30, gap_s=0.1)) == pytest.approx((START, END), abs=0.025)


def test_a_second_sound_far_away_is_not_part_of_it() -> None:
    noisy = clip(30)
    noisy[:800] += noisy[7000:7800]
    assert endpoints(noisy) == pytest.approx((START, END), abs=0.025)


@pytest.mark.parametrize("samples", [np.zeros(8000, np.float32), np.ones(3333, np.float32)])
def test_a_clip_without_a_word_has_ends_within_it(samples: np.ndarray) -> None:
    start, end = endpoints(samples)
    assert 0 <= start < end <= len(samples) / SAMPLE_RATE
