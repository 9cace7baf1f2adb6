"""Streams to train on, and the windows in which they are to be answered.

A keyword may be heard from its start to shortly after its end; between the keywords none may, at any step. Owns the
composing of batches of streams. Knows nothing of losses or networks.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from training.data.augment import resample
from training.data.corpus import Corpus, WordSpan
from training.data.synthetic_streams import MixSettings, compose, say, talk
from training.learning.hard_negatives import Hear, max_wrong_score, mine
from training.learning.rank_coding import NO_KEYWORD, Windows
from training.model.frontend import SAMPLE_RATE

STREAM_S = 3.0
LATE_S = 0.1  # after its end a keyword that nothing has crossed for is answered all the same
GRACE_S = 0.5  # after its end a keyword may still stand out
QUIET_S = 0.5  # longest window without a keyword: each has one answer, at its worst step
TALK = MixSettings(0.35, 0.15, 0.3, 0.2, gap_s=(0.05, 1.0), gain_db=(-8.0, 8.0), noise_s=STREAM_S)
WORDLESS = 0.1  # share of the streams in which there is noise alone
SPEED_CONFIRM_MS = {"fast": 0.0, "balanced": 160.0, "accurate": 240.0}  # that a score must stand

Span = tuple[float, float, int]  # start, end in seconds, label


class Streams:
    """Random streams of a material: samples and windows, the same for the same generator."""

    def __init__(self, material: Corpus, labels: tuple[str, ...], step_s: float, speed: float) -> None:
        """`speed`: streams are played at a rate of 1 ± speed, as clips are."""
        self.material, self.labels, self.step_s, self.speed = material, labels, step_s, speed

    def batch(self, count: int, rng: Generator) -> tuple[Tensor, Windows]:
        """Samples [count, STREAM_S] in float32 without surroundings, and the windows of all of them."""
        rates = 1 + self.speed * (2 * rng.random(count) - 1)
        length = round(STREAM_S * SAMPLE_RATE)
        rows, found = np.zeros((count, length), np.float32), []
        for i, rate in enumerate(rates):
            if wordless := rng.random() < WORDLESS:
                rows[i] = say("noise", self.material, TALK, rng).samples / 32768
            scene = compose(iter(()) if wordless else talk(self.material, TALK, rng), STREAM_S).cut(length)
            rows[i, : len(scene.samples)] += scene.samples
            words = [played(word, rate) for word in scene.words]
            found += [(i, *window) for window in self.windows(words)]
        samples = resample(torch.from_numpy(rows), torch.from_numpy(rates).float(), torch.zeros(count))
        return samples, Windows(*torch.tensor(found).T)

    def mine(self, count: int, keywords: int, hear: Hear, rng: Generator) -> None:
        """From now on say more of what, in `count` utterances of a kind, a model comes nearest to firing on wrongly."""
        untouched = replace(self.material, hard={})
        score = partial(max_wrong_score, keywords=keywords, step_s=self.step_s, grace_s=GRACE_S, hear=hear)
        self.material = replace(untouched, hard=mine(untouched, TALK, count, score, rng))

    def windows(self, words: list[WordSpan]) -> Iterator[tuple[int, int, int]]:
        """Start and stop step and label of each window of a stream with these words."""
        last = round(STREAM_S / self.step_s)
        for start_s, end_s, label in spans(words, self.labels):
            start, stop = max(0, int(start_s / self.step_s)), min(last, int(end_s / self.step_s))
            if stop > start:
                yield start, stop, label


def played(word: WordSpan, rate: float) -> WordSpan:
    """A word when its stream is played at a rate, about its middle, as `augment.resample` does."""
    middle = STREAM_S / 2
    start_s, end_s = ((at - middle) / rate + middle for at in (word.start_s, word.end_s))
    return replace(word, start_s=start_s, end_s=end_s)


def spans(words: list[WordSpan], labels: tuple[str, ...]) -> Iterator[Span]:
    """Keywords, and what lies between them cut in pieces. Keywords inside of running speech are neither.

    A keyword whose beginning or end the stream does not have is left out.
    """
    taken = []
    for word in sorted(words, key=lambda word: word.start_s):
        if word.kind in ("keyword", "inside"):
            taken.append((word.start_s, word.end_s + GRACE_S))
        if word.kind == "keyword" and word.start_s > -0.05 and word.end_s + LATE_S <= STREAM_S:
            yield word.start_s, word.end_s + LATE_S, labels.index(word.word)
    busy = 0.0
    for start_s, end_s in [*taken, (STREAM_S, STREAM_S)]:
        edges = np.linspace(busy, max(busy, start_s), max(0, math.ceil((start_s - busy) / QUIET_S)) + 1)
        yield from ((*piece, NO_KEYWORD) for piece in pairwise(edges.tolist()))
        busy = max(busy, end_s)
