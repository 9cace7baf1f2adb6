"""The data set's layout, split and refusals."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.words import write_words
from training import speech_commands as sc

LABELS = sc.labels_for(["up", "down"])


def test_the_split_is_the_official_one() -> None:
    """Files named in the validation and testing lists that come with the data set, and one in neither."""
    assert sc.split_of("bed/026290a7_nohash_0.wav") == "validation"
    assert sc.split_of("bed/0c40e715_nohash_0.wav") == "test"
    assert sc.split_of("bed/00176480_nohash_0.wav") == "train"


def test_every_take_of_a_speaker_is_in_one_split() -> None:
    assert len({sc.split_of(f"{word}/026290a7_nohash_{take}.wav") for word in ("yes", "no") for take in range(9)}) == 1


def test_splits_share_no_speaker(tmp_path: Path) -> None:
    folder = write_words(tmp_path)
    speakers = [{clip.speaker for clip in sc.find_clips(folder, split)} for split in ("train", "validation", "test")]
    assert [len(found) for found in speakers] == [30, 6, 6]
    assert not set.intersection(*speakers)


def test_other_words_are_unknown() -> None:
    assert [LABELS[sc.label_of(word, LABELS)] for word in ("up", "down", "cat", "dog")] == [
        "up", "down", "_unknown_", "_unknown_",
    ]  # fmt: skip


def test_wav_flac_and_opus_are_read_alike(tmp_path: Path) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    for suffix, subtype in ((".wav", "PCM_16"), (".flac", "PCM_16"), (".opus", "OPUS")):
        path = tmp_path / "up" / f"a_nohash_0{suffix}"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, tone, 16_000, format="OGG" if suffix == ".opus" else None, subtype=subtype)
    split = sc.split_of("a_nohash_0.wav")
    clips, samples, refused = sc.read_clips(sc.find_clips(tmp_path, split))
    assert (len(clips), refused) == (3, [])
    for clip in samples:
        assert abs(np.sqrt(np.mean(clip[4000:12000] ** 2)) - 0.3 / np.sqrt(2)) < 0.01


def test_bad_clips_are_refused_by_name_and_short_ones_padded(tmp_path: Path) -> None:
    folder = tmp_path / "up"
    folder.mkdir()
    soundfile.write(folder / "a_nohash_0.wav", np.ones(8000) * 0.1, 16_000)
    soundfile.write(folder / "a_nohash_1.wav", np.ones(800) * 0.1, 16_000)
    (folder / "a_nohash_2.wav").write_text("not audio")
    clips, samples, refused = sc.read_clips(sc.find_clips(tmp_path, sc.split_of("a_nohash_0.wav")))
    assert [clip.path.name for clip in clips] == ["a_nohash_0.wav"]
    assert "a_nohash_1.wav: expected at least 0.2 s, got 0.05 s" in refused[0]
    assert "a_nohash_2.wav: expected WAV, FLAC, OGG or MP3" in refused[1]
    rows = sc.padded(samples)
    assert rows.shape == (1, 16_000)
    assert not rows[0, 8000:].any()


def test_an_empty_folder_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(sc.BadData, match=r"expected WORD/SPEAKER_nohash_TAKE .* found none for train"):
        sc.find_clips(tmp_path, "train")
    with pytest.raises(sc.BadData, match="expected a folder with a folder of recordings for each word"):
        sc.find_clips(tmp_path / "nowhere", "train")
