"""Splits share no speaker and no recording, and word times are where they should be. The data is made of tones."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.toy_dataset import RATE, SPEECH_SPEAKERS, write_speech, write_table, write_words
from training.data.corpus import LOUDNESS, Corpus, Utterance, read_corpus, read_speech, split_of_speech
from training.data.labels import Labels
from training.data.recordings import DatasetError, read_split, split_of_recording
from training.data.sources import DataSources


def read(sources: DataSources, keywords: list[str], split: str) -> Corpus:
    return read_corpus(sources, Labels(tuple(keywords)), split, read_split(sources.recordings, split))


def test_clips_are_keywords_or_others_with_the_times_of_their_word(tmp_path: Path) -> None:
    folder = write_words(tmp_path / "words", train=2, other=2)
    corpus = read(DataSources(folder, noise=(folder / "_background_noise_",)), ["up", "down"], "train")
    assert {word: len(clips) for word, clips in corpus.keywords.items()} == {"up": 2, "down": 2}
    assert set(corpus.others) == {"cat", "dog"}
    for clip in corpus.keywords["up"]:
        (word,) = clip.words
        assert (word.word, word.kind) == ("up", "keyword")
        assert word.end_s - word.start_s == pytest.approx(0.4, abs=0.03)  # as toy_dataset has it
        loud = clip.samples[int(word.start_s * RATE) : int(word.end_s * RATE)] / 32768
        assert np.sqrt(np.square(loud).mean()) == pytest.approx(LOUDNESS, rel=0.05)


def test_a_split_has_its_own_speakers_of_running_speech(tmp_path: Path) -> None:
    folder = write_speech(tmp_path / "speech")
    splits = {split: list(read_speech(folder, ["up"], split)) for split in ("train", "validation", "test")}
    expected = [split_of_speech(f"{speaker}/0.wav") for speaker in SPEECH_SPEAKERS]
    assert {split: len(recordings) for split, recordings in splits.items()} == {s: expected.count(s) for s in splits}
    assert len(splits["test"]) == 1  # dev/
    whole, up = splits["test"][0].words
    assert (whole.kind, whole.end_s) == ("speech", 3.0)
    assert (up.word, up.kind, up.start_s, up.end_s) == ("up", "embedded", 1.0, 1.4)


def test_speech_with_a_keyword_without_times_is_left_out(tmp_path: Path) -> None:
    folder = write_speech(tmp_path / "speech")
    assert len(list(read_speech(folder, ["up"]))) == len(SPEECH_SPEAKERS)
    assert list(read_speech(folder, ["up", "now"])) == []


@pytest.mark.parametrize("text", ["Now.", "so «now», they", "now!"])
def test_punctuation_does_not_hide_a_keyword(text: str, tmp_path: Path) -> None:
    folder = write_speech(tmp_path)
    write_table(folder / "transcripts.tsv", ("file", "text"), [(f"{SPEECH_SPEAKERS[0]}/0.wav", text)])
    assert list(read_speech(folder, ["up", "now"])) == []
    assert len(list(read_speech(folder, ["up"]))) == 1


@pytest.mark.parametrize(
    ("phrase", "left"), [("climb up", 0), ("up now", 0), ("climb now", 5), ("climb", 0), ("climb up now then", 5)]
)
def test_speech_with_a_phrase_is_left_out_where_its_words_follow_each_other(
    phrase: str, left: int, tmp_path: Path
) -> None:
    folder = write_speech(tmp_path / "speech")
    assert len(list(read_speech(folder, [phrase]))) == left


def test_takes_of_one_recording_are_of_one_split() -> None:
    for takes in (
        ("4-149294-A.opus", "4-149294-B.opus"),
        ("street_0.wav", "street_3.wav"),
        ("a__hall-1.flac", "b__hall.flac"),
    ):
        assert len({split_of_recording(name) for name in takes}) == 1
    assert {split_of_recording(f"4-{i}-A.opus") for i in range(40)} == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("keywords", "message"), [(["up", "left"], r"none of \['left'\]"), (["up"], "background recordings for test")]
)
def test_what_is_missing_is_named(keywords: list[str], message: str, tmp_path: Path) -> None:
    folder = write_words(tmp_path / "words", train=1, other=1)
    with pytest.raises(DatasetError, match=message):
        read(DataSources(folder), keywords, "test")


def test_speech_without_its_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"keyword_times\.tsv: expected the words of running speech"):
        list(read_speech(tmp_path, ["up"]))


def test_a_second_of_any_running_speech_is_equally_likely() -> None:
    short, long = (Utterance(np.zeros(seconds * RATE, np.int16), ()) for seconds in (1, 9))
    corpus = Corpus({}, {}, [short, long], np.zeros(1, np.float32), np.zeros((0, 1), np.float32))
    rng = np.random.default_rng(0)
    assert np.mean([corpus.any_speech(rng) is short for _ in range(2000)]) == pytest.approx(0.1, abs=0.03)
