"""The tone model on streams of tones: all keywords are detected, and thresholds do what they are for."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from service.spotting.model import Model
from tests.support.tone_model import TONES
from tests.support.tone_utterances import tone_utterance
from training.data.corpus import LOUDNESS, Corpus, Utterance, WordSpan, speaker_of_speech
from training.evaluation import streams as stream_evaluation
from training.evaluation.stream_report import SweepPoint, SweptStream
from training.evaluation.stream_scores import score_streams
from training.evaluation.streams import (
    evaluate_streams,
    measure,
    operating_point,
    scaled,
    streams_of,
    talkers_apart,
)
from training.model.frontend import SAMPLE_RATE

NO_ROOMS = np.zeros((0, 1), np.float32)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    noise = (LOUDNESS * np.random.default_rng(0).standard_normal(SAMPLE_RATE)).astype(np.float32)
    keywords = {word: [tone_utterance(word, "keyword", TONES[word])] for word in ("yes", "no")}
    speech = Utterance(tone_utterance("", "speech", TONES["_unknown_"]).samples, (WordSpan("", 0.0, 1.0, "speech"),))
    return Corpus(keywords, {"cat": [tone_utterance("cat", "other", TONES["_unknown_"])]}, [speech], noise, NO_ROOMS)


def test_streams_are_as_long_as_asked_and_have_the_same_words(corpus: Corpus) -> None:
    streams = {name: list(stream) for name, stream in streams_of(corpus, 0.01, seed=0).items()}
    seconds = {name: sum(len(scene.samples) for scene in scenes) / SAMPLE_RATE for name, scenes in streams.items()}
    assert all(36 <= length < 36 + 32 for length in seconds.values()), seconds
    assert [scene.words for scene in streams["clean"]] == [scene.words for scene in streams["0 dB"]]
    assert sum(word.kind == "speech" for scene in streams["speech"] for word in scene.words) == 36  # one second each


def test_tones_are_detected_early_and_so_are_their_prefixes(
    model: Model, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_evaluation, "SCALES", (-2.0, 2.0))
    figures = evaluate_streams(model, corpus, 0.005)
    fast = figures.speeds["fast"]
    clean = fast.streams["clean"]
    assert (clean.misses, clean.duplicates) == (0.0, 0)
    assert clean.decision is not None
    assert 0.03 < clean.decision.from_start_s.p50 < 0.2  # the model looks 30 ms ahead
    assert clean.decision.from_end_s.p50 < -0.2
    assert fast.prefixes is not None
    assert fast.prefixes.groups["long prefixes"].fired == 1.0
    assert fast.streams["speech"].false_alarms_per_hour == 0
    assert [point.scale for point in figures.det] == [-2.0, 2.0]
    assert set(figures.operating_points["0.5 per hour together"].thresholds) == {"yes", "no"}


def test_only_mixed_utterances_have_prefix_metrics(model: Model, corpus: Corpus) -> None:
    scored = score_streams(model, {"clean": streams_of(corpus, 0.005, 0)["clean"]})
    measured = measure(model, scored, speed="fast")
    assert set(measured.streams) == {"clean"}
    assert (measured.prefixes, measured.first_and_last_misses) == (None, None)


def test_scaled_thresholds_move_in_logits() -> None:
    assert scaled({"yes": 0.5, "no": 0.9}, 0.0) == pytest.approx({"yes": 0.5, "no": 0.9})
    assert scaled({"yes": 0.5}, np.log(3)) == pytest.approx({"yes": 0.75})
    assert 0.9 < scaled({"yes": 1.0}, -4.0)["yes"] < 1


def test_an_operating_point_is_the_lowest_quiet_threshold_of_all_keywords() -> None:
    def point(threshold: float, **alarms: float) -> SweepPoint:
        streams = {name: SweptStream(None, per_hour, {}) for name, per_hour in alarms.items()}
        return SweepPoint(0.0, {"yes": threshold, "no": threshold}, streams)

    points = [point(0.5, speech=4.1, noise=0), point(0.7, speech=4, noise=0.5), point(0.9, speech=0, noise=0)]
    assert operating_point(points, 4.0) == {"yes": 0.7, "no": 0.7}
    assert operating_point([points[0], point(0.7, speech=4, noise=0.6), points[2]], 4.0) == {"yes": 0.9, "no": 0.9}
    assert operating_point([point(0.5, noise=0), point(0.7, noise=0.5)], 0.0)["yes"] == 0.5
    assert operating_point(points[:2], 0.0)["yes"] == 0.7


def test_talkers_speak_in_the_background_alone(corpus: Corpus) -> None:
    speech = [
        Utterance(np.zeros(SAMPLE_RATE, np.int16), (WordSpan(f"dev/{i}/{j}.flac", 0.0, 1.0, "speech"),))
        for i in range(40)
        for j in range(2)
    ]
    others, talkers = talkers_apart(replace(corpus, speech=speech))
    speakers = [{speaker_of_speech(recording.words[0].word) for recording in part.speech} for part in (others, talkers)]
    assert not speakers[0] & speakers[1]
    assert len(speakers[0] | speakers[1]) == 40
    assert 4 <= len(speakers[1]) <= 16


def test_of_one_speaker_nobody_talks_in_the_background(corpus: Corpus) -> None:
    others, talkers = talkers_apart(corpus)
    assert others.speech == corpus.speech
    assert not talkers.speech


def test_words_alone_have_a_second_of_room_on_either_side(corpus: Corpus) -> None:
    words = [word for scene in list(streams_of(corpus, 0.005, seed=0)["alone"])[:1] for word in scene.words]
    assert {word.kind for word in words} == {"keyword"}
    gaps = [after.start_s - before.end_s for before, after in pairwise(words)]
    assert gaps == pytest.approx([2.0] * len(gaps), abs=1e-3)


@pytest.mark.parametrize("level_db", [-50, -10])
def test_words_have_the_level_of_their_stream(corpus: Corpus, level_db: int) -> None:
    keywords = {word: [Utterance((clip.samples * 0.1157).astype(np.int16), clip.words) for clip in clips]
                for word, clips in corpus.keywords.items()}  # fmt: skip
    level = replace(corpus, keywords=keywords)
    scene = next(streams_of(level, 0.005, seed=0)[f"{level_db} dBFS"])
    word = next(word for word in scene.words if word.kind == "keyword")
    spoken = scene.samples[int(word.start_s * SAMPLE_RATE) : int(word.end_s * SAMPLE_RATE)]
    assert 20 * np.log10(np.sqrt(np.mean(spoken**2))) == pytest.approx(level_db, abs=0.3)
