"""The data set's layout, split and refusals."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.toy_dataset import RATE, WORDS, spoken, write_custom_words, write_words
from training.data.recordings import (
    CLIP,
    DatasetError,
    all_clips,
    around_word,
    find_clips,
    padded,
    read_clips,
    read_split,
    speakers,
    split_of,
)


def test_the_split_is_the_official_one() -> None:
    """Files named in the validation and testing lists that come with the data set, and one in neither."""
    assert split_of("bed/026290a7_nohash_0.wav") == "validation"
    assert split_of("bed/0c40e715_nohash_0.wav") == "test"
    assert split_of("bed/00176480_nohash_0.wav") == "train"


def test_every_take_of_a_speaker_is_in_one_split() -> None:
    assert len({split_of(f"{word}/026290a7_nohash_{take}.wav") for word in ("yes", "no") for take in range(9)}) == 1


def test_splits_share_no_speaker(tmp_path: Path) -> None:
    folder = write_words(tmp_path)
    names = [{clip.speaker for clip in find_clips(folder, split)} for split in ("train", "validation", "test")]
    assert [len(of_split) for of_split in names] == [30, 6, 6]
    assert not set.intersection(*names)


def test_wav_flac_and_opus_are_read_alike(tmp_path: Path) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    for suffix, subtype in ((".wav", "PCM_16"), (".flac", "PCM_16"), (".opus", "OPUS")):
        path = tmp_path / "up" / f"a_nohash_0{suffix}"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, tone, 16_000, format="OGG" if suffix == ".opus" else None, subtype=subtype)
    split = split_of("a_nohash_0.wav")
    loaded = read_split(tmp_path, split)
    assert (len(loaded.clips), loaded.refused) == (3, [])
    for clip in loaded.samples:
        assert abs(np.sqrt(np.mean(clip[4000:12000] ** 2)) - 0.3 / np.sqrt(2)) < 0.01


def test_bad_clips_are_refused_by_name_and_short_ones_padded(tmp_path: Path) -> None:
    folder = tmp_path / "up"
    folder.mkdir()
    soundfile.write(folder / "a_nohash_0.wav", np.ones(8000) * 0.1, 16_000)
    soundfile.write(folder / "a_nohash_1.wav", np.ones(800) * 0.1, 16_000)
    (folder / "a_nohash_2.wav").write_text("not audio")
    loaded = read_split(tmp_path, split_of("a_nohash_0.wav"))
    assert [clip.path.name for clip in loaded.clips] == ["a_nohash_0.wav"]
    assert "a_nohash_1.wav: expected 0.2 to 30 s, got 0.05 s" in loaded.refused[0]
    assert "a_nohash_2.wav: expected WAV, AIFF, FLAC, OGG or MP3" in loaded.refused[1]
    rows = padded(loaded.samples)
    assert rows.shape == (1, 16_000)
    assert not rows[0, 8000:].any()


def test_an_empty_folder_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected WORD/RECORDING .* found none for train"):
        find_clips(tmp_path, "train")
    with pytest.raises(DatasetError, match="expected a folder with a folder of recordings per word"):
        find_clips(tmp_path / "nowhere", "train")


def test_recordings_of_any_kind_become_clips_with_the_word_in_them(tmp_path: Path) -> None:
    folder = write_custom_words(tmp_path, count=10)
    loaded = read_clips(list(all_clips(folder)))
    assert (len(loaded.clips), loaded.refused, speakers(loaded.clips)) == (40, [], 0)
    for clip, audio in zip(loaded.clips, loaded.samples, strict=True):
        assert len(audio) <= CLIP
        loud = np.flatnonzero(np.abs(audio) > 0.1)
        assert (loud[-1] - loud[0]) / RATE == pytest.approx(0.4, abs=0.03), clip.path


@pytest.mark.parametrize("lead_s", [0.0, 0.4, 2.0])
def test_a_long_recording_is_cut_to_the_second_with_its_word(lead_s: float) -> None:
    word = spoken(WORDS["up"], 1.0, np.random.default_rng(0)).astype(np.float32)
    quiet = 0.002 * np.random.default_rng(1).standard_normal((2, round(2 * RATE))).astype(np.float32)
    clip = around_word(np.concatenate([quiet[0, : round(lead_s * RATE)], word, quiet[1]]))
    assert len(clip) == CLIP
    assert np.square(clip).sum() == pytest.approx(np.square(word).sum(), rel=0.01)


def test_recordings_without_a_word_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    hiss = 0.01 * np.random.default_rng(0).standard_normal(40 * RATE)
    for name, samples in (("hiss", hiss[: 3 * RATE]), ("short hiss", hiss[:RATE]), ("silence", 0 * hiss[:RATE])):
        soundfile.write(tmp_path / "up" / f"{name}.wav", samples, RATE)
    soundfile.write(tmp_path / "up" / "story.wav", hiss, RATE)
    loaded = read_clips(list(all_clips(tmp_path)))
    assert loaded.samples == []
    assert [line.split("up/")[1] for line in loaded.refused] == [
        "hiss.wav: expected a word, got nothing that stands out of the noise",
        "short hiss.wav: expected a word, got nothing that stands out of the noise",
        "silence.wav: expected a word, got silence",
        "story.wav: expected 0.2 to 30 s, got 40.00 s",
    ]


def test_a_name_without_speaker_keeps_its_split_in_another_format() -> None:
    names = [f"Take {i}" for i in range(60)]
    assert {split_of(f"{name}.wav") for name in names} == {"train", "validation", "test"}
    assert [split_of(f"{name}.wav") for name in names] == [split_of(f"{name}.mp3") for name in names]
