"""Streams to train on, and the windows in which they are to be answered.

A keyword may be detected from its start to shortly after its end; between keywords nothing may, at any step. Owns the
composing of batches of streams. Knows nothing of losses or networks.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from service.spotting.audio import FULL_SCALE
from training.data.augment import resample
from training.data.corpus import Corpus, WordSpan
from training.data.labels import Labels
from training.data.synthetic_streams import MixSettings, compose, mixed_utterances, sample_utterance
from training.learning.hard_negatives import Score, with_hard_negatives
from training.learning.rank_coding import NO_KEYWORD, Windows
from training.model.frontend import SAMPLE_RATE

STREAM_S = 3.0
LATE_S = 0.1  # a keyword without a crossing is answered this long after its end
GRACE_S = 0.5  # scores after the end of a keyword may still be high for this long
MAX_QUIET_S = 0.5  # longest window without a keyword: each has one answer, at its worst step
MIX = MixSettings(0.35, 0.15, 0.3, 0.2, gap_s=(0.05, 1.0), gain_db=(-8.0, 8.0), noise_s=STREAM_S)
WORDLESS = 0.1  # share of the streams that are noise alone
SPEED_CONFIRM_MS = {"fast": 0.0, "balanced": 200.0, "accurate": 280.0}  # how long a score must stay at its threshold

Span = tuple[float, float, int]  # start, end in seconds, label


class Streams:
    """Random streams of a corpus: samples and windows, the same for the same generator."""

    def __init__(self, corpus: Corpus, labels: Labels, step_s: float, speed: float) -> None:
        """`speed`: streams are played at a rate of 1 ± speed, as clips are."""
        self.corpus, self.labels, self.step_s, self.speed = corpus, labels, step_s, speed

    def batch(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Windows]:
        """Samples [count, STREAM_S] in float32 without acoustics, and the windows of all of them."""
        rates = 1 + self.speed * (2 * rng.random(count) - 1)
        length = round(STREAM_S * SAMPLE_RATE)
        rows, windows = np.zeros((count, length), np.float32), []
        for i, rate in enumerate(rates):
            if wordless := rng.random() < WORDLESS:
                rows[i] = sample_utterance("noise", self.corpus, MIX, rng).samples / FULL_SCALE
            parts = iter(()) if wordless else mixed_utterances(self.corpus, MIX, rng)
            scene = compose(parts, STREAM_S).cut(length)
            rows[i, : len(scene.samples)] += scene.samples
            words = [played(word, rate) for word in scene.words]
            windows += [(i, *window) for window in self.windows(words)]
        samples = resample(torch.from_numpy(rows), torch.from_numpy(rates).float(), torch.zeros(count))
        return samples, Windows(*torch.tensor(windows).T)

    def mine_hard_negatives(self, count: int, score: Score, rng: np.random.Generator) -> None:
        """From now on draw hard negatives more often: of `count` utterances per kind those with the worst scores."""
        keywords = len(self.labels.keywords)
        kinds = ("speech", "other", "noise")
        self.corpus = with_hard_negatives(self.corpus, kinds, MIX, count, keywords, self.step_s, GRACE_S, score, rng)

    def windows(self, words: list[WordSpan]) -> Iterator[tuple[int, int, int]]:
        """Start and stop step and label of each window of a stream with these words."""
        last = round(STREAM_S / self.step_s)
        for start_s, end_s, label in spans(words, self.labels):
            start, stop = max(0, int(start_s / self.step_s)), min(last, int(end_s / self.step_s))
            if stop > start:
                yield start, stop, label


def played(word: WordSpan, rate: float) -> WordSpan:
    """A word after its stream is played at `rate`, centred on the stream's middle as in `augment.resample`."""
    middle = STREAM_S / 2
    start_s, end_s = ((at - middle) / rate + middle for at in (word.start_s, word.end_s))
    return replace(word, start_s=start_s, end_s=end_s)


def spans(words: list[WordSpan], labels: Labels) -> Iterator[Span]:
    """Keywords, and the time between them cut into pieces; keywords embedded in running speech are in neither.

    A keyword that the stream cuts off at its beginning or end is left out.
    """
    taken = []
    for word in sorted(words, key=lambda word: word.start_s):
        if word.kind in ("keyword", "embedded"):
            taken.append((word.start_s, word.end_s + GRACE_S))
        if word.kind == "keyword" and word.start_s > -0.05 and word.end_s + LATE_S <= STREAM_S:
            yield word.start_s, word.end_s + LATE_S, labels.index(word.word)
    busy = 0.0
    for start_s, end_s in [*taken, (STREAM_S, STREAM_S)]:
        edges = np.linspace(busy, max(busy, start_s), max(0, math.ceil((start_s - busy) / MAX_QUIET_S)) + 1)
        yield from ((*piece, NO_KEYWORD) for piece in pairwise(edges.tolist()))
        busy = max(busy, end_s)
