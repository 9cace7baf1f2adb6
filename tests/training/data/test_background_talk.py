"""What is behind the words of a stream: at its level, and never a keyword."""

import numpy as np
import pytest

from training.data.background_talk import SHARES, TALK_SNR_DB, background, draw_background, hiss
from training.data.corpus import LOUDNESS, Corpus, Utterance, WordSpan

SECOND = 16_000


def speech(name: str, level: int, *words: WordSpan) -> Utterance:
    """A recording of two seconds at a constant level."""
    return Utterance(np.full(2 * SECOND, level, np.int16), (WordSpan(name, 0.0, 2.0, "speech"), *words))


def corpus(*recordings: Utterance) -> Corpus:
    noise = np.random.default_rng(1).standard_normal(5 * SECOND).astype(np.float32)
    return Corpus({}, {}, list(recordings), noise, np.ones((1, 1), np.float32))


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def test_a_voice_never_speaks_a_keyword() -> None:
    with_keyword = speech("a", 1000, WordSpan("up", 0.5, 0.8, "embedded"))
    voices = background("talker", 20 * SECOND, corpus(with_keyword, speech("b", 3000)), np.random.default_rng(0))
    assert set(np.unique(voices).tolist()) == {0.0, np.float32(3000 / 32768)}


@pytest.mark.parametrize("kind", sorted(set(SHARES) - {"none"}))
def test_every_kind_fills_the_stream(kind: str) -> None:
    samples = background(kind, 3 * SECOND, corpus(speech("a", 1000), speech("b", 2000)), np.random.default_rng(0))
    assert samples.shape == (3 * SECOND,)
    assert samples.dtype == np.float32
    assert rms(samples) > 0


def test_levels_lie_within_the_limits() -> None:
    rng, quietest = np.random.default_rng(0), LOUDNESS * 10 ** (-TALK_SNR_DB[1] / 20)
    levels = [rms(draw_background(SECOND, corpus(speech("a", 1000)), 1.0, rng)) for _ in range(60)]
    assert any(level == 0 for level in levels)
    present = [level for level in levels if level]
    assert min(present) > 0.99 * quietest
    assert max(present) < 1.01 * LOUDNESS * 10 ** (-TALK_SNR_DB[0] / 20)


def test_without_strength_there_is_no_background() -> None:
    rng = np.random.default_rng(0)
    assert not any(draw_background(SECOND, corpus(speech("a", 1000)), 0.0, rng).any() for _ in range(20))


def test_without_speech_there_is_noise_alone() -> None:
    rng = np.random.default_rng(0)
    assert all(len(draw_background(SECOND, corpus(), 1.0, rng)) == SECOND for _ in range(30))


def test_hiss_falls_towards_high_frequencies() -> None:
    spectra = [np.abs(np.fft.rfft(hiss(SECOND, np.random.default_rng(seed)))) for seed in range(20)]
    decibels = np.mean([20 * np.log10(spectrum + 1e-9) for spectrum in spectra], axis=0)
    assert 3 < decibels[:1000].mean() - decibels[7000:].mean() < 12
