"""Streams to train on, with a target and a weight at every step: words in front of voices, noise and music.

A word is the answer from a third of it on, with more and more weight until its end, and for HOLD_S after it; between
words the answer is no keyword. A stream that begins is an utterance as well: until its first word begins, that is the
answer, with little weight, so that no label is certain too early. Knows nothing of networks or losses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.spotting.audio import Samples
from training.data.background_talk import draw_background
from training.data.corpus import Corpus, Utterance, WordSpan
from training.data.labels import Labels
from training.data.synthetic_streams import MixSettings, StreamPart, compose, mixed_utterances
from training.learning.hard_negatives import Score, with_hard_negatives
from training.learning.rank_coding import NO_KEYWORD
from training.model.frontend import SAMPLE_RATE

STREAM_S = 3.0
HOLD_S = 0.7  # after its end a word is still the answer
FIRST_SHARE = 0.3  # of a word, after which it is the answer
FIRST_WEIGHT = 0.5  # of the step there; 1 from the end of the word on
QUIET_WEIGHT, BEFORE_WEIGHT = 0.5, 0.3  # of a step between words, and before the first word of an utterance
CUT_MARGIN_S = 0.04  # after a word is cut off, until its steps count as no keyword
EMBEDDED_MARGIN_S = 0.4  # after a keyword inside running speech, until its steps count again
# few and short prefixes: nothing distinguishes most of "up" from all of it, so they bound the scores of the word
MIX = MixSettings(
    0.42, 0.2, 0.03, 0.35, prefix_share=(0.35, 0.6), speech_s=(0.3, 4.0), gap_s=(0.05, 1.0), gain_db=(-5.0, 5.0),
    hard=0.2,
)  # fmt: skip
SPEECH_ALONE = replace(MIX, keyword=0.0, other=0.0, prefix=0.0, speech=1.0, gap_s=(0.05, 0.6))
SPEECH_ALONE_SHARE, WORDLESS_SHARE = 0.12, 0.06  # of streams
RATES = np.linspace(0.86, 1.16, 11)  # of playback: pitch, formants and tempo together


class StreamBatch(NamedTuple):
    samples: Tensor  # float32 [batch, samples]: words of LOUDNESS in front of their background
    targets: Tensor  # int64 [batch, steps]: a label, or NO_KEYWORD
    weights: Tensor  # float32 [batch, steps]
    is_new: Tensor  # bool [batch]: the stream begins here; else it continues the same row of the batch before


class LabelledStreams:
    """Random streams of a corpus, the same for the same generator."""

    def __init__(self, corpus: Corpus, labels: Labels, step_s: float) -> None:
        self.corpus, self.labels, self.step_s = corpus, labels, step_s

    def batch(self, count: int, new_share: float, strength: float, rng: np.random.Generator) -> StreamBatch:
        """`new_share` of the streams begin; `strength` of the background, from 0 for none to 1."""
        is_new = rng.random(count) < new_share
        rows = [self._row(bool(new), strength, rng) for new in is_new]
        samples, targets, weights = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
        return StreamBatch(samples, targets, weights, torch.from_numpy(is_new))

    def mine_hard_negatives(self, count: int, score: Score, rng: np.random.Generator) -> None:
        """From now on draw hard negatives more often: of `count` utterances per kind those with the worst scores."""
        keywords = len(self.labels.keywords)
        self.corpus = with_hard_negatives(
            self.corpus, ("speech", "other"), MIX, count, keywords, self.step_s, EMBEDDED_MARGIN_S, score, rng
        )

    def _row(
        self, is_new: bool, strength: float, rng: np.random.Generator
    ) -> tuple[Samples, NDArray[np.int64], Samples]:
        samples = round(STREAM_S * SAMPLE_RATE)
        row = draw_background(samples, self.corpus, strength, rng)
        scene = compose(self._parts(rng), STREAM_S).cut(samples)
        row[: len(scene.samples)] += scene.samples
        return row, *step_targets(scene.words, self.labels, self.step_s, is_new)

    def _parts(self, rng: np.random.Generator) -> Iterator[StreamPart]:
        kind = rng.random()
        if kind < WORDLESS_SHARE:
            return iter(())
        alone = kind < WORDLESS_SHARE + SPEECH_ALONE_SHARE and self.corpus.speech
        parts = mixed_utterances(self.corpus, SPEECH_ALONE if alone else MIX, rng)
        return (part._replace(utterance=at_rate(part.utterance, rng.choice(RATES))) for part in parts)


def at_rate(utterance: Utterance, rate: float) -> Utterance:
    """An utterance played faster or slower."""
    source = np.arange(int((len(utterance.samples) - 1) / rate)) * rate
    left = source.astype(np.int64)
    samples = utterance.samples.astype(np.float32)
    played = samples[left] + (samples[left + 1] - samples[left]) * (source - left).astype(np.float32)
    words = (replace(word, start_s=word.start_s / rate, end_s=word.end_s / rate) for word in utterance.words)
    return Utterance(played.astype(np.int16), tuple(words))


def step_targets(
    words: Sequence[WordSpan], labels: Labels, step_s: float, is_new: bool
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Target and weight of every step of a stream with these words, in order of their starts."""
    times_s = (np.arange(round(STREAM_S / step_s)) + 1) * step_s
    targets = np.full(len(times_s), NO_KEYWORD)
    weights = np.full(len(times_s), QUIET_WEIGHT, np.float32)
    if is_new:
        _label_beginning(words, labels, times_s, targets, weights)
    whole = [word for word in words if word.kind != "embedded"]
    for word, next_start_s in zip(whole, [*(word.start_s for word in whole), np.inf][1:], strict=True):
        _label_word(word, min(word.end_s + HOLD_S, next_start_s), labels, times_s, targets, weights)
    for word in words:
        if word.kind == "embedded":
            weights[(times_s > word.start_s) & (times_s <= word.end_s + EMBEDDED_MARGIN_S)] = 0
    return targets, weights


def _label_beginning(
    words: Sequence[WordSpan], labels: Labels, times_s: Samples, targets: NDArray[np.int64], weights: Samples
) -> None:
    """What an utterance will be, until its first word begins; silence if there is none."""
    if not words:
        targets[:] = labels.silence
        return
    first = words[0]
    before = times_s <= first.start_s
    targets[before] = labels.index(first.word) if first.kind == "keyword" else labels.unknown
    weights[before] = BEFORE_WEIGHT


def _label_word(
    word: WordSpan, last_s: float, labels: Labels, times_s: Samples, targets: NDArray[np.int64], weights: Samples
) -> None:
    """Write one word into targets and weights; `last_s`: until when it is the answer."""
    spoken = (times_s > word.start_s) & (times_s <= last_s)
    if word.kind == "speech":
        weights[spoken] = 1
    elif word.kind == "prefix":
        weights[spoken] = times_s[spoken] > word.end_s + CUT_MARGIN_S
    elif word.start_s < 0 or word.end_s > STREAM_S:  # the stream does not have all of it
        weights[spoken] = 0
    else:
        first_s = word.start_s + FIRST_SHARE * (word.end_s - word.start_s)
        rising = (times_s[spoken] - first_s) / (word.end_s - first_s)
        weights[spoken] = np.where(rising > 0, (FIRST_WEIGHT + (1 - FIRST_WEIGHT) * rising).clip(0, 1), 0)
        targets[spoken] = labels.index(word.word)
