"""Answers and metrics of clips against ones worked out by hand, from the service's own answers."""

import numpy as np

from service.spotting.classify import classify
from service.spotting.model import Model
from tests.support.tone_clips import WORDS, tone_clips
from training.evaluation.clips import (
    ClipAnswer,
    DecisionTimes,
    LabelMetrics,
    ScoredClip,
    confusion,
    decide,
    measure,
    per_label,
    score_clips,
)


def test_answers_are_those_of_the_service(model: Model) -> None:
    scored = score_clips(model, tone_clips(), WORDS)
    answers = decide(model, scored, model.metadata.speeds["balanced"]["utterance"])
    served = classify(model, [(str(i), clip) for i, clip in enumerate(tone_clips())], speed="balanced")
    expected = [result.answer for result in served if result.answer]
    assert [tuple(answer) for answer in answers] == [
        (detection.label, detection.audio_time_s, detection.crossed) for detection in expected
    ]
    assert [answer.label for answer in answers] == list(WORDS)


def test_measure_counts_and_averages() -> None:
    clips = [ScoredClip("yes", np.zeros((1, 4), np.float32), 1.0)] * 4
    labels, times, crossed = ("yes", "no", "yes", "yes"), (0.2, 0.4, 0.6, 1.0), (True, True, True, False)
    answers = [ClipAnswer(*answer) for answer in zip(labels, times, crossed, strict=True)]
    metrics = measure(clips, answers)
    assert (metrics.clips, metrics.accuracy, metrics.crossed) == (4, 0.75, 0.75)
    assert metrics.decision_time_s == DecisionTimes(mean=0.55, p10=0.26, p50=0.5, p90=0.88)
    assert confusion(clips, answers) == {"yes": {"yes": 3, "no": 1}}
    assert per_label(clips, answers)["yes"] == LabelMetrics(4, recall=0.75, precision=1.0, decision_time_p50_s=0.5)
