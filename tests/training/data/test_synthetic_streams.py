"""Composed audio has its words at their times, and is the same for the same seed."""

from itertools import islice

import numpy as np
import pytest

from training.data.corpus import LOUDNESS, Corpus, Kind, Utterance, WordSpan
from training.data.endpoints import endpoints
from training.data.synthetic_streams import (  # fmt: skip
    AcousticConditions,
    MixSettings,
    apply_acoustics,
    background,
    compose,
    excerpt,
    mixed_utterances,
    noises,
    running_speech,
    scenes,
    truncate,
)
from training.model.frontend import SAMPLE_RATE

DEFAULT = MixSettings()
QUIET = AcousticConditions(room=0, colour_db=0, snr_db=None, level_db=(-20, -20))


def clip(word: str, kind: Kind, tone: float, start_s: float = 0.3, end_s: float = 0.7) -> Utterance:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    there = (time >= start_s) & (time < end_s)
    sound = LOUDNESS * np.sqrt(2) * np.sin(2 * np.pi * tone * time) * there
    return Utterance((32767 * sound).astype(np.int16), (WordSpan(word, start_s, end_s, kind),))


def speech() -> Utterance:
    rng = np.random.default_rng(1)
    samples = (LOUDNESS * 32767 * rng.standard_normal(6 * SAMPLE_RATE)).clip(-32767, 32767).astype(np.int16)
    return Utterance(samples, (WordSpan("", 0.0, 6.0, "speech"), WordSpan("no", 2.0, 2.3, "embedded")))


def corpus() -> Corpus:
    noise = (LOUDNESS * np.random.default_rng(0).standard_normal(5 * SAMPLE_RATE)).astype(np.float32)
    echo = np.zeros((1, 4000), np.float32)
    echo[0, [0, 3000]] = 0.8, 0.6
    keywords = {"yes": [clip("yes", "keyword", 500)], "no": [clip("no", "keyword", 900, 0.2, 0.9)]}
    return Corpus(keywords, {"cat": [clip("cat", "other", 1500)]}, [speech()], noise, echo)


def spoken_words(seed: int, seconds: float = 20, mix: MixSettings = DEFAULT) -> list[WordSpan]:
    everything = mixed_utterances(corpus(), mix, np.random.default_rng(seed))
    return list(compose(everything, seconds).words)


def test_words_sound_from_their_start_to_their_end() -> None:
    only_keywords = MixSettings(other=0, prefix=0, speech=0, gap_s=(0.2, 0.6))
    scene = compose(mixed_utterances(corpus(), only_keywords, np.random.default_rng(0)), 10)
    sounding = np.abs(scene.samples) > 0
    for word in scene.words:
        start, end = (round(second * SAMPLE_RATE) for second in (word.start_s, word.end_s))
        assert sounding[start:end].mean() > 0.9
        assert not sounding[start - 1000 : start - 2].any()
        assert not sounding[end + 2 : end + 1000].any()
    assert 0.2 <= scene.words[1].start_s - scene.words[0].end_s <= 0.6


def test_the_same_seed_gives_the_same_words_and_another_others() -> None:
    assert spoken_words(3) == spoken_words(3)
    assert spoken_words(3) != spoken_words(4)


def test_all_kinds_are_as_frequent_as_asked() -> None:
    mix = MixSettings(keyword=0.5, other=0.3, prefix=0.1, speech=0.1)
    kinds = [word.kind for word in spoken_words(0, seconds=600, mix=mix)]
    kinds = [kind for kind in kinds if kind != "embedded"]
    assert kinds.count("keyword") / len(kinds) == pytest.approx(0.5, abs=0.08)
    assert kinds.count("other") / len(kinds) == pytest.approx(0.3, abs=0.08)
    assert {"prefix", "speech"} < set(kinds)


def test_a_kind_that_the_corpus_lacks_is_not_drawn() -> None:
    only = Corpus(corpus().keywords, {}, [], corpus().noise, corpus().rooms)
    kinds = {
        part.utterance.words[0].kind
        for part in islice(mixed_utterances(only, MixSettings(), np.random.default_rng(0)), 50)
    }
    assert kinds == {"keyword", "prefix"}


def test_a_cut_scene_keeps_the_words_that_begin_in_it() -> None:
    whole = compose(mixed_utterances(corpus(), MixSettings(), np.random.default_rng(0)), 8)
    scene = whole.cut(3 * SAMPLE_RATE)
    assert len(scene.samples) == 3 * SAMPLE_RATE
    assert scene.words == tuple(word for word in whole.words if word.start_s < 3)


def test_a_prefix_is_the_beginning_of_its_word() -> None:
    prefix = truncate(clip("yes", "keyword", 500), 0.5)
    (word,) = prefix.words
    assert (word.kind, word.share) == ("prefix", 0.5)
    assert word.end_s == pytest.approx(0.5)
    assert len(prefix.samples) == SAMPLE_RATE / 2


def test_an_excerpt_has_its_keywords_cut_where_it_is_cut() -> None:
    for seed in range(30):
        cut = excerpt(speech(), 1.0, np.random.default_rng(seed))
        whole, *embedded = cut.words
        assert (whole.start_s, whole.end_s) == (0.0, 1.0)
        assert all(0 <= word.start_s < word.end_s <= 1.0 for word in embedded)


def test_noise_lies_under_the_words_at_its_ratio() -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    noise = apply_acoustics(silence, AcousticConditions(0, 0, (10, 10), (-20, -20)), corpus(), np.random.default_rng(0))
    spoken = (clip("yes", "keyword", 500).samples[4800:11200] / 32768).astype(np.float32)
    word = apply_acoustics(spoken, QUIET, corpus(), np.random.default_rng(0))
    ratio = np.std(word) / np.std(noise)
    assert 20 * np.log10(ratio) == pytest.approx(10, abs=0.2)
    assert 20 * np.log10(np.std(word)) == pytest.approx(-20, abs=0.2)


def test_a_room_leaves_the_word_where_it_was_and_adds_its_echo() -> None:
    dry = (clip("yes", "keyword", 500).samples / 32768).astype(np.float32)
    wet = apply_acoustics(dry, AcousticConditions(1, 0, None, (-20, -20)), corpus(), np.random.default_rng(0))
    assert endpoints(dry)[0] == pytest.approx(endpoints(wet)[0], abs=0.02)
    assert not np.any(dry[12_000:14_000])
    assert np.std(wet[12_000:14_000]) > 0.01


def test_running_speech_is_all_of_it_once() -> None:
    read = list(scenes(running_speech(corpus(), np.random.default_rng(0)), QUIET, corpus(), np.random.default_rng(0)))
    assert [word.word for scene in read for word in scene.words] == ["", "no"]


def test_noise_repeats_beyond_its_recordings() -> None:
    scene = next(noises(AcousticConditions(), corpus(), np.random.default_rng(0)))
    assert scene.words == ()
    assert len(scene.samples) > len(corpus().noise)
    assert np.std(background(9 * SAMPLE_RATE, corpus(), np.random.default_rng(0))) == pytest.approx(LOUDNESS, rel=0.01)
