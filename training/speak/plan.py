"""What is to be spoken, by whom and how, decided before anything is synthesised: the same plan for the same request.

The words themselves; near words and common words, which are not to be taken for them; and running speech.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path, PurePosixPath

import numpy as np

from training.data.recordings import SPEAKER_ENDS
from training.speak.delivery import Delivery, draw_delivery
from training.speak.engines import Engine
from training.speak.near_words import is_apart, near_words
from training.speak.pronunciation import contains, pronounce
from training.speak.voices import Voice, draw_voice

SPEECH = "_speech_"  # folder of running speech beside those of the words
SENTENCES = tuple(Path(__file__).with_name("sentences.txt").read_text().splitlines())
MARKS = ("", ".", "!", "?", ",")  # after a word, for its melody
RATES = (0.75, 1.3)
SPLIT_OF_TENTH = ("train",) * 8 + ("validation", "test")  # of each ten syntheses of a text
SPLIT_OF_FIFTH = ("train",) * 3 + ("validation", "test")  # of each five of near and common words
DELIVERIES = 2  # recordings per synthesis
NEAR_IN_SPEECH = 0.4  # share of the sentences in which a near word is spoken
WORDS_PER_MINUTE = 140  # of running speech


@dataclass(frozen=True)
class SpeakRequest:
    """What `rc-train speak` is asked for."""

    words: tuple[str, ...]
    spellings: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of a word, beside the word itself
    per_word: int = 300  # recordings
    near: int = 40  # number of near words of each word
    common: int = 60  # number of common words
    per_other: int = 6  # recordings of each near and each common word
    speech_minutes: float = 6.0
    seed: int = 0

    def texts(self, word: str) -> tuple[str, ...]:
        """All spellings of a word."""
        return (word, *self.spellings.get(word, ()))

    @property
    def keyword_texts(self) -> list[str]:
        """All spellings of all words: what near words and sentences must not contain."""
        return [text for word in self.words for text in self.texts(word)]


@dataclass(frozen=True)
class Recording:
    """A file to be written, and how it is delivered."""

    file: str  # relative to the folder of the plan
    delivery: Delivery


@dataclass(frozen=True)
class Synthesis:
    """A text that a voice speaks once, and the recordings that are made of it."""

    word: str  # the folder; empty for running speech
    text: str
    voice: Voice
    rate: float
    recordings: tuple[Recording, ...]


def plan(request: SpeakRequest, engine: Engine) -> list[Synthesis]:
    """Everything that is asked for: words in turn first, so that an interrupted run has some of each."""
    near = {word: near_words(word, request.near, request.keyword_texts) for word in request.words}
    others = dict.fromkeys(other for words in near.values() for other in words)
    others |= dict.fromkeys(common_words(request))
    wanted = [(word, request.texts(word), request.per_word, True) for word in request.words]
    wanted += [(other, (other,), request.per_other, False) for other in others]
    planned = [list(syntheses_of_word(*of_word, request.seed, engine)) for of_word in wanted]
    in_turn = [
        synthesis
        for turn in range(max(map(len, planned)))
        for of_word in planned
        for synthesis in of_word[turn : turn + 1]
    ]
    return in_turn + list(running_speech(request, [word for words in near.values() for word in words], engine))


def syntheses_of_word(
    word: str, texts: Sequence[str], size: int, is_keyword: bool, seed: int, engine: Engine
) -> Iterator[Synthesis]:
    """`size` recordings of a word, in turn by its spellings; more are asked for later without changing the first."""
    for index in range(-(-size // DELIVERIES)):
        rng = np.random.default_rng([seed, zlib.crc32(f"{engine.name} {word}".encode()), index])
        split = SPLIT_OF_TENTH[index % len(SPLIT_OF_TENTH)] if is_keyword else str(rng.choice(SPLIT_OF_FIFTH))
        voice = draw_voice(engine.voices, engine.can_mix, split, rng)
        text = texts[index % len(texts)] + str(rng.choice(MARKS))
        if " " in word and rng.random() < 1 / 4:  # with a pause in a phrase
            text = text.replace(" ", ", ", 1)
        takes = range(index * DELIVERIES, min(size, (index + 1) * DELIVERIES))
        recordings = tuple(
            Recording(f"{word}/{voice.speaker}{SPEAKER_ENDS}{take}.flac", draw_delivery(rng)) for take in takes
        )
        yield Synthesis(word, text, voice, draw_rate(rng), recordings)


def running_speech(request: SpeakRequest, near: Sequence[str], engine: Engine) -> Iterator[Synthesis]:
    """Sentences until the minutes are full, some with a near word in them, none with a keyword."""
    sentences = [text for text in SENTENCES if has_no_keyword(text, request.keyword_texts)]
    words = 0
    for index in count():
        if words >= request.speech_minutes * WORDS_PER_MINUTE:
            return
        rng = np.random.default_rng([request.seed, zlib.crc32(f"{engine.name} {SPEECH}".encode()), index])
        split = SPLIT_OF_TENTH[index % len(SPLIT_OF_TENTH)]
        voice = draw_voice(engine.voices, engine.can_mix, split, rng)
        text = str(rng.choice(sentences))
        if near and rng.random() < NEAR_IN_SPEECH:
            text = with_word(text, str(rng.choice(near)), rng)
        words += len(text.split())
        part = "dev" if split == "test" else "train"
        file = PurePosixPath(SPEECH, part, voice.speaker, f"{index}.flac")
        yield Synthesis("", text, voice, draw_rate(rng), (Recording(str(file), draw_delivery(rng)),))


def with_word(sentence: str, word: str, rng: np.random.Generator) -> str:
    """The sentence with a word somewhere in it, as in: we need more flour, hey loomis, eggs."""
    words = sentence.split()
    at = int(rng.integers(len(words)))
    return " ".join([*words[:at], word, *words[at:]])


def common_words(request: SpeakRequest) -> list[str]:
    """Words of the sentences, the same ones every time, that neither are nor contain a keyword."""
    forbidden = [pronounce(text) for text in request.keyword_texts]
    vocabulary = dict.fromkeys(word for sentence in SENTENCES for word in words_in(sentence) if len(word) > 2)
    apart = (word for word in vocabulary if is_apart(word, forbidden))
    return [word for word, _ in zip(every_third(apart), range(request.common), strict=False)]


def every_third(words: Iterator[str]) -> Iterator[str]:
    for index, word in enumerate(words):
        if index % 3 == 0:
            yield word


def words_in(sentence: str) -> list[str]:
    return [word.strip(".,;:?!").lower() for word in sentence.split()]


def has_no_keyword(sentence: str, keywords: Sequence[str]) -> bool:
    """Whether no keyword is spoken in a sentence, nor sounds in one of its words."""
    spoken = pronounce(" ".join(words_in(sentence)))
    return not any(contains(spoken, pronounce(keyword)) for keyword in keywords)


def draw_rate(rng: np.random.Generator) -> float:
    return round(float(rng.uniform(*RATES)), 3)
