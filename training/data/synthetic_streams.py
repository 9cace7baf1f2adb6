"""Endless audio with known word times: words laid one after another, then a room, a microphone and noise about them.

Composing is cheap and in samples alone; surroundings come after it, so that training may put its own in their place.
Every choice comes from the generator that is passed in. Knows nothing of files or models.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from training.data.corpus import LOUDNESS, Corpus, Floats, Utterance, WordSpan, as_int16, faded
from training.model.frontend import SAMPLE_RATE

SCENE_S = 28.0  # at least; one room, one microphone, one noise. Nearly always under 2 ** 19 samples


@dataclass(frozen=True)
class MixSettings:
    """What is said, and how; a range is drawn from anew for each utterance."""

    keyword: float = 0.4  # share of the utterances; what the material lacks leaves its share to the others
    other: float = 0.25
    part: float = 0.2
    speech: float = 0.15
    part_share: tuple[float, float] = (0.4, 0.8)  # of a word that is said
    speech_s: tuple[float, float] = (1.0, 4.0)  # of a piece of running speech
    noise_s: float = 3.0
    gap_s: tuple[float, float] = (0.1, 1.3)
    gain_db: tuple[float, float] = (-4.0, 4.0)
    hard: float = 1 / 3  # share of the material's hard ones among what is said of their kind


@dataclass(frozen=True)
class AcousticConditions:
    """Where it is said; a range is drawn from anew for each scene."""

    room: float = 0.5  # share of scenes in a room
    colour_db: float = 6.0  # largest gain of the microphone's curve at any of a few frequencies
    snr_db: tuple[float, float] | None = (5.0, 30.0)  # of a word against the noise; None: no noise
    level_db: tuple[float, float] = (-40.0, -14.0)  # root mean square of a word, full scale 0


class StreamPart(NamedTuple):
    gap_s: float  # from the end of what was said before
    gain: float
    spoken: Utterance


class Scene(NamedTuple):
    samples: Floats
    words: tuple[WordSpan, ...]  # in order of their starts

    def cut(self, samples: int) -> "Scene":
        """The first samples of it, with the words that begin in them."""
        seconds = samples / SAMPLE_RATE
        return Scene(self.samples[:samples], tuple(word for word in self.words if word.start_s < seconds))


def talk(material: Corpus, settings: MixSettings, rng: Generator) -> Iterator[StreamPart]:
    """Without end: keywords, other words, beginnings of keywords and pieces of running speech at random."""
    shares = {"keyword": settings.keyword, "part": settings.part}
    shares |= {"other": settings.other} if material.others else {}
    shares |= {"speech": settings.speech} if material.speech else {}
    kinds, weights = list(shares), np.array(list(shares.values())) / sum(shares.values())
    while True:
        kind = kinds[rng.choice(len(kinds), p=weights)]
        gap, gain = rng.uniform(*settings.gap_s), 10 ** (rng.uniform(*settings.gain_db) / 20)
        yield StreamPart(gap, gain, say(kind, material, settings, rng))


def say(kind: str, material: Corpus, settings: MixSettings, rng: Generator) -> Utterance:
    """Something of a kind. Keywords are equally likely; other words by the root of their clips: some have only one."""
    if (hard := material.hard.get(kind)) and rng.random() < settings.hard:
        return hard[rng.integers(len(hard))]
    if kind == "noise":
        return Utterance(as_int16(background(int(settings.noise_s * SAMPLE_RATE), material, rng)), ())
    if kind == "speech":
        return piece(material.speech[rng.integers(len(material.speech))], rng.uniform(*settings.speech_s), rng)
    words = list((material.others if kind == "other" else material.keywords).values())
    weights = np.sqrt([len(clips) if kind == "other" else 1 for clips in words])
    clips = words[rng.choice(len(words), p=weights / weights.sum())]
    spoken = clips[rng.integers(len(clips))]
    return beginning(spoken, rng.uniform(*settings.part_share)) if kind == "part" else spoken


def beginning(spoken: Utterance, share: float) -> Utterance:
    """The first share of a clip's word, cut off there."""
    word = spoken.words[0]
    end_s = word.start_s + share * (word.end_s - word.start_s)
    samples = spoken.samples[: int(end_s * SAMPLE_RATE)]
    return Utterance(faded(samples), (replace(word, end_s=end_s, kind="part", share=share),))


def piece(spoken: Utterance, seconds: float, rng: Generator) -> Utterance:
    """So many seconds from anywhere in a recording; words at its edges are cut with it."""
    start_s = rng.uniform(0, max(0.0, len(spoken.samples) / SAMPLE_RATE - seconds))
    samples = spoken.samples[int(start_s * SAMPLE_RATE) : int((start_s + seconds) * SAMPLE_RATE)]
    length_s = len(samples) / SAMPLE_RATE
    words = [word.later(-start_s) for word in spoken.words]
    return Utterance(
        faded(samples),
        tuple(
            replace(word, start_s=max(0.0, word.start_s), end_s=min(length_s, word.end_s))
            for word in words
            if word.end_s > 0 and word.start_s < length_s
        ),
    )


def reading(material: Corpus, rng: Generator) -> Iterator[StreamPart]:
    """All running speech of the material once, in random order."""
    for index in rng.permutation(len(material.speech)):
        yield StreamPart(rng.uniform(0.2, 1.0), 1.0, material.speech[index])


def compose(utterances: Iterator[StreamPart], seconds: float) -> Scene:
    """The next utterances until so many seconds are full, whole: the scene lasts until the last of them is over.

    The silence at the edges of clips overlaps with their neighbours; gaps are between the words.
    """
    placed: list[tuple[int, StreamPart]] = []
    words: list[WordSpan] = []
    at_s = 0.0
    while at_s < seconds and (utterance := next(utterances, None)):
        shift = round((at_s + utterance.gap_s - utterance.spoken.words[0].start_s) * SAMPLE_RATE)
        placed.append((shift, utterance))
        words += [word.later(shift / SAMPLE_RATE) for word in utterance.spoken.words]
        at_s += utterance.gap_s + utterance.spoken.words[0].end_s - utterance.spoken.words[0].start_s
    samples = np.zeros(max((at + len(said.spoken.samples) for at, said in placed), default=0), np.float32)
    for at, (_, gain, spoken) in placed:
        before = max(0, -at)  # samples of the first clip that lie before the scene
        samples[at + before : at + len(spoken.samples)] += spoken.samples[before:] * np.float32(gain / 32768)
    return Scene(samples, tuple(words))


def scenes(
    utterances: Iterator[StreamPart], surroundings: AcousticConditions, material: Corpus, rng: Generator
) -> Iterator[Scene]:
    """The utterances, scene by scene, each in surroundings of its own, until there are none left."""
    while len((scene := compose(utterances, SCENE_S)).samples):
        yield Scene(apply_acoustics(scene.samples, surroundings, material, rng), scene.words)


def noises(surroundings: AcousticConditions, material: Corpus, rng: Generator) -> Iterator[Scene]:
    """Without end: noise and music where words would be."""
    for_itself = replace(surroundings, snr_db=None)
    while True:
        yield Scene(
            apply_acoustics(background(int(SCENE_S * SAMPLE_RATE), material, rng), for_itself, material, rng), ()
        )


def apply_acoustics(samples: Floats, surroundings: AcousticConditions, material: Corpus, rng: Generator) -> Floats:
    """Samples, in which words have LOUDNESS, in a room, through a microphone, in noise, at a level."""
    samples = in_room(samples, surroundings, material, rng)
    if surroundings.snr_db:
        noise = background(len(samples), material, rng)
        samples = samples + noise * np.float32(10 ** (-rng.uniform(*surroundings.snr_db) / 20))
    level = 10 ** (rng.uniform(*surroundings.level_db) / 20) / LOUDNESS
    return (samples * np.float32(level)).clip(-1, 1)


def in_room(samples: Floats, surroundings: AcousticConditions, material: Corpus, rng: Generator) -> Floats:
    """Through a smooth random microphone curve, and some of the time in a room."""
    size = 1 << (len(samples) + material.rooms.shape[1]).bit_length()
    points = surroundings.colour_db * rng.uniform(-1, 1, 6)
    curve = np.interp(np.linspace(0, 5, size // 2 + 1), np.arange(6), points)
    spectrum = np.fft.rfft(samples, size) * 10 ** (curve / 20)
    if len(material.rooms) and rng.random() < surroundings.room:
        spectrum *= np.fft.rfft(material.rooms[rng.integers(len(material.rooms))], size)
    return np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)


def background(length: int, material: Corpus, rng: Generator) -> Floats:
    """Noise of LOUDNESS from a random place on, from the beginning again where it ends."""
    start = rng.integers(len(material.noise))
    noise = np.take(material.noise, np.arange(start, start + length), mode="wrap")
    return noise * np.float32(LOUDNESS / max(1e-5, np.sqrt(np.square(noise).mean())))
