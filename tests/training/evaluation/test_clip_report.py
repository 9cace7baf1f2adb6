"""The report on clips: words of their own group and silence are counted separately."""

import numpy as np

from service.spotting.model import Model
from tests.support.speech import synthesize
from training.evaluation.clip_report import evaluate


def test_separate_words_and_silence_are_counted_separately(model: Model) -> None:
    clips, words = [synthesize(word) for word in ("yes", "no", "yes")], ["yes", "no", "on"]
    figures = evaluate(model, clips, words, [np.zeros(8000, np.float32)])
    assert (figures.speeds["balanced"].clips, figures.speeds["balanced"].accuracy) == (2, 1.0)
    assert figures.separate["on, off"] == {"_unknown_": {"yes": 1}}
    assert sum(figures.separate["silence"]["_silence_"].values()) == 1
