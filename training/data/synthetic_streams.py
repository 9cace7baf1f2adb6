"""Continuous audio with known word times: utterances one after another, then a room, a microphone and noise.

Composing is cheap and in samples alone; acoustics come after it, so that training can apply its own instead.
Every choice comes from the generator that is passed in. Knows nothing of files or models.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from service.spotting.audio import FULL_SCALE, Samples
from training.data.corpus import LOUDNESS, Corpus, Utterance, WordSpan, as_int16, faded
from training.model.frontend import SAMPLE_RATE

SCENE_S = 28.0  # minimum length of a scene: one room, one microphone, one noise; nearly always under 2 ** 19 samples


@dataclass(frozen=True)
class MixSettings:
    """Which utterances a stream has, and how they follow each other; ranges are drawn from for every utterance."""

    keyword: float = 0.4  # shares of the utterances; a kind that the corpus lacks leaves its share to the others
    other: float = 0.25
    prefix: float = 0.2
    speech: float = 0.15
    prefix_share: tuple[float, float] = (0.4, 0.8)  # share of a keyword that a prefix has
    speech_s: tuple[float, float] = (1.0, 4.0)  # length of an excerpt of running speech
    noise_s: float = 3.0
    gap_s: tuple[float, float] = (0.1, 1.3)
    gain_db: tuple[float, float] = (-4.0, 4.0)
    hard: float = 1 / 3  # share of the corpus's hard negatives among the utterances of their kind


@dataclass(frozen=True)
class AcousticConditions:
    """Room, microphone and noise of a scene; ranges are drawn from for every scene."""

    room: float = 0.5  # share of scenes in a room
    colour_db: float = 6.0  # largest gain of the microphone's curve at any of a few frequencies
    snr_db: tuple[float, float] | None = (5.0, 30.0)  # words relative to the noise; None: no noise
    level_db: tuple[float, float] = (-40.0, -14.0)  # root mean square of words relative to full scale


Background = Callable[[int, Corpus, np.random.Generator], Samples]  # samples, corpus -> samples of LOUDNESS


class StreamPart(NamedTuple):
    gap_s: float  # from the end of the utterance before
    gain: float
    utterance: Utterance


class Scene(NamedTuple):
    samples: Samples
    words: tuple[WordSpan, ...]  # in order of their starts

    def cut(self, samples: int) -> "Scene":
        """The first samples of the scene, with the words that begin in them."""
        seconds = samples / SAMPLE_RATE
        return Scene(self.samples[:samples], tuple(word for word in self.words if word.start_s < seconds))


def mixed_utterances(corpus: Corpus, settings: MixSettings, rng: np.random.Generator) -> Iterator[StreamPart]:
    """Indefinitely: keywords, other words, prefixes of keywords and excerpts of running speech at random."""
    shares = {"keyword": settings.keyword, "prefix": settings.prefix}
    shares |= {"other": settings.other} if corpus.others else {}
    shares |= {"speech": settings.speech} if corpus.speech else {}
    kinds, weights = list(shares), np.array(list(shares.values())) / sum(shares.values())
    while True:
        kind = kinds[rng.choice(len(kinds), p=weights)]
        gap, gain = rng.uniform(*settings.gap_s), 10 ** (rng.uniform(*settings.gain_db) / 20)
        yield StreamPart(gap, gain, sample_utterance(kind, corpus, settings, rng))


def sample_utterance(kind: str, corpus: Corpus, settings: MixSettings, rng: np.random.Generator) -> Utterance:
    """One utterance of a kind. Keywords are equally likely; other words by the square root of their number of clips."""
    if (hard := corpus.hard.get(kind)) and rng.random() < settings.hard:
        return hard[rng.integers(len(hard))]
    if kind == "noise":
        return Utterance(as_int16(background(int(settings.noise_s * SAMPLE_RATE), corpus, rng)), ())
    if kind == "speech":
        return excerpt(corpus.any_speech(rng), rng.uniform(*settings.speech_s), rng)
    words = list((corpus.others if kind == "other" else corpus.keywords).values())
    weights = np.sqrt([len(clips) if kind == "other" else 1 for clips in words])
    clips = words[rng.choice(len(words), p=weights / weights.sum())]
    clip = clips[rng.integers(len(clips))]
    return truncate(clip, rng.uniform(*settings.prefix_share)) if kind == "prefix" else clip


def truncate(clip: Utterance, share: float) -> Utterance:
    """The first `share` of a clip's word, cut off there."""
    word = clip.words[0]
    end_s = word.start_s + share * (word.end_s - word.start_s)
    samples = clip.samples[: int(end_s * SAMPLE_RATE)]
    return Utterance(faded(samples), (replace(word, end_s=end_s, kind="prefix", share=share),))


def excerpt(recording: Utterance, seconds: float, rng: np.random.Generator) -> Utterance:
    """`seconds` from a random place in a recording; words at its edges are cut with it."""
    start_s = rng.uniform(0, max(0.0, len(recording.samples) / SAMPLE_RATE - seconds))
    samples = recording.samples[int(start_s * SAMPLE_RATE) : int((start_s + seconds) * SAMPLE_RATE)]
    length_s = len(samples) / SAMPLE_RATE
    words = [word.later(-start_s) for word in recording.words]
    return Utterance(
        faded(samples),
        tuple(
            replace(word, start_s=max(0.0, word.start_s), end_s=min(length_s, word.end_s))
            for word in words
            if word.end_s > 0 and word.start_s < length_s
        ),
    )


def running_speech(corpus: Corpus, rng: np.random.Generator) -> Iterator[StreamPart]:
    """All running speech of the corpus once, in random order."""
    for index in rng.permutation(len(corpus.speech)):
        yield StreamPart(rng.uniform(0.2, 1.0), 1.0, corpus.speech[index])


def compose(parts: Iterator[StreamPart], seconds: float) -> Scene:
    """The next whole utterances until at least `seconds` are full.

    The silence at the edges of clips overlaps with their neighbours; gaps are between the words.
    """
    placed: list[tuple[int, StreamPart]] = []
    words: list[WordSpan] = []
    at_s = 0.0
    while at_s < seconds and (part := next(parts, None)):
        first = part.utterance.words[0]
        shift = round((at_s + part.gap_s - first.start_s) * SAMPLE_RATE)
        placed.append((shift, part))
        words += [word.later(shift / SAMPLE_RATE) for word in part.utterance.words]
        at_s += part.gap_s + first.end_s - first.start_s
    samples = np.zeros(max((at + len(part.utterance.samples) for at, part in placed), default=0), np.float32)
    for at, (_, gain, utterance) in placed:
        before = max(0, -at)  # samples of the first clip that lie before the scene
        samples[at + before : at + len(utterance.samples)] += utterance.samples[before:] * np.float32(gain / FULL_SCALE)
    return Scene(samples, tuple(words))


def scenes(
    parts: Iterator[StreamPart],
    conditions: AcousticConditions,
    corpus: Corpus,
    rng: np.random.Generator,
    behind: Background | None = None,
) -> Iterator[Scene]:
    """All utterances, scene by scene, each scene with acoustics of its own; `behind` them noise unless it is passed."""
    while len((scene := compose(parts, SCENE_S)).samples):
        yield Scene(apply_acoustics(scene.samples, conditions, corpus, rng, behind), scene.words)


def noises(conditions: AcousticConditions, corpus: Corpus, rng: np.random.Generator) -> Iterator[Scene]:
    """Indefinitely: noise and music without words."""
    alone = replace(conditions, snr_db=None)
    while True:
        noise = background(int(SCENE_S * SAMPLE_RATE), corpus, rng)
        yield Scene(apply_acoustics(noise, alone, corpus, rng), ())


def apply_acoustics(
    samples: Samples,
    conditions: AcousticConditions,
    corpus: Corpus,
    rng: np.random.Generator,
    behind: Background | None = None,
) -> Samples:
    """Samples, in which words have LOUDNESS, with a room, a microphone, noise and a level."""
    samples = in_room(samples, conditions, corpus, rng)
    if conditions.snr_db:
        noise = (behind or background)(len(samples), corpus, rng)
        samples = samples + noise * np.float32(10 ** (-rng.uniform(*conditions.snr_db) / 20))
    level = 10 ** (rng.uniform(*conditions.level_db) / 20) / LOUDNESS
    return (samples * np.float32(level)).clip(-1, 1)


def in_room(samples: Samples, conditions: AcousticConditions, corpus: Corpus, rng: np.random.Generator) -> Samples:
    """Samples with a smooth random microphone curve, and for a share of the scenes a room."""
    size = 1 << (len(samples) + corpus.rooms.shape[1]).bit_length()
    points = conditions.colour_db * rng.uniform(-1, 1, 6)
    curve = np.interp(np.linspace(0, 5, size // 2 + 1), np.arange(6), points)
    spectrum = np.fft.rfft(samples, size) * 10 ** (curve / 20)
    if len(corpus.rooms) and rng.random() < conditions.room:
        spectrum *= np.fft.rfft(corpus.rooms[rng.integers(len(corpus.rooms))], size)
    return np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)


def background(length: int, corpus: Corpus, rng: np.random.Generator) -> Samples:
    """Noise of LOUDNESS from a random place on; it starts again where it ends."""
    start = rng.integers(len(corpus.noise))
    noise = np.take(corpus.noise, np.arange(start, start + length), mode="wrap")
    return noise * np.float32(LOUDNESS / max(1e-5, np.sqrt(np.square(noise).mean())))
