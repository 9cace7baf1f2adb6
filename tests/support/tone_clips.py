"""A few clips of words for the tone model."""

import numpy as np

from tests.support.speech import synthesize

WORDS = ("yes", "no", "yes", "no")


def tone_clips() -> list[np.ndarray]:
    return [synthesize(word, seed=i) for i, word in enumerate(WORDS)]
