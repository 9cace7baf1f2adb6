"""What is done to a synthesised text: its pitch, tempo, level and edges."""

import numpy as np
import pytest

from service.spotting.audio import Samples
from training.speak.delivery import Delivery, deliver, trimmed

RATE = 16_000
RNG = np.random.default_rng


def tone(seconds: float, hz: float = 400) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def pitch(samples: Samples) -> float:
    return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * RATE / len(samples))


@pytest.mark.parametrize(
    ("delivery", "hz", "seconds"),
    [(Delivery(), 400, 2.0), (Delivery(semitones=2), 449, 2.0), (Delivery(tempo=1.25), 400, 1.6)],
)
def test_pitch_and_tempo_change_apart(delivery: Delivery, hz: float, seconds: float) -> None:
    samples = deliver(tone(2.0), delivery, False, RNG(0))
    assert pitch(samples) == pytest.approx(hz, abs=4)
    assert len(samples) / RATE == pytest.approx(seconds + delivery.before_s + delivery.after_s, abs=0.02)


def test_silence_around_the_speech_is_cut_off() -> None:
    padded = np.pad(tone(0.5), RATE)
    assert len(trimmed(padded)) / RATE == pytest.approx(0.58, abs=0.01)
    assert len(trimmed(np.zeros(100, np.float32))) == 100


@pytest.mark.parametrize(("spoken_s", "length_s"), [(0.4, 0.6), (0.9, 1.0), (1.1, 1.0), (1.5, 1.7)])
def test_a_word_fits_a_clip_where_it_can(spoken_s: float, length_s: float) -> None:
    samples = deliver(tone(spoken_s), Delivery(), True, RNG(0))
    assert len(samples) / RATE == pytest.approx(length_s, abs=0.07)
    assert (len(samples) <= RATE) == (spoken_s < 1.2)


def test_the_peak_is_where_it_should_be_and_nothing_is_digitally_silent() -> None:
    samples = deliver(0.01 * tone(0.4), Delivery(peak_db=-6, hiss_db=-60), True, RNG(0))
    assert np.abs(samples).max() == pytest.approx(0.5, rel=0.02)
    assert 1e-4 < np.abs(samples[: RATE // 20]).max() < 4e-3
