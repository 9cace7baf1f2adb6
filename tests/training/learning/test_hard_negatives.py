"""Hard negatives: what a model comes nearest to detecting wrongly, but never a keyword itself."""

import numpy as np
import pytest
import torch
from torch import Tensor

from training.data.corpus import Corpus, Kind, Utterance, WordSpan
from training.data.labels import Labels
from training.data.synthetic_streams import MixSettings, sample_utterance
from training.learning.answer_windows import Streams
from training.learning.hard_negatives import max_wrong_score

RATE, STEP = 16_000, 320
LABELS = Labels(("up", "down"))


def utterance(loud: int, word: str, kind: Kind, seconds: float = 0.5) -> Utterance:
    """A recording of constant loudness with a word from 0.1 to 0.3 s."""
    whole = [WordSpan("", 0.0, seconds, "speech")] if kind == "embedded" else []
    words = (*whole, WordSpan(word, 0.1, 0.3, kind))
    return Utterance(np.full(int(seconds * RATE), loud, np.int16), words)


def by_loudness(samples: Tensor) -> Tensor:
    """Probabilities of a model that takes what is loud for "up"."""
    up = samples.reshape(len(samples), -1, STEP).amax(2) / 32768
    return torch.stack([up, torch.zeros_like(up), 1 - up, torch.zeros_like(up)], dim=2)


def corpus() -> Corpus:
    others = {"cat": [utterance(loud, "cat", "other") for loud in (100, 20_000, 300, 200)]}
    noise = np.zeros(20 * RATE, np.float32)
    noise[15 * RATE : 16 * RATE] = 1.0
    return Corpus({"up": [utterance(30_000, "up", "keyword")]}, others, [], noise, np.ones((1, 1), np.float32))


def test_the_nearest_to_a_keyword_is_drawn_more_often() -> None:
    streams = Streams(corpus(), LABELS, STEP / RATE, 0.0)
    streams.mine_hard_negatives(80, by_loudness, np.random.default_rng(0))
    assert set(streams.corpus.hard) == {"other", "noise"}
    assert min(hard.samples.max() for hard in streams.corpus.hard["noise"]) > 0
    assert {hard.samples.max() for hard in streams.corpus.hard["other"]} == {20_000}
    rng = np.random.default_rng(1)
    loud = [
        sample_utterance("other", streams.corpus, MixSettings(hard=0.5), rng).samples.max() == 20_000
        for _ in range(400)
    ]
    assert 0.55 < np.mean(loud) < 0.7  # a half, and a quarter of the other half


def test_hard_negatives_are_replaced_by_the_next_ones() -> None:
    streams = Streams(corpus(), LABELS, STEP / RATE, 0.0)
    for score in (by_loudness, lambda samples: by_loudness(20_000 - samples)):
        streams.mine_hard_negatives(80, score, np.random.default_rng(0))
    assert {hard.samples.max() for hard in streams.corpus.hard["other"]} == {100}


def test_a_keyword_in_running_speech_is_not_a_negative() -> None:
    embedded, without = utterance(25_000, "up", "embedded"), utterance(10_000, "cat", "other")
    scores = max_wrong_score([embedded, without], 2, STEP / RATE, 0.5, by_loudness)
    assert scores[1] == pytest.approx(10_000 / 32768)
    before_the_word = embedded.samples[: int(0.1 * RATE)].max() / 32768
    assert scores[0] == pytest.approx(before_the_word)
    embedded.samples[: int(0.1 * RATE)] = 0
    assert max_wrong_score([embedded], 2, STEP / RATE, 0.5, by_loudness)[0] == 0
