"""Composed audio holds its words at the times that it says, the same for the same seed."""

from itertools import islice

import numpy as np
import pytest

from training.data.corpus import LOUDNESS, Corpus, Utterance, WordSpan
from training.data.endpoints import endpoints
from training.data.synthetic_streams import (  # fmt: skip
    AcousticConditions,
    MixSettings,
    apply_acoustics,
    background,
    beginning,
    compose,
    noises,
    piece,
    reading,
    scenes,
    talk,
)
from training.model.frontend import SAMPLE_RATE

QUIET = AcousticConditions(room=0, colour_db=0, snr_db=None, level_db=(-20, -20))


def clip(word: str, kind: str, tone: float, start_s: float = 0.3, end_s: float = 0.7) -> Utterance:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    there = (time >= start_s) & (time < end_s)
    sound = LOUDNESS * np.sqrt(2) * np.sin(2 * np.pi * tone * time) * there
    return Utterance((32767 * sound).astype(np.int16), (WordSpan(word, start_s, end_s, kind),))


def speech() -> Utterance:
    rng = np.random.default_rng(1)
    samples = (LOUDNESS * 32767 * rng.standard_normal(6 * SAMPLE_RATE)).clip(-32767, 32767).astype(np.int16)
    return Utterance(samples, (WordSpan("", 0.0, 6.0, "speech"), WordSpan("no", 2.0, 2.3, "inside")))


def material() -> Corpus:
    noise = (LOUDNESS * np.random.default_rng(0).standard_normal(5 * SAMPLE_RATE)).astype(np.float32)
    echo = np.zeros((1, 4000), np.float32)
    echo[0, [0, 3000]] = 0.8, 0.6
    keywords = {"yes": [clip("yes", "keyword", 500)], "no": [clip("no", "keyword", 900, 0.2, 0.9)]}
    return Corpus(keywords, {"cat": [clip("cat", "other", 1500)]}, [speech()], noise, echo)


def said(seed: int, seconds: float = 20, **settings: float) -> list[WordSpan]:
    everything = talk(material(), MixSettings(**settings), np.random.default_rng(seed))
    return list(compose(everything, seconds).words)


def test_words_sound_from_their_start_to_their_end() -> None:
    only_keywords = MixSettings(other=0, part=0, speech=0, gap_s=(0.2, 0.6))
    scene = compose(talk(material(), only_keywords, np.random.default_rng(0)), 10)
    sounding = np.abs(scene.samples) > 0
    for word in scene.words:
        start, end = (round(second * SAMPLE_RATE) for second in (word.start_s, word.end_s))
        assert sounding[start:end].mean() > 0.9
        assert not sounding[start - 1000 : start - 2].any()
        assert not sounding[end + 2 : end + 1000].any()
    assert 0.2 <= scene.words[1].start_s - scene.words[0].end_s <= 0.6


def test_the_same_seed_says_the_same_and_another_something_else() -> None:
    assert said(3) == said(3)
    assert said(3) != said(4)


def test_all_kinds_are_said_as_often_as_asked() -> None:
    kinds = [word.kind for word in said(0, seconds=600, keyword=0.5, other=0.3, part=0.1, speech=0.1)]
    kinds = [kind for kind in kinds if kind != "inside"]
    assert kinds.count("keyword") / len(kinds) == pytest.approx(0.5, abs=0.08)
    assert kinds.count("other") / len(kinds) == pytest.approx(0.3, abs=0.08)
    assert {"part", "speech"} < set(kinds)


def test_what_the_material_lacks_is_not_said() -> None:
    only = Corpus(material().keywords, {}, [], material().noise, material().rooms)
    kinds = {said.spoken.words[0].kind for said in islice(talk(only, MixSettings(), np.random.default_rng(0)), 50)}
    assert kinds == {"keyword", "part"}


def test_a_cut_scene_keeps_the_words_that_begin_in_it() -> None:
    whole = compose(talk(material(), MixSettings(), np.random.default_rng(0)), 8)
    scene = whole.cut(3 * SAMPLE_RATE)
    assert len(scene.samples) == 3 * SAMPLE_RATE
    assert scene.words == tuple(word for word in whole.words if word.start_s < 3)


def test_a_part_is_the_beginning_of_its_word() -> None:
    part = beginning(clip("yes", "keyword", 500), 0.5)
    (word,) = part.words
    assert (word.kind, word.share, word.end_s) == ("part", 0.5, pytest.approx(0.5))
    assert len(part.samples) == SAMPLE_RATE / 2


def test_a_piece_of_speech_takes_its_keywords_with_it_cut_where_it_is_cut() -> None:
    for seed in range(30):
        some = piece(speech(), 1.0, np.random.default_rng(seed))
        whole, *inside = some.words
        assert (whole.start_s, whole.end_s) == (0.0, 1.0)
        assert all(0 <= word.start_s < word.end_s <= 1.0 for word in inside)


def test_noise_lies_under_the_words_at_its_ratio() -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    noise = apply_acoustics(
        silence, AcousticConditions(0, 0, (10, 10), (-20, -20)), material(), np.random.default_rng(0)
    )
    word = apply_acoustics(
        clip("yes", "keyword", 500).samples[4800:11200] / np.float32(32768), QUIET, material(), np.random.default_rng(0)
    )
    ratio = np.std(word) / np.std(noise)
    assert 20 * np.log10(ratio) == pytest.approx(10, abs=0.2)
    assert 20 * np.log10(np.std(word)) == pytest.approx(-20, abs=0.2)


def test_a_room_leaves_the_word_where_it_was_and_adds_its_echo() -> None:
    dry = (clip("yes", "keyword", 500).samples / 32768).astype(np.float32)
    wet = apply_acoustics(dry, AcousticConditions(1, 0, None, (-20, -20)), material(), np.random.default_rng(0))
    assert endpoints(dry)[0] == pytest.approx(endpoints(wet)[0], abs=0.02)
    assert not np.any(dry[12_000:14_000])
    assert np.std(wet[12_000:14_000]) > 0.01


def test_reading_is_all_speech_once() -> None:
    read = list(scenes(reading(material(), np.random.default_rng(0)), QUIET, material(), np.random.default_rng(0)))
    assert [word.word for scene in read for word in scene.words] == ["", "no"]


def test_noise_goes_on_beyond_its_recordings() -> None:
    scene = next(noises(AcousticConditions(), material(), np.random.default_rng(0)))
    assert scene.words == ()
    assert len(scene.samples) > len(material().noise)
    assert np.std(background(9 * SAMPLE_RATE, material(), np.random.default_rng(0))) == pytest.approx(
        LOUDNESS, rel=0.01
    )
