"""Words of streams for the tone model, which scores loudness: tones with known times."""

import numpy as np

from training.data.corpus import Kind, Utterance, WordSpan
from training.model.frontend import SAMPLE_RATE


def tone_utterance(word: str, kind: Kind, tone: float) -> Utterance:
    """A second with a loud tone from 0.3 to 0.7 s."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    sound = np.sin(2 * np.pi * tone * time) * (abs(time - 0.5) < 0.2)
    return Utterance((20_000 * sound).astype(np.int16), (WordSpan(word, 0.3, 0.7, kind),))
