"""Speech for the tone model: a word is its tone."""

import numpy as np
from numpy.typing import NDArray

from tests.support.tone_model import RATE, TONES


def synthesize(
    *words: str, word_s: float = 0.3, gap_s: float = 0.4, rate: int = RATE, seed: int = 0
) -> NDArray[np.float32]:
    """Float32 samples: half a gap of faint noise, then each word's tone and a gap."""
    rng = np.random.default_rng(seed)
    gap = round(gap_s * rate)
    pieces = [np.zeros(gap // 2)]
    for word in words:
        tone = np.sin(2 * np.pi * TONES[word] * np.arange(round(word_s * rate)) / rate)
        pieces += [tone, np.zeros(gap)]
    clean = np.concatenate(pieces)
    return (0.6 * clean + 0.01 * rng.standard_normal(len(clean))).astype(np.float32)


def pcm(samples: NDArray[np.float32]) -> bytes:
    """Float samples to pcm_s16le."""
    return (samples * 32767).round().astype("<i2").tobytes()


def decode_pcm(data: bytes) -> NDArray[np.float32]:
    """The samples of pcm_s16le as float32."""
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
