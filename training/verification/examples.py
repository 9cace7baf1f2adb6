"""What a verifier learns from: the audio at candidates of a model's streams, and whether each was its keyword."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.spotting.audio import Samples
from service.spotting.metadata import DEFAULT_SPEED
from service.spotting.model import Model
from training.data.background_talk import draw_background
from training.data.corpus import Corpus, as_int16
from training.data.recordings import DatasetError
from training.data.synthetic_streams import (
    AcousticConditions,
    MixSettings,
    Scene,
    mixed_utterances,
    running_speech,
    scenes,
)
from training.evaluation.matching import DetectionMatch, match_detections
from training.evaluation.stream_scores import detect, score_streams
from training.evaluation.streams import first_hours
from training.model.frontend import SAMPLE_RATE
from training.model.speech_embedding import samples_of
from training.model.verifier_network import VECTORS

CANDIDATE = 0.15  # threshold of the model: lower than any speed's, so that there are enough false ones
AFTER_MS = 160.0  # audio from a candidate to the verifier's look at it
OFFSETS = 4  # windows of an example, each one vector later: as words are spoken faster or slower
EXAMPLE = samples_of(VECTORS + OFFSETS - 1)  # samples
LATEST_S = AFTER_MS / 1000 + 0.08  # from a candidate to the end of its latest window
SCENES_AT_ONCE = 16
WORD_CONDITIONS = AcousticConditions(snr_db=(0.0, 0.0))  # the level of what is behind words is drawn with it
SPEECH_CONDITIONS = (AcousticConditions(), AcousticConditions(room=0.0, colour_db=0.0, snr_db=None))


class VerifierExamples(NamedTuple):
    audio: NDArray[np.int16]  # [examples, EXAMPLE]
    targets: NDArray[np.int64]  # number of the keyword that was spoken, or the number of keywords for none
    in_speech: NDArray[np.bool_]  # whether it is from running speech


def mine_examples(model: Model, corpus: Corpus, hours: float, seed: int) -> VerifierExamples:
    """Candidates in `hours` of words with all that may be behind them, and in all running speech, clean and not."""
    rng = np.random.default_rng([seed, 7])
    words = examples_in(model, first_hours(words_of(corpus, rng), hours))
    speech = examples_in(model, chain(*(speech_of(corpus, where, rng) for where in SPEECH_CONDITIONS)))
    examples = [(*example, False) for example in words] + [(*example, True) for example in speech]
    if not examples:
        raise DatasetError("expected words that the model takes for its keywords, got none in the streams")
    audio, targets, in_speech = zip(*examples, strict=True)
    return VerifierExamples(np.stack(audio), np.array(targets), np.array(in_speech))


def words_of(corpus: Corpus, rng: np.random.Generator) -> Iterator[Scene]:
    """Indefinitely: words between words, in half of the scenes in a room, with anything behind them."""
    return scenes(mixed_utterances(corpus, MixSettings(), rng), WORD_CONDITIONS, corpus, rng, behind)


def behind(samples: int, corpus: Corpus, rng: np.random.Generator) -> Samples:
    return draw_background(samples, corpus, 1.0, rng)


def speech_of(corpus: Corpus, conditions: AcousticConditions, rng: np.random.Generator) -> Iterator[Scene]:
    return scenes(running_speech(corpus, rng), conditions, corpus, rng)


def examples_in(model: Model, stream: Iterator[Scene]) -> Iterator[tuple[NDArray[np.int16], int]]:
    """The audio and the target of each candidate in each scene."""
    keywords = model.metadata.keywords
    while batch := list(islice(stream, SCENES_AT_ONCE)):
        scored = score_streams(model, {str(number): iter([scene]) for number, scene in enumerate(batch)})
        for scene, (scores, words, _) in zip(batch, scored.values(), strict=True):
            candidates = detect(model, scores, speed=DEFAULT_SPEED, threshold=CANDIDATE)
            for match in match_detections(words, candidates):
                yield example_at(scene.samples, match.detected.time_s), target_of(match, keywords)


def example_at(samples: Samples, time_s: float) -> NDArray[np.int16]:
    """The audio before LATEST_S after a candidate; silence where there is none."""
    end = round((time_s + LATEST_S) * SAMPLE_RATE)
    known = samples[max(0, end - EXAMPLE) : end]
    missing = max(0, EXAMPLE - end)
    return as_int16(np.pad(known, (missing, EXAMPLE - missing - len(known))))


def target_of(match: DetectionMatch, keywords: Sequence[str]) -> int:
    """The number of the keyword that was spoken; of none if it was another word or a part of one."""
    word = match.word
    spoken = word is not None and word.kind in ("keyword", "embedded")
    return keywords.index(word.word) if word is not None and spoken else len(keywords)
