"""What a verifier learns from, on streams of tones: which audio, and what was spoken there."""

import numpy as np
import pytest

from service.spotting.model import Model
from tests.support.tone_model import TONES
from tests.support.tone_utterances import tone_utterance
from training.data.corpus import LOUDNESS, Corpus, Utterance, WordSpan
from training.evaluation.matching import DetectionMatch
from training.evaluation.stream_scores import DetectedWord
from training.model.frontend import SAMPLE_RATE
from training.verification.examples import EXAMPLE, LATEST_S, example_at, mine_examples, target_of

KEYWORDS = ("yes", "no")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Keywords, and running speech in which a piece sounds like "yes"."""
    noise = (LOUDNESS * np.random.default_rng(0).standard_normal(SAMPLE_RATE)).astype(np.float32)
    keywords = {word: [tone_utterance(word, "keyword", TONES[word])] for word in KEYWORDS}
    speech = Utterance(tone_utterance("", "speech", TONES["yes"]).samples, (WordSpan("train/1/a", 0.0, 1.0, "speech"),))
    return Corpus(keywords, {}, [speech] * 5, noise, np.zeros((0, 1), np.float32))


def test_keywords_and_what_is_taken_for_them_are_examples(model: Model, corpus: Corpus) -> None:
    examples = mine_examples(model, corpus, hours=0.02, seed=0)
    assert examples.audio.shape == (len(examples.targets), EXAMPLE)
    assert examples.audio.dtype == np.int16
    assert set(examples.targets[~examples.in_speech].tolist()) >= {0, 1}
    assert set(examples.targets[examples.in_speech].tolist()) == {len(KEYWORDS)}


def test_examples_are_the_same_for_the_same_seed(model: Model, corpus: Corpus) -> None:
    first, second = (mine_examples(model, corpus, hours=0.01, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.audio, second.audio)


def test_the_audio_of_an_example_ends_a_little_after_its_candidate() -> None:
    samples = np.linspace(0, 0.8, 4 * SAMPLE_RATE, dtype=np.float32)
    end = round((2.0 + LATEST_S) * SAMPLE_RATE)
    whole = (samples * 32768).astype(np.int16)
    assert abs(int(example_at(samples, 2.0)[-1]) - int(whole[end - 1])) <= 1
    early, late = example_at(samples, 0.5), example_at(samples, 4.0)
    assert len(early) == len(late) == EXAMPLE
    assert not early[0]
    assert not late[-1]


@pytest.mark.parametrize(
    ("word", "target"),
    [
        (WordSpan("no", 0.0, 1.0, "keyword"), 1),
        (WordSpan("yes", 0.0, 1.0, "embedded"), 0),
        (WordSpan("no", 0.0, 1.0, "prefix", 0.5), 2),
        (WordSpan("cat", 0.0, 1.0, "other"), 2),
        (None, 2),
    ],
)
def test_the_target_is_the_keyword_that_was_spoken_whole(word: WordSpan | None, target: int) -> None:
    assert target_of(DetectionMatch(DetectedWord("yes", 1.0), "false", word), KEYWORDS) == target
